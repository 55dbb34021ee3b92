#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace graft {

/// Counter-based random numbers: pure functions of a key and a counter, so order, splits, dropout and initial
/// weights are the same wherever and in whatever order they are computed. Source: Salmon et al., "Parallel
/// Random Numbers: As Easy as 1, 2, 3" (2011), Philox4x32-10.
using PhiloxCounter = std::array<std::uint32_t, 4>;
using PhiloxKey = std::array<std::uint32_t, 2>;
std::array<std::uint32_t, 4> philox(PhiloxCounter counter, PhiloxKey key);

/// A 64-bit key made of several words (seed, epoch, purpose…): a fixed mixing function, stable across
/// releases.
std::uint64_t mix(std::uint64_t a, std::uint64_t b);
/// A stable 64-bit hash of a name, for use as a key.
std::uint64_t hash_name(const char* text, std::size_t size);

/// Random numbers of one key in counter order. Copyable; the position is the whole state.
class RandomStream {
 public:
  explicit RandomStream(std::uint64_t key, std::uint64_t position = 0) : key_(key), position_(position) {}
  std::uint64_t next();
  /// In [0, 1), 53 bits.
  double uniform();
  /// In [0, bound), without bias. bound > 0.
  std::uint64_t below(std::uint64_t bound);
  /// Standard normal (Box-Muller, one value per call).
  double normal();
  std::uint64_t position() const { return position_; }

 private:
  std::uint64_t key_, position_;
};

/// The permutation of 0 … n-1 that belongs to `key` (Fisher-Yates).
std::vector<std::size_t> permutation(std::size_t n, std::uint64_t key);

}  // namespace graft
