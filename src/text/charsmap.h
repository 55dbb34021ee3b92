#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace graft {

/// Normalization rules as sentencepiece compiles them: a double-array trie of what is replaced, and the
/// replacements, each ended by a zero byte. Sources: sentencepiece, normalizer.cc; darts-clone, darts.h.
class Charsmap {
 public:
  /// Error, started by `where`, unless every walk through the trie stays inside and ends at a replacement,
  /// and no walk meets more rules than the sentencepiece library has room for.
  Charsmap(std::string_view blob, std::string_view where);

  /// The replacement of the shortest rule that `text` starts with, as Hugging Face's tokenizers take it.
  std::optional<std::string_view> shortest(std::string_view text) const;

 private:
  void check_trie(std::string_view where) const;

  std::vector<std::uint32_t> units_;
  std::string replacements_;
};

}  // namespace graft
