#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>

#include "base/error.h"

namespace graft {

/// a + b, or Error naming `what` where the sum does not fit.
template <class Integer>
Integer checked_add(Integer a, Integer b, const char* what) {
  Integer sum;
  check(!__builtin_add_overflow(a, b, &sum), what, " is too large: ", a, " + ", b);
  return sum;
}

/// a * b, or Error naming `what` where the product does not fit.
template <class Integer>
Integer checked_mul(Integer a, Integer b, const char* what) {
  Integer product;
  check(!__builtin_mul_overflow(a, b, &product), what, " is too large: ", a, " * ", b);
  return product;
}

/// `value` as another integer type, or Error naming `what` where it does not fit.
template <class To, class From>
To narrow(From value, const char* what) {
  To result;
  check(!__builtin_add_overflow(value, From{0}, &result), what, " is out of range: ", value);
  return result;
}

}  // namespace graft
