#pragma once

#include <cstdint>
#include <functional>

namespace graft {

/// Calls body(first, last) for parts that together are [0, rows), on all of libtorch's threads where the work
/// is worth it. `row_elements`: numbers that one row touches. What a row gives must not depend on the cut.
void for_rows(std::int64_t rows, std::int64_t row_elements,
              const std::function<void(std::int64_t first, std::int64_t last)>& body);

}  // namespace graft
