#include "base/console.h"

#include <gtest/gtest.h>

namespace graft {
namespace {

TEST(Console, WritesPlainLinesAndNoProgressIntoAFile) {
  ::testing::internal::CaptureStderr();
  say("one");
  show_progress("50 %");
  warn("two");
  show_progress("");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "one\nwarning: two\n");
}

}  // namespace
}  // namespace graft
