#include "ops/parallel.h"

#include <ATen/Parallel.h>

#include <algorithm>

namespace graft {

void for_rows(std::int64_t rows, std::int64_t row_elements,
              const std::function<void(std::int64_t first, std::int64_t last)>& body) {
  constexpr std::int64_t kWorthAThread = 16384;  // numbers; about 5 microseconds of a memory-bound pass
  at::parallel_for(0, rows,
                   std::max<std::int64_t>(1, kWorthAThread / std::max<std::int64_t>(1, row_elements)), body);
}

}  // namespace graft
