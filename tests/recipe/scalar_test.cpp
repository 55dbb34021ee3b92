#include "recipe/scalar.h"

#include <gtest/gtest.h>

namespace graft {
namespace {

TEST(Scalar, NumbersAreReadAsDecimalsWithExponentsAndSuffixes) {
  EXPECT_EQ(parse_number("3"), 3.0);
  EXPECT_EQ(parse_number("-3"), -3.0);
  EXPECT_EQ(parse_number("+3"), 3.0);
  EXPECT_EQ(parse_number("0"), 0.0);
  EXPECT_EQ(parse_number("0.5"), 0.5);
  EXPECT_EQ(parse_number(".5"), 0.5);
  EXPECT_EQ(parse_number("5."), 5.0);
  EXPECT_EQ(parse_number("1e-4"), 1e-4);
  EXPECT_EQ(parse_number("2e-4"), 2e-4);
  EXPECT_EQ(parse_number("2.0e-4"), 2e-4);
  EXPECT_EQ(parse_number("1E+3"), 1000.0);
  EXPECT_EQ(parse_number("1e-08"), 1e-8);
  EXPECT_EQ(parse_number("2k"), 2000.0);
  EXPECT_EQ(parse_number("1.5k"), 1500.0);
  EXPECT_EQ(parse_number("1M"), 1000000.0);
}

TEST(Scalar, WhatOtherReadersTakeForNumbersIsNone) {
  for (const char* word : {"",      "-",    "+",     ".",     "e5",  "010",   "00",  "-01",   "0x10",  "0o17",
                           "1_000", ".inf", "-.inf", ".nan",  "inf", "nan",   "NaN", "1e",    "1e+",   "1e5k",
                           "1kk",   "k",    "2K",    "1 000", "1,5", "1e999", "--1", "1.2.3", "12:30", "٣"}) {
    EXPECT_EQ(parse_number(word), std::nullopt) << word;
  }
}

TEST(Scalar, IntegersHaveNoFractionAndFit) {
  EXPECT_EQ(parse_integer("1e3"), 1000);
  EXPECT_EQ(parse_integer("2k"), 2000);
  EXPECT_EQ(parse_integer("1.5k"), 1500);
  EXPECT_EQ(parse_integer("9223372036854775807"), INT64_MAX);
  for (const char* word : {"3.0", "3.", "1e-1", "1.5", "9223372036854775808", "1e30", "0.0015k"}) {
    EXPECT_EQ(parse_integer(word), std::nullopt) << word;
  }
}

TEST(Scalar, WordsThatAnyYamlReaderRetypesAreKnown) {
  for (const char* word :
       {"true",  "False", "YES", "no",   "on",  "Off", "y",     "N",    "null", "~",     "",      ".inf",
        "-.INF", ".NaN",  "1",   "-2.5", "1e5", "010", "1_000", "0x1F", "0o7",  "12:30", "1e999", "2k"}) {
    EXPECT_TRUE(reads_as_other_type(word)) << word;
  }
  for (const char* word : {"none", "auto", "runs/a", "cafe", "bad", "deed", "1a", "2024-01-31-run", "0xyz",
                           "3rd", "-x", "e", ".hidden", "..", "./a", "-", "nope", "7B-model"}) {
    EXPECT_FALSE(reads_as_other_type(word)) << word;
  }
}

TEST(Scalar, RangesSayWhatTheyContain) {
  EXPECT_EQ(from(1).text(), "from 1");
  EXPECT_EQ(above(0).text(), "above 0");
  EXPECT_EQ(between(0, 1).text(), "from 0 to 1");
  EXPECT_EQ(from_to_below(0, 1).text(), "from 0 to below 1");
  EXPECT_EQ(Range{}.text(), "");
  EXPECT_TRUE(from(1).contains(1));
  EXPECT_FALSE(above(0).contains(0));
  EXPECT_TRUE(between(0, 1).contains(1));
  EXPECT_FALSE(from_to_below(0, 1).contains(1));
}

}  // namespace
}  // namespace graft
