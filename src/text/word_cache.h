#pragma once

#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/word_model.h"

namespace graft {

/// The tokens of words met before. Words are many and short; long ones rarely come again and are not kept.
/// Safe to share between threads, none of which ever waits.
class WordCache {
 public:
  /// Appends the tokens of a word that was put; false where it was not, or another thread writes just now.
  bool find(std::string_view word, std::vector<Piece>& pieces) const;
  void put(std::string_view word, std::span<const Piece> pieces);

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  mutable std::shared_mutex mutex_;
  std::unordered_map<std::string, std::vector<Piece>, Hash, std::equal_to<>> words_;
};

}  // namespace graft
