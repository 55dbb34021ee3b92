#include "ops/page_heap.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <thread>
#include <vector>

namespace graft {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

TEST(PageHeap, GivesTheSameBlockAgain) {
  PageHeap heap;
  void* first = heap.take(3 * kMiB);
  ASSERT_NE(first, nullptr);
  EXPECT_TRUE(heap.owns(first));
  heap.give(first);
  EXPECT_EQ(heap.cached_bytes(), 3 * kMiB);
  EXPECT_EQ(heap.take(2 * kMiB), first) << "a smaller one fits in";
  EXPECT_EQ(heap.cached_bytes(), kMiB);
}

TEST(PageHeap, JoinsNeighboursThatAreFree) {
  PageHeap heap;
  void* a = heap.take(kMiB);
  void* b = heap.take(kMiB);
  void* c = heap.take(kMiB);
  heap.give(a);
  heap.give(c);
  heap.give(b);
  EXPECT_EQ(heap.take(3 * kMiB), a);
  EXPECT_EQ(heap.cached_bytes(), 0u);
}

TEST(PageHeap, TakesTheBestFit) {
  PageHeap heap;
  void* large = heap.take(8 * kMiB);
  heap.take(4096);
  void* fitting = heap.take(2 * kMiB);
  heap.take(4096);
  heap.give(large);
  heap.give(fitting);
  EXPECT_EQ(heap.take(2 * kMiB), fitting);
}

TEST(PageHeap, GrowsTheLastBlockRatherThanLeaveAHole) {
  PageHeap heap;
  heap.take(kMiB);
  void* last = heap.take(2 * kMiB);
  heap.give(last);
  EXPECT_EQ(heap.take(3 * kMiB), last);
  EXPECT_EQ(heap.cached_bytes(), 0u);
}

TEST(PageHeap, GivesPagesBackOnRelease) {
  PageHeap heap;
  auto* block = static_cast<unsigned char*>(heap.take(4 * kMiB));
  std::memset(block, 7, 4 * kMiB);
  heap.give(block);
  heap.release();
  EXPECT_EQ(heap.cached_bytes(), 0u);
  ASSERT_EQ(heap.take(4 * kMiB), block);
  EXPECT_EQ(block[4 * kMiB - 1], 0) << "a page that came back from the system is empty";
}

TEST(PageHeap, RefusesMoreThanItsRange) { EXPECT_EQ(PageHeap().take(std::size_t{1} << 60), nullptr); }

// Every block keeps its own bytes whatever others do, on several threads.
TEST(PageHeap, KeepsBlocksApart) {
  PageHeap heap;
  const auto work = [&](unsigned seed) {
    std::mt19937 random(seed);
    struct Block {
      unsigned char* data;
      std::size_t size;
      unsigned char mark;
    };
    std::vector<Block> blocks;
    for (int i = 0; i < 2000; ++i) {
      if (blocks.size() > 20 || (!blocks.empty() && random() % 2 == 0)) {
        const auto at = random() % blocks.size();
        const auto block = blocks[at];
        for (std::size_t j = 0; j < block.size; j += 509) ASSERT_EQ(block.data[j], block.mark);
        heap.give(block.data);
        blocks.erase(blocks.begin() + static_cast<std::ptrdiff_t>(at));
      } else {
        const auto size = 1 + random() % 70000;
        const auto mark = static_cast<unsigned char>(random());
        auto* data = static_cast<unsigned char*>(heap.take(size));
        ASSERT_NE(data, nullptr);
        std::memset(data, mark, size);
        blocks.push_back({data, size, mark});
      }
    }
    for (const auto& block : blocks) heap.give(block.data);
  };
  std::thread other(work, 1);
  work(2);
  other.join();
  void* all = heap.take(kMiB);
  EXPECT_EQ(heap.cached_bytes() % 4096, 0u);
  heap.give(all);
}

}  // namespace
}  // namespace graft
