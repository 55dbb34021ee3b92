#pragma once

#include <ctime>
#include <optional>
#include <string>
#include <string_view>

namespace graft {

/// Now, in the time zone of this machine.
std::tm local_time();

/// "2026-03-09".
std::string format_date(const std::tm& time);

/// Midnight of a day written as YYYY-MM-DD, with its weekday; nothing where there is no such day.
std::optional<std::tm> parse_date(std::string_view text);

}  // namespace graft
