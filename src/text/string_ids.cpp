#include "text/string_ids.h"

#include <bit>
#include <functional>

#include "base/error.h"

namespace graft {
namespace {

// Folded, for half of a hash tells texts apart well enough, and slots stay small.
std::uint32_t hash_of(std::string_view text) {
  const std::uint64_t hash = std::hash<std::string_view>{}(text);
  return static_cast<std::uint32_t>(hash ^ hash >> 32);
}

}  // namespace

void StringIds::reserve(std::size_t count) {
  entries_.reserve(count + 1);
  if (count * 2 > slots_.size()) resize(std::bit_ceil(count * 2));
}

bool StringIds::add(std::string_view text, std::int32_t id) {
  if (entries_.size() * 2 > slots_.size()) resize(slots_.size() * 2);
  const std::uint32_t hash = hash_of(text);
  Slot& slot = slots_[place(text, hash)];
  if (slot.entry != 0) return false;
  slot = {hash, static_cast<std::uint32_t>(entries_.size())};
  texts_ += text;
  entries_.push_back({texts_.size(), id});
  return true;
}

std::int32_t StringIds::find(std::string_view text) const {
  return entries_[slots_[place(text, hash_of(text))].entry].id;
}

// Where `text` is, or the free slot where it belongs.
std::size_t StringIds::place(std::string_view text, std::uint32_t hash) const {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t i = hash & mask;; i = (i + 1) & mask) {
    const Slot slot = slots_[i];
    if (slot.entry == 0) return i;
    if (slot.hash != hash) continue;
    const std::size_t begin = entries_[slot.entry - 1].end;
    if (std::string_view(texts_).substr(begin, entries_[slot.entry].end - begin) == text) return i;
  }
}

void StringIds::resize(std::size_t capacity) {
  std::vector<Slot> old(capacity);
  old.swap(slots_);
  for (const Slot& slot : old) {
    if (slot.entry == 0) continue;
    std::size_t i = slot.hash & (capacity - 1);
    while (slots_[i].entry != 0) i = (i + 1) & (capacity - 1);
    slots_[i] = slot;
  }
}

}  // namespace graft
