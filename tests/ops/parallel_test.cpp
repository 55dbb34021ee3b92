#include "ops/parallel.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace graft {
namespace {

// Fails where ops are compiled without -fopenmp, or where a second OpenMP runtime has its own idea of the
// threads.
TEST(ForRows, UsesAllOfLibtorchsThreads) {
  const auto threads = at::get_num_threads();
  at::set_num_threads(3);
  std::mutex mutex;
  std::set<std::thread::id> seen;
  for_rows(300, 1 << 20, [&](std::int64_t, std::int64_t) {
    const std::lock_guard lock(mutex);
    seen.insert(std::this_thread::get_id());
  });
  at::set_num_threads(threads);
  EXPECT_EQ(seen.size(), 3u);
}

TEST(ForRows, CoversEveryRowOnce) {
  std::vector<std::atomic<int>> visits(1001);
  for_rows(1001, 100, [&](std::int64_t first, std::int64_t last) {
    for (auto i = first; i < last; ++i) ++visits[static_cast<std::size_t>(i)];
  });
  for (const auto& count : visits) EXPECT_EQ(count, 1);
  for_rows(0, 1, [](std::int64_t, std::int64_t) { FAIL() << "no rows"; });
}

}  // namespace
}  // namespace graft
