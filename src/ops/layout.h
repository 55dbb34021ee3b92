#pragma once

#include <cstdint>
#include <vector>

namespace graft {

/// How the T tokens of a pack divide into sequences: sequence n is [starts[n], starts[n+1]).
struct PackLayout {
  std::vector<std::int64_t> starts;  ///< [N+1], 0 … T, strictly increasing
  std::vector<std::uint64_t> ids;  ///< [N] keys of the sequences' dropout masks; may be empty without dropout

  std::int64_t tokens() const { return starts.back(); }
  std::int64_t sequences() const { return static_cast<std::int64_t>(starts.size()) - 1; }
  std::int64_t longest() const;
  /// One sequence of T tokens.
  static PackLayout single(std::int64_t tokens) { return {{0, tokens}, {0}}; }
};

/// Key of all dropout masks of an epoch. With a module's key, an example's id, the position in the example
/// and the channel it decides a mask bit: a pure function, so recomputation draws the same mask.
struct DropoutKey {
  std::uint64_t seed = 0;
  std::int64_t epoch = 0;
};

}  // namespace graft
