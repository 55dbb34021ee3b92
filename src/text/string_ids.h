#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace graft {

/// Texts with an id each, for vocabularies: hundreds of thousands of texts are put in and each is looked up a
/// few times at once, so a look-up costs two places of memory and a text no allocation.
class StringIds {
 public:
  static constexpr std::int32_t kNone = -1;

  /// Makes room for so many texts.
  void reserve(std::size_t count);
  /// Gives `text` the id (from 0) unless it has one. Returns whether it did.
  bool add(std::string_view text, std::int32_t id);
  /// The id of `text`, or kNone.
  std::int32_t find(std::string_view text) const;

 private:
  struct Entry {
    std::size_t end = 0;  // in texts_; the entry before ends where this one begins
    std::int32_t id = kNone;
  };
  struct Slot {
    std::uint32_t hash = 0;
    std::uint32_t entry = 0;  // 0: free
  };
  std::size_t place(std::string_view text, std::uint32_t hash) const;
  void resize(std::size_t capacity);

  std::vector<Slot> slots_ = std::vector<Slot>(16);  // open addressing, a power of two
  std::vector<Entry> entries_ = std::vector<Entry>(1);
  std::string texts_;
};

}  // namespace graft
