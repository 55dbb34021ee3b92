#pragma once

#include <cstdint>

namespace graft {

/// `count` rows of `width` numbers, `stride` numbers from one to the next.
template <class T>
struct RowView {
  T* data;
  std::int64_t stride, count, width;
};

}  // namespace graft
