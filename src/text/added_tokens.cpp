#include "text/added_tokens.h"

#include <algorithm>

#include "base/text.h"

namespace graft {

bool is_white_space(std::uint32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

namespace {

std::size_t character_before(std::string_view text, std::size_t end) {
  do --end;
  while ((static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U);
  return end;
}

std::size_t skip_space_left(std::string_view text, std::size_t end) {
  while (end > 0) {
    const std::size_t begin = character_before(text, end);
    if (!is_white_space(code_point_at(text, begin).value)) break;
    end = begin;
  }
  return end;
}

std::size_t skip_space_right(std::string_view text, std::size_t begin) {
  while (begin < text.size()) {
    const CodePoint c = code_point_at(text, begin);
    if (!is_white_space(c.value)) break;
    begin += c.length;
  }
  return begin;
}

}  // namespace

AddedTokenFinder::AddedTokenFinder() : word_character_("[\\w\\x{200C}\\x{200D}]", "added tokens") {}

void AddedTokenFinder::add(std::span<const Pattern> patterns) {
  patterns_.insert(patterns_.end(), patterns.begin(), patterns.end());
  std::vector<DoubleArray::Entry> entries;
  for (std::size_t i = 0; i < patterns_.size(); ++i)
    if (!patterns_[i].text.empty()) entries.emplace_back(patterns_[i].text, static_cast<std::int32_t>(i));
  trie_ = DoubleArray(std::move(entries));
}

std::optional<AddedTokenFinder::Match> AddedTokenFinder::longest_at(std::string_view text,
                                                                    std::size_t begin) const {
  std::optional<Match> longest;
  DoubleArray::Node node = DoubleArray::kRoot;
  for (std::size_t i = begin; i < text.size() && trie_.step(node, text[i]); ++i)
    if (const std::int32_t index = trie_.value(node); index != DoubleArray::kNone)
      longest = Match{&patterns_[static_cast<std::size_t>(index)].token, {begin, i + 1}};
  return longest;
}

bool AddedTokenFinder::touches_word(std::string_view text, ByteSpan range, Regex::Scratch& scratch) const {
  const auto is_word = [&](std::size_t at) {
    std::vector<ByteSpan> matches;
    word_character_.find_all(text.substr(at, code_point_at(text, at).length), scratch, matches);
    return !matches.empty();
  };
  return (range.begin > 0 && is_word(character_before(text, range.begin))) ||
         (range.end < text.size() && is_word(range.end));
}

std::vector<AddedTokenFinder::Part> AddedTokenFinder::split(std::string_view text,
                                                            Regex::Scratch& scratch) const {
  std::vector<Part> parts;
  std::size_t done = 0;  // text before this is in `parts`
  for (std::size_t i = 0; !empty() && i < text.size();) {
    const auto match = longest_at(text, i);
    if (!match) {
      ++i;
      continue;
    }
    i = match->range.end;
    if (match->token->single_word && touches_word(text, match->range, scratch)) continue;
    ByteSpan range = match->range;
    if (match->token->lstrip) range.begin = std::max(skip_space_left(text, range.begin), done);
    if (match->token->rstrip) range.end = skip_space_right(text, range.end);
    if (done < range.begin) parts.push_back({std::nullopt, {done, range.begin}});
    parts.push_back({match->token->id, range});
    done = range.end;
  }
  if (done < text.size()) parts.push_back({std::nullopt, {done, text.size()}});
  return parts;
}

}  // namespace graft
