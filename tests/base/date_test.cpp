#include "base/date.h"

#include <gtest/gtest.h>

namespace graft {
namespace {

TEST(Date, ADayIsItsMidnightAndItsWeekday) {
  const auto day = parse_date("2026-03-09");
  ASSERT_TRUE(day);
  EXPECT_EQ(day->tm_year, 126);
  EXPECT_EQ(day->tm_mon, 2);
  EXPECT_EQ(day->tm_mday, 9);
  EXPECT_EQ(day->tm_wday, 1);
  EXPECT_EQ(day->tm_yday, 67);
  EXPECT_EQ(day->tm_hour, 0);
  EXPECT_EQ(format_date(*day), "2026-03-09");
  EXPECT_TRUE(parse_date("2024-02-29"));
}

TEST(Date, WhatIsNoDayIsNothing) {
  for (const char* text : {"", "today", "2026-02-29", "2026-13-01", "2026-00-10", "2026-01-00", "0000-01-01",
                           "2026-1-1", "2026-01-1 ", "2026/01/01", "+026-01-01", "2026-01-011"})
    EXPECT_FALSE(parse_date(text)) << text;
}

TEST(Date, TodayIsADay) { EXPECT_TRUE(parse_date(format_date(local_time()))); }

}  // namespace
}  // namespace graft
