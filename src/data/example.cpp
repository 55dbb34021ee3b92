#include "data/example.h"

#include <algorithm>

namespace graft {
namespace {

std::int64_t count_targets(const std::vector<std::int32_t>& targets) {
  return std::ranges::count_if(targets, [](std::int32_t target) { return target != kNoTarget; });
}

}  // namespace

std::int64_t Example::target_count() const { return count_targets(targets); }
std::int64_t Pack::target_count() const { return count_targets(targets); }

}  // namespace graft
