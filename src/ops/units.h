#pragma once

#include <ATen/EmptyTensor.h>
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "ops/block_gemm.h"

/// Work cut into units that threads take one after the other, each with room of its own.
namespace graft {

/// n rounded up to whole steps of a block.
inline std::int64_t padded(std::int64_t n) { return (n + kBlockStep - 1) / kBlockStep * kBlockStep; }

/// Uninitialised numbers, aligned to a cache line.
template <class T>
class Numbers {
 public:
  explicit Numbers(std::int64_t count)
      : bytes_(at::detail::empty_cpu({count * static_cast<std::int64_t>(sizeof(T))}, at::kByte)) {}
  T* data() const { return static_cast<T*>(bytes_.mutable_data_ptr()); }

 private:
  at::Tensor bytes_;
};

/// Calls make() on each thread and the worker that it returns on unit after unit, until none is left. Which
/// thread does a unit is open: its result must not depend on it.
template <class Make>
void for_each_unit(std::int64_t units, const Make& make) {
  std::atomic<std::int64_t> next{0};
  const auto threads = std::min<std::int64_t>(units, at::get_num_threads());
  at::parallel_for(0, threads, 1, [&](std::int64_t, std::int64_t) {
    auto worker = make();
    for (auto unit = next.fetch_add(1); unit < units; unit = next.fetch_add(1)) worker(unit);
    release_multiplier();
  });
}

}  // namespace graft
