#include "base/checked.h"

#include <gtest/gtest.h>

#include "expect_error.h"

namespace graft {
namespace {

TEST(Checked, RefusesResultsThatDoNotFit) {
  EXPECT_EQ(checked_add<std::int64_t>(INT64_MAX - 1, 1, "sum"), INT64_MAX);
  EXPECT_THROW(checked_add<std::int64_t>(INT64_MAX, 1, "sum"), Error);
  EXPECT_THROW(checked_mul<std::uint64_t>(1ULL << 33, 1ULL << 31, "product"), Error);
  EXPECT_EQ((narrow<std::uint8_t>(255, "byte")), 255);
  EXPECT_THROW((narrow<std::uint8_t>(256, "byte")), Error);
  EXPECT_THROW((narrow<std::uint64_t>(-1, "size")), Error);
  EXPECT_EQ(std::string(error_of([] { narrow<std::int32_t>(1LL << 40, "rank"); }).what()),
            "rank is out of range: 1099511627776");
}

TEST(Check, CarriesCodeAndHint) {
  const Error error =
      error_of([] { check(false, ExitCode::kUsage, "a.yaml:1:2: got ", 3, Hint{"write 4"}); });
  EXPECT_EQ(error.code(), ExitCode::kUsage);
  EXPECT_STREQ(error.what(), "a.yaml:1:2: got 3");
  EXPECT_EQ(error.hint(), "write 4");
  EXPECT_EQ(error_of([] { fail("x"); }).code(), ExitCode::kBadInput);
}

}  // namespace
}  // namespace graft
