#include "base/format.h"

#include <gtest/gtest.h>

namespace graft {
namespace {

TEST(Format, GivesWhatPrintfPrintsAtAnyLength) {
  EXPECT_EQ(format("%-4s|%5.2f|%lld", "ab", 3.14159, 7LL), "ab  | 3.14|7");
  EXPECT_EQ(format("%s", std::string(5000, 'x').c_str()), std::string(5000, 'x'));
  EXPECT_EQ(format("100 %%"), "100 %");
}

TEST(Counted, SaysOneAndMany) {
  EXPECT_EQ(counted(1, "step"), "1 step");
  EXPECT_EQ(counted(0, "step"), "0 steps");
  EXPECT_EQ(counted(1200, "step"), "1,200 steps");
}

}  // namespace
}  // namespace graft
