#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "text/bpe.h"

namespace graft {

/// Pair of ids -> rank and merged id: open addressing, since this look-up is what encoding spends its time
/// in.
class Bpe::MergeTable {
 public:
  struct Entry {
    std::uint64_t key = kEmpty;
    std::int32_t rank = 0, merged = 0;
  };

  /// Has room for `count` pairs and grows beyond.
  explicit MergeTable(std::size_t count) {
    std::size_t capacity = 16;
    while (capacity < count * 2) capacity *= 2;
    entries_.resize(capacity);
  }
  /// A pair that stands twice has the later rank, as in tokenizers.
  void put(std::int32_t left, std::int32_t right, std::int32_t rank, std::int32_t merged) {
    if (used_ * 2 > entries_.size()) grow();
    Entry& entry = entries_[place(key_of(left, right))];
    used_ += entry.key == kEmpty ? 1 : 0;
    entry = {key_of(left, right), rank, merged};
  }
  const Entry* find(std::int32_t left, std::int32_t right) const {
    const Entry& entry = entries_[place(key_of(left, right))];
    return entry.key == kEmpty ? nullptr : &entry;
  }

 private:
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};
  static std::uint64_t key_of(std::int32_t left, std::int32_t right) {
    return static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right);
  }
  std::size_t place(std::uint64_t key) const {
    const std::size_t mask = entries_.size() - 1;
    std::size_t i = (key * 0x9E3779B97F4A7C15ULL >> 32) & mask;
    while (entries_[i].key != kEmpty && entries_[i].key != key) i = (i + 1) & mask;
    return i;
  }
  void grow() {
    std::vector<Entry> old(entries_.size() * 2);
    old.swap(entries_);
    for (const Entry& entry : old)
      if (entry.key != kEmpty) entries_[place(entry.key)] = entry;
  }
  std::vector<Entry> entries_;
  std::size_t used_ = 0;
};

/// Character -> id of the token that is this character alone.
class Bpe::CharacterTable {
 public:
  void put(std::uint32_t character, std::int32_t id) {
    if (character < low_.size())
      low_[character] = id;
    else
      high_[character] = id;
  }
  /// -1 where there is none.
  std::int32_t find(std::uint32_t character) const {
    if (character < low_.size()) return low_[character];
    const auto entry = high_.find(character);
    return entry == high_.end() ? -1 : entry->second;
  }

 private:
  std::vector<std::int32_t> low_ = std::vector<std::int32_t>(0x10000, -1);
  std::unordered_map<std::uint32_t, std::int32_t> high_;
};

}  // namespace graft
