#include "ops/cpu_allocator.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <malloc.h>

#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "ops/page_heap.h"

namespace graft {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kSmall = std::size_t{64} << 10;  // below it malloc itself reuses well, and locks less
constexpr std::uint8_t kPriority = 100;                // above libtorch's own allocator

// The one mutable global of graft: it must outlive every tensor, those in other statics included, so it is
// never destroyed.
PageHeap& heap() {
  static PageHeap& heap = *new PageHeap;
  return heap;
}

// Tells libtorch's profilers, and train's, of a block that a tensor takes (+1) or gives back (-1).
void report(void* block, std::int64_t sign) {
  if (!c10::memoryProfilingEnabled()) return;
  const auto bytes = static_cast<std::int64_t>(heap().size_of(block));
  c10::reportMemoryUsageToProfiler(block, sign * bytes, 0, 0, c10::Device(c10::DeviceType::CPU));
}

void free_block(void* data) {
  if (heap().owns(data)) {
    report(data, -1);
    heap().give(data);
  } else {
    std::free(data);
  }
}

class CachingCpuAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    void* data = bytes < kSmall ? nullptr : heap().take(bytes);
    if (data != nullptr)
      report(data, +1);
    else if (bytes > 0 && posix_memalign(&data, kAlignment, bytes) != 0)
      fail(ExitCode::kResource, "out of memory: the system refuses ", bytes, " bytes for a tensor",
           Hint{"lower train.micro_batch_tokens or data.max_seq_len"});
    return {data, data, &free_block, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free_block; }
  void copy_data(void* target, const void* source, std::size_t bytes) const override {
    std::memcpy(target, source, bytes);
  }
};

}  // namespace

void install_caching_cpu_allocator() {
  static CachingCpuAllocator allocator;
  c10::SetCPUAllocator(&allocator, kPriority);
}

std::uint64_t cached_bytes() { return heap().cached_bytes(); }
void release_cached_bytes() {
  heap().release();
  malloc_trim(0);
}

}  // namespace graft
