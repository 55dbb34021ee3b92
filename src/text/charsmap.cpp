#include "text/charsmap.h"

#include "base/error.h"

namespace graft {
namespace {

constexpr std::size_t kMaxBlobBytes = std::size_t{64} << 20;
constexpr int kMaxRulesOnAPath = 32;  // sentencepiece: Normalizer::kMaxTrieResultsSize

// A unit of the double array. Source: darts-clone, DoubleArrayUnit.
bool has_leaf(std::uint32_t unit) { return (unit >> 8 & 1U) != 0; }
std::uint32_t value_of(std::uint32_t unit) { return unit & 0x7FFFFFFFU; }
std::uint32_t label_of(std::uint32_t unit) { return unit & 0x800000FFU; }
std::uint32_t offset_of(std::uint32_t unit) { return unit >> 10 << ((unit & 0x200U) >> 6); }

}  // namespace

Charsmap::Charsmap(std::string_view blob, std::string_view where) {
  check(blob.size() > 4 && blob.size() <= kMaxBlobBytes, where, ": normalization rules of ", blob.size(),
        " bytes");
  const auto word_at = [&](std::size_t at) {
    std::uint32_t word = 0;
    for (std::size_t i = 0; i < 4; ++i)
      word |= std::uint32_t{static_cast<unsigned char>(blob[at + i])} << 8 * i;
    return word;
  };
  const std::size_t trie_bytes = word_at(0);
  check(trie_bytes >= 1024 && trie_bytes % 1024 == 0 && trie_bytes < blob.size() - 4, where,
        ": normalization rules with a trie of ", trie_bytes, " bytes in ", blob.size());
  for (std::size_t at = 4; at < 4 + trie_bytes; at += 4) units_.push_back(word_at(at));
  replacements_ = blob.substr(4 + trie_bytes);
  check(replacements_.back() == '\0', where, ": the replacements of the normalization rules do not end in 0");
  check_trie(where);
}

void Charsmap::check_trie(std::string_view where) const {
  struct Node {
    std::uint32_t position;  // behind its own offset: children are at position ^ byte
    int rules;               // met on the way here
  };
  const auto behind = [&](std::uint32_t position) { return position ^ offset_of(units_[position]); };
  std::vector<bool> seen(units_.size());
  seen[0] = true;
  std::vector<Node> open = {{behind(0), 0}};
  while (!open.empty()) {
    const Node node = open.back();
    open.pop_back();
    check((node.position | 0xFFU) < units_.size(), where, ": the trie of normalization rules leads outside");
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t child = node.position ^ byte;
      if (label_of(units_[child]) != byte) continue;
      if (byte == 0 && !has_leaf(units_[child]) && offset_of(units_[child]) == 0) continue;  // an unused unit
      check(!seen[child], where, ": the trie of normalization rules has a loop");
      seen[child] = true;
      const std::uint32_t next = behind(child);
      int rules = node.rules;
      if (has_leaf(units_[child])) {
        check(next < units_.size() && value_of(units_[next]) < replacements_.size(), where,
              ": a normalization rule leads outside");
        check(++rules <= kMaxRulesOnAPath, where, ": more than ", kMaxRulesOnAPath,
              " normalization rules start alike");
      }
      open.push_back({next, rules});
    }
  }
}

std::optional<std::string_view> Charsmap::shortest(std::string_view text) const {
  std::uint32_t position = offset_of(units_[0]);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == 0) return std::nullopt;
    position ^= byte;
    const std::uint32_t unit = units_[position];
    if (label_of(unit) != byte) return std::nullopt;
    position ^= offset_of(unit);
    if (has_leaf(unit)) return replacements_.c_str() + value_of(units_[position]);
  }
  return std::nullopt;
}

}  // namespace graft
