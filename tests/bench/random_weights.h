#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/nf4.h"

namespace graft {

/// Normal bf16 weights of standard deviation 0.02, pure functions of seed, tensor and place: pieces of one
/// pool of normal numbers, each from a random place of it, since 8 billion fresh ones would take minutes.
class RandomWeights {
 public:
  explicit RandomWeights(std::uint64_t seed);
  /// Weights first … first + out.size() - 1 of the tensor.
  void fill(std::string_view tensor, std::int64_t first, std::span<Bf16Bits> out) const;

 private:
  std::uint64_t seed_;
  std::vector<Bf16Bits> pool_;
};

/// `count` such weights in NF4 with doubly quantised scales, on all threads.
Nf4Weights random_nf4(const RandomWeights& weights, std::string_view tensor, std::int64_t count);

/// Calls work(first, last) over [0, count) in parts of whole `unit`s on all processors; an exception of one
/// part is thrown here.
void in_parallel(std::int64_t count, std::int64_t unit,
                 const std::function<void(std::int64_t first, std::int64_t last)>& work);

}  // namespace graft
