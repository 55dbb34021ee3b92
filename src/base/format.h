#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace graft {

/// The text that printf would print. Source: ISO C, 7.21.6.1.
[[gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...);
/// "1 step", "1,200 steps".
std::string counted(std::int64_t count, std::string_view noun);

}  // namespace graft
