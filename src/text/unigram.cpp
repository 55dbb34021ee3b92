#include "text/unigram.h"

#include <algorithm>
#include <limits>
#include <span>
#include <string>

#include "base/error.h"
#include "base/text.h"

namespace graft {
namespace {

constexpr double kUnknownPenalty = 10;  // below the lowest score; sentencepiece, unigram_model.cc

std::string byte_token(unsigned byte) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  return {'<', '0', 'x', kDigits[byte / 16], kDigits[byte % 16], '>'};
}

// The best way to a place in the word.
struct Arrival {
  double score = 0;
  std::size_t from = kNowhere;
  std::int32_t id = 0;
  static constexpr std::size_t kNowhere = std::numeric_limits<std::size_t>::max();

  void offer(double other_score, std::size_t other_from, std::int32_t other_id) {
    if (from == kNowhere || other_score > score) *this = {other_score, other_from, other_id};
  }
};

std::vector<DoubleArray::Entry> entries_of(const std::vector<Unigram::Token>& tokens) {
  std::vector<DoubleArray::Entry> entries;
  for (std::size_t id = 0; id < tokens.size(); ++id)
    if (!tokens[id].spelling.empty())
      entries.emplace_back(tokens[id].spelling, static_cast<std::int32_t>(id));
  return entries;
}

}  // namespace

Unigram::Unigram(const std::vector<Token>& tokens, const UnigramOptions& options)
    : trie_(entries_of(tokens)), options_(options), cache_(std::make_unique<WordCache>()) {
  double lowest = std::numeric_limits<double>::infinity();
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    scores_.push_back(tokens[id].score);
    lowest = std::min(lowest, tokens[id].score);
  }
  unknown_score_ = lowest - kUnknownPenalty;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const std::int32_t id = trie_.find(byte_token(byte));
    byte_ids_.push_back(id == DoubleArray::kNone ? std::nullopt : std::optional(id));
  }
}

void Unigram::encode(std::string_view word, std::vector<Piece>& pieces) const {
  if (cache_->find(word, pieces)) return;
  const std::size_t before = pieces.size();
  segment(word, pieces);
  cache_->put(word, std::span(pieces).subspan(before));
}

void Unigram::segment(std::string_view word, std::vector<Piece>& pieces) const {
  std::vector<Arrival> best(word.size() + 1);
  for (std::size_t begin = 0; begin < word.size();) {
    const std::size_t length = code_point_at(word, begin).length;
    const double so_far = best[begin].score;
    bool alone = false;  // whether the character at `begin` is a token
    DoubleArray::Node node = DoubleArray::kRoot;
    for (std::size_t i = begin; i < word.size() && trie_.step(node, word[i]); ++i) {
      const std::int32_t id = trie_.value(node);
      if (id == DoubleArray::kNone) continue;
      best[i + 1].offer(so_far + scores_[static_cast<std::size_t>(id)], begin, id);
      alone = alone || i + 1 == begin + length;
    }
    if (!alone) {
      check(options_.unknown.has_value(), "the text holds `", printable(word.substr(begin, length)),
            "`, which the tokenizer's vocabulary lacks, and it has no unknown token");
      best[begin + length].offer(so_far + unknown_score_, begin, *options_.unknown);
    }
    begin += length;
  }
  std::vector<ByteSpan> parts;  // from the end of the word
  bool fusing = false;
  for (std::size_t end = word.size(); end > 0; end = best[end].from) {
    const bool unknown = options_.fuse_unknown && options_.unknown && best[end].id == *options_.unknown;
    if (unknown && fusing)
      parts.back().begin = best[end].from;
    else
      parts.push_back({best[end].from, end});
    fusing = unknown;
  }
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) append(word, *part, pieces);
}

void Unigram::append(std::string_view word, ByteSpan range, std::vector<Piece>& pieces) const {
  const std::string_view text = word.substr(range.begin, range.end - range.begin);
  const std::int32_t id = trie_.find(text);
  const auto byte_id = [&](char c) { return byte_ids_[static_cast<unsigned char>(c)]; };
  if (id != DoubleArray::kNone) {
    pieces.push_back({id, range});
  } else if (options_.byte_fallback &&
             std::ranges::all_of(text, [&](char c) { return byte_id(c).has_value(); })) {
    for (const char c : text) pieces.push_back({*byte_id(c), range});
  } else {
    pieces.push_back({*options_.unknown, range});
  }
}

}  // namespace graft
