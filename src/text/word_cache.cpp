#include "text/word_cache.h"

#include <mutex>

namespace graft {
namespace {

constexpr std::size_t kMaxWords = 1 << 15;
constexpr std::size_t kMaxWordBytes = 64;

}  // namespace

bool WordCache::find(std::string_view word, std::vector<Piece>& pieces) const {
  if (word.size() > kMaxWordBytes) return false;
  const std::shared_lock lock(mutex_, std::try_to_lock);
  if (!lock) return false;
  const auto entry = words_.find(word);
  if (entry == words_.end()) return false;
  pieces.insert(pieces.end(), entry->second.begin(), entry->second.end());
  return true;
}

void WordCache::put(std::string_view word, std::span<const Piece> pieces) {
  if (word.size() > kMaxWordBytes) return;
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (lock && words_.size() < kMaxWords) words_.try_emplace(std::string(word), pieces.begin(), pieces.end());
}

}  // namespace graft
