#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>
#include <utility>

namespace graft {

/// Blocks of whole pages out of one range of address space, best fit, neighbours joined when free. Pages once
/// touched stay with the process, so that memory of any shape that was used before is used again without a
/// page fault: packs differ in length, so caching blocks by exact size would not do. The high-water mark
/// moves only when nothing fits. All functions may be called from any thread.
class PageHeap {
 public:
  /// Reserves address space (no memory) of twice the machine's memory, or what the process limits allow.
  PageHeap();
  PageHeap(const PageHeap&) = delete;
  PageHeap& operator=(const PageHeap&) = delete;
  ~PageHeap();

  /// A block of at least `bytes`, aligned to a page; null where the range is used up or the system refuses
  /// memory.
  void* take(std::size_t bytes);
  /// Takes back a block that take() gave.
  void give(void* block);
  /// Bytes of a block that take() gave and give() has not taken back.
  std::size_t size_of(const void* block) const;
  /// Whether the address lies in the range.
  bool owns(const void* address) const { return address >= base_ && address < end_; }
  /// Bytes of free blocks that hold pages.
  std::uint64_t cached_bytes() const;
  /// Gives the pages of all free blocks back to the system.
  void release();

 private:
  struct FreeBlock {
    std::size_t size;
    bool touched;  // may hold pages
  };
  using FreeBlocks = std::map<std::byte*, FreeBlock>;

  std::byte* grow(std::size_t size);
  std::byte* grow_last(std::size_t size);  // the free block at the top is a beginning, not a hole below
  void insert(std::byte* block, FreeBlock free);
  void erase(FreeBlocks::iterator free);

  mutable std::mutex mutex_;
  std::byte* base_ = nullptr;
  std::byte* top_ = nullptr;       // end of the blocks
  std::byte* writable_ = nullptr;  // end of what the system lets us touch; top_ <= writable_ <= end_
  std::byte* end_ = nullptr;
  FreeBlocks free_;
  std::set<std::pair<std::size_t, std::byte*>> by_size_;  // the same blocks
  std::unordered_map<std::byte*, std::size_t> taken_;
};

}  // namespace graft
