#include <gtest/gtest.h>

#include "base/json.h"

#include "expect_error.h"
#include "temporary_folder.h"

namespace graft {
namespace {

std::string message_of(std::string_view text, const JsonLimits& limits = {}) {
  return error_of([&] { parse_json(text, "x.json", limits); }).what();
}

TEST(ParseJson, KeepsTheOrderOfKeysAndEveryKindOfValue) {
  const std::string_view text =
      R"({"z":[1,-2,2.5,1e3,true,false,null],"a":{"b":"c"},"big":18446744073709551615,"empty":[{},[],""]})";
  EXPECT_EQ(
      to_text(parse_json(text, "x")),
      R"({"z":[1,-2,2.5,1000.0,true,false,null],"a":{"b":"c"},"big":18446744073709551615,"empty":[{},[],""]})");
}

TEST(ParseJson, SkipsAByteOrderMarkAndSpaceAround) {
  EXPECT_EQ(parse_json("\xEF\xBB\xBF\r\n\t [1] \n", "x").size(), 1U);
}

TEST(ParseJson, DecodesEscapes) {
  EXPECT_EQ(parse_json(R"("\"\\\/\b\f\n\r\t\u00e9\u4f60\ud83d\ude00\u0000")", "x").get<std::string>(),
            std::string("\"\\/\b\f\n\r\té你😀\0", 18));
}

TEST(ParseJson, ReadsNumbersExactly) {
  EXPECT_EQ(parse_json("9223372036854775807", "x").get<std::int64_t>(), INT64_MAX);
  EXPECT_EQ(parse_json("-9223372036854775808", "x").get<std::int64_t>(), INT64_MIN);
  EXPECT_TRUE(parse_json("18446744073709551616", "x").is_number_float());
  EXPECT_EQ(parse_json("0.1", "x").get<double>(), 0.1);
  EXPECT_EQ(parse_json("2.2250738585072011e-308", "x").get<double>(), 2.2250738585072011e-308);
  EXPECT_EQ(parse_json("1e-999", "x").get<double>(), 0.0);
}

TEST(ParseJson, NamesLineAndColumnOfTheMistake) {
  EXPECT_EQ(message_of("{\n \"a\": 1,\n \"é\": tru }"), "x.json:3:7: unexpected `t` (want a JSON value)");
  EXPECT_EQ(message_of("[1 2]"), "x.json:1:4: unexpected `2` (want `,` or `]`)");
  EXPECT_EQ(message_of("{} x"), "x.json:1:4: text after the JSON value");
  EXPECT_EQ(message_of(" "), "x.json:1:2: empty, want a JSON value");
}

TEST(ParseJson, NamesOnlyTheColumnWhereTheSourceIsALine) {
  EXPECT_EQ(std::string(error_of([] { parse_json("[1", "rows.jsonl:17"); }).what()),
            "rows.jsonl:17:3: the text ends too early (want `,` or `]`)");
}

TEST(ParseJson, RefusesDuplicateKeysInSmallAndLargeObjects) {
  EXPECT_EQ(message_of("{\"a\":1,\n\"a\":2}"), "x.json:2:1: duplicate key `a`");
  EXPECT_EQ(message_of(R"({"a":1,"\u0061":2})"), "x.json:1:8: duplicate key `a`");
  std::string large = "{";
  for (int i = 0; i < 1000; ++i) large += "\"" + std::to_string(i) + "\":0,";
  EXPECT_TRUE(contains(message_of(large + "\"500\":1}"), "duplicate key `500`"));
  EXPECT_EQ(parse_json(large + "\"last\":1}", "x").size(), 1001U);
}

TEST(ParseJson, RefusesTextThatIsNotStrictJson) {
  for (const char* text : {"[1,]",
                           "{\"a\":1,}",
                           "{a:1}",
                           "{'a':1}",
                           "NaN",
                           "Infinity",
                           "-",
                           "+1",
                           "01",
                           "-01",
                           "1.",
                           ".5",
                           "1e",
                           "1e+",
                           "0x10",
                           "tru",
                           "nulls",
                           "\"\n\"",
                           "\"\\x\"",
                           "\"\\u12\"",
                           "\"\\u12g4\"",
                           "\"\\ud800\"",
                           "\"\\udc00\"",
                           "\"\\ud800\\u0041\"",
                           "\"abc",
                           "\"\\",
                           "// c\n1",
                           "[1",
                           "{\"a\"",
                           "{\"a\":",
                           "]",
                           "\"\xFF\"",
                           "\"\xC0\x80\"",
                           "\"\xED\xA0\x80\"",
                           "1e999",
                           "\"\x01\"",
                           "[]]",
                           ""}) {
    EXPECT_THROW(parse_json(text, "x"), Error) << text;
  }
}

TEST(ParseJson, RefusesDepthBeforeTheStackFeelsIt) {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_NO_THROW(parse_json(nested(64), "x"));
  EXPECT_TRUE(contains(message_of(nested(65)), "x.json:1:65: nested too deep"));
  EXPECT_TRUE(contains(message_of(std::string(100'000, '[')), "nested too deep"));
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_TRUE(contains(message_of(objects), "nested too deep"));
}

TEST(ParseJson, RefusesMoreBytesThanItsLimit) {
  EXPECT_NO_THROW(parse_json("[1]", "x", {.max_bytes = 3}));
  EXPECT_TRUE(contains(message_of("[12]", {.max_bytes = 3}), "too large"));
}

TEST(ParseJson, AgreesWithTheLibraryOnRoundTrips) {
  const std::string_view text = R"({"a":[0.1,1e-7,123456789012345678,-0.0,5e-324],"b":"\u001f\u007f"})";
  const Json ours = parse_json(text, "x");
  EXPECT_EQ(ours, Json::parse(text));
  EXPECT_EQ(parse_json(to_text(ours), "x"), ours);
  EXPECT_EQ(parse_json(to_text(ours, 2), "x"), ours);
}

TEST(ReadJson, NamesTheFile) {
  const TemporaryFolder folder;
  write_file(folder / "c.json", "{");
  EXPECT_TRUE(contains(error_of([&] { read_json(folder / "c.json"); }).what(),
                       (folder / "c.json").string() + ":1:2: "));
}

}  // namespace
}  // namespace graft
