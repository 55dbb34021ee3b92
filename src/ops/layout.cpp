#include "ops/layout.h"

#include <algorithm>

namespace graft {

std::int64_t PackLayout::longest() const {
  std::int64_t longest = 0;
  for (std::size_t n = 0; n + 1 < starts.size(); ++n) longest = std::max(longest, starts[n + 1] - starts[n]);
  return longest;
}

}  // namespace graft
