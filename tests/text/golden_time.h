#pragma once

#include <ctime>

namespace graft {

/// 2026-03-09 14:05:07, a Monday: the time at which scripts/golden/fixed_date.py lets templates be rendered.
inline std::tm golden_time() {
  std::tm now{};
  now.tm_year = 2026 - 1900;
  now.tm_mon = 2;
  now.tm_mday = 9;
  now.tm_hour = 14;
  now.tm_min = 5;
  now.tm_sec = 7;
  now.tm_wday = 1;
  now.tm_yday = 67;
  return now;
}

}  // namespace graft
