#include "ops/page_heap.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>

namespace graft {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kGrowth = std::size_t{64} << 20;   // address space made writable at a time
constexpr std::size_t kSmallest = std::size_t{1} << 30;  // a range below this is not worth having

std::size_t round_up(std::size_t value, std::size_t unit) { return (value + unit - 1) / unit * unit; }

std::size_t machine_memory() {
  return static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

PageHeap::PageHeap() {
  for (auto size = round_up(2 * machine_memory(), kHugePage); size >= kSmallest;
       size = round_up(size / 2, kHugePage)) {
    void* range =
        mmap(nullptr, size + kHugePage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) continue;
    const auto address = reinterpret_cast<std::uintptr_t>(range);
    base_ = static_cast<std::byte*>(range) + (round_up(address, kHugePage) - address);
    end_ = base_ + size;
    // Huge pages: 512 times fewer first-touch faults, and fewer TLB misses. A kernel without them says no;
    // fine.
    madvise(base_, size, MADV_HUGEPAGE);
    break;
  }
  top_ = writable_ = base_;
}

PageHeap::~PageHeap() {
  if (base_ != nullptr) munmap(base_, static_cast<std::size_t>(end_ - base_));
}

std::byte* PageHeap::grow(std::size_t size) {
  if (static_cast<std::size_t>(end_ - top_) < size) return nullptr;
  if (top_ + size > writable_) {
    const auto wanted = std::min(round_up(static_cast<std::size_t>(top_ + size - writable_), kGrowth),
                                 static_cast<std::size_t>(end_ - writable_));
    if (mprotect(writable_, wanted, PROT_READ | PROT_WRITE) != 0) return nullptr;
    writable_ += wanted;
  }
  return std::exchange(top_, top_ + size);
}

std::byte* PageHeap::grow_last(std::size_t size) {
  if (free_.empty()) return grow(size);
  const auto last = std::prev(free_.end());
  if (last->first + last->second.size != top_) return grow(size);
  std::byte* block = last->first;
  if (grow(size - last->second.size) == nullptr) return nullptr;
  erase(last);
  return block;
}

void PageHeap::insert(std::byte* block, FreeBlock free) {
  free_.emplace(block, free);
  by_size_.emplace(free.size, block);
}

void PageHeap::erase(FreeBlocks::iterator free) {
  by_size_.erase({free->second.size, free->first});
  free_.erase(free);
}

void* PageHeap::take(std::size_t bytes) {
  if (bytes > static_cast<std::size_t>(end_ - base_)) return nullptr;
  const auto size = round_up(std::max<std::size_t>(bytes, 1), kPage);
  const std::lock_guard lock(mutex_);
  std::byte* block = nullptr;
  if (const auto fit = by_size_.lower_bound({size, nullptr}); fit != by_size_.end()) {
    const auto free = free_.find(fit->second);
    block = free->first;
    const auto [whole, touched] = free->second;
    erase(free);
    if (whole > size) insert(block + size, {whole - size, touched});
  } else {
    block = grow_last(size);
  }
  if (block != nullptr) taken_.emplace(block, size);
  return block;
}

void PageHeap::give(void* data) {
  const std::lock_guard lock(mutex_);
  auto* block = static_cast<std::byte*>(data);
  const auto taken = taken_.find(block);
  assert(taken != taken_.end());
  FreeBlock free{taken->second, true};
  taken_.erase(taken);
  if (const auto next = free_.find(block + free.size); next != free_.end()) {
    free.size += next->second.size;
    erase(next);
  }
  if (auto before = free_.lower_bound(block); before != free_.begin()) {
    --before;
    if (before->first + before->second.size == block) {
      block = before->first;
      free.size += before->second.size;
      erase(before);
    }
  }
  insert(block, free);
}

std::size_t PageHeap::size_of(const void* block) const {
  const std::lock_guard lock(mutex_);
  return taken_.at(static_cast<std::byte*>(const_cast<void*>(block)));
}

std::uint64_t PageHeap::cached_bytes() const {
  const std::lock_guard lock(mutex_);
  std::uint64_t bytes = 0;
  for (const auto& [block, free] : free_)
    if (free.touched) bytes += free.size;
  return bytes;
}

void PageHeap::release() {
  const std::lock_guard lock(mutex_);
  for (auto& [block, free] : free_)
    if (free.touched && madvise(block, free.size, MADV_DONTNEED) == 0) free.touched = false;
}

}  // namespace graft
