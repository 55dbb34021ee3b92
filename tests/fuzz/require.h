#pragma once

namespace graft {

/// Ends a fuzzer where a property does not hold, so that the input is reported.
inline void require(bool holds) {
  if (!holds) __builtin_trap();
}

}  // namespace graft
