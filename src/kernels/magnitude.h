#pragma once

#include <cmath>
#include <span>

namespace graft {

/// The largest |value|; NaN where one is NaN. Private to this room.
inline float largest_magnitude(std::span<const float> values) {
  float largest = 0;
  bool is_number = true;
  for (const float value : values) {
    const float magnitude = std::abs(value);
    largest = magnitude > largest ? magnitude : largest;
    is_number &= value == value;
  }
  return is_number ? largest : NAN;
}

}  // namespace graft
