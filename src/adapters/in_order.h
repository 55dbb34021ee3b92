#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "ops/parallel.h"

namespace graft {

/// make(i) for i in [0, count) on all threads, a few at a time, and take(i, result) one after another in
/// order: streams many small pieces of work in little memory.
template <class Make, class Take>
void make_in_order(std::int64_t count, const Make& make, const Take& take) {
  using Result = decltype(make(std::int64_t{0}));
  constexpr std::int64_t kWorthAThread = std::int64_t{1} << 20;
  const std::int64_t group = 4 * at::get_num_threads();
  for (std::int64_t begin = 0; begin < count; begin += group) {
    const std::int64_t size = std::min(group, count - begin);
    std::vector<std::optional<Result>> results(static_cast<std::size_t>(size));
    for_rows(size, kWorthAThread, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t i = first; i < last; ++i)
        results[static_cast<std::size_t>(i)].emplace(make(begin + i));
    });
    for (std::int64_t i = 0; i < size; ++i) take(begin + i, std::move(*results[static_cast<std::size_t>(i)]));
  }
}

}  // namespace graft
