#include "ops/cpu_allocator.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

namespace graft {
namespace {

std::int64_t page_faults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

TEST(CachingCpuAllocator, CausesNoPageFaultsInSteadyState) {
  install_caching_cpu_allocator();
  // 64 MiB per result: more than glibc ever keeps (M_MMAP_THRESHOLD's ceiling is 32 MiB).
  const auto x = at::randn({4096, 32}).to(at::kBFloat16), w = at::randn({8192, 32}).to(at::kBFloat16);
  const auto step = [&] { return at::silu(at::linear(x, w)); };
  for (int i = 0; i < 3; ++i) step();
  const auto before = page_faults();
  for (int i = 0; i < 5; ++i) step();
  EXPECT_LT(page_faults() - before, 500) << "16,384 per result without a cache";
}

TEST(CachingCpuAllocator, CountsAndReleasesWhatItKeeps) {
  install_caching_cpu_allocator();
  release_cached_bytes();
  const auto before = cached_bytes();
  at::empty({8 << 20}, at::kByte);
  EXPECT_GE(cached_bytes(), before + (8 << 20));
  release_cached_bytes();
  EXPECT_EQ(cached_bytes(), 0u);
}

TEST(CachingCpuAllocator, ServesEverySize) {
  install_caching_cpu_allocator();
  for (const std::int64_t size : {0L, 1L, 63L, 65535L, 65536L, 65537L, 10L << 20}) {
    const auto t = at::full({size}, 3, at::kByte);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(t.data_ptr()) % 64, 0u);
    EXPECT_EQ(t.sum().item<std::int64_t>(), 3 * size);
  }
}

}  // namespace
}  // namespace graft
