#pragma once

#include <cstddef>
#include <functional>
#include <string_view>

namespace graft {

/// Calls `work(i)` for every i in [0, count), on all cores. Calls must not depend on one another. Of several
/// failures the one of the smallest i is thrown, so errors are the same in every run. `what` names the work
/// in the progress line of a terminal. Error kStopped where a stop signal came.
void for_each_parallel(std::size_t count, std::string_view what,
                       const std::function<void(std::size_t)>& work);

}  // namespace graft
