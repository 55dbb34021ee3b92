#include "base/json.h"

#include <gtest/gtest.h>

#include "expect_error.h"

namespace graft {
namespace {

class JsonViewTest : public ::testing::Test {
 protected:
  Json json_ = parse_json(R"({"n":5,"big":18446744073709551615,"f":3.0,"s":"x","no":null,"yes":true,
                              "list":[1,"two"],"a/b~c":{"d":false}})",
                          "c.json");
  JsonView view_{json_, "c.json"};

  template <class Work>
  std::string message(const Work& work) {
    return error_of(work).what();
  }
};

TEST_F(JsonViewTest, GivesTypedValues) {
  EXPECT_EQ(view_.at("n").as_int(), 5);
  EXPECT_EQ(view_.at("n").as_double(), 5.0);
  EXPECT_EQ(view_.at("f").as_double(), 3.0);
  EXPECT_EQ(view_.at("s").as_string(), "x");
  EXPECT_TRUE(view_.at("yes").as_bool());
  EXPECT_EQ(view_.at("list").at(1).as_string(), "two");
  EXPECT_EQ(view_.at("list").size(), 2U);
}

TEST_F(JsonViewTest, FindsNothingWhereAKeyIsAbsentOrNull) {
  EXPECT_FALSE(view_.find("missing").has_value());
  EXPECT_FALSE(view_.find("no").has_value());
  EXPECT_TRUE(view_.find("n").has_value());
}

TEST_F(JsonViewTest, NamesSourceAndPointerInErrors) {
  EXPECT_EQ(message([&] { view_.at("missing"); }), "c.json: /missing: missing");
  EXPECT_EQ(message([&] { view_.at("s").as_int(); }), "c.json: /s: got a string, want an integer");
  EXPECT_EQ(message([&] { view_.at("f").as_int(); }),
            "c.json: /f: got a number with a fraction, want an integer");
  EXPECT_EQ(message([&] { view_.at("list").at(2); }), "c.json: /list: got 2 elements, want more than 2");
  EXPECT_EQ(message([&] { view_.at("list").at(1).as_bool(); }),
            "c.json: /list/1: got a string, want a boolean");
  EXPECT_EQ(message([&] { view_.at("a/b~c").at("d").as_double(); }),
            "c.json: /a~1b~0c/d: got a boolean, want a number");
  EXPECT_EQ(message([&] { view_.at(0); }), "c.json: got an object, want a list");
  EXPECT_EQ(message([&] { view_.at("n").find("x"); }), "c.json: /n: got an integer, want an object");
}

TEST_F(JsonViewTest, KeepsIntegersInTheirRange) {
  EXPECT_EQ(view_.at("n").as_int(5, 5), 5);
  EXPECT_EQ(message([&] { view_.at("n").as_int(1, 4); }), "c.json: /n: got 5, want 1 to 4");
  EXPECT_EQ(message([&] { view_.at("n").as_int(6); }), "c.json: /n: got 5, want an integer of at least 6");
  EXPECT_THROW(view_.at("big").as_int(), Error);
}

TEST_F(JsonViewTest, VisitsMembersAndElementsInOrder) {
  std::string keys;
  view_.each_member(
      [&](const std::string& key, const JsonView& member) { keys += key + (member.is_null() ? "!" : " "); });
  EXPECT_EQ(keys, "n big f s no!yes list a/b~c ");
  std::string places;
  view_.at("list").each_element([&](const JsonView& element) { places += element.where() + " "; });
  EXPECT_EQ(places, "c.json: /list/0 c.json: /list/1 ");
}

TEST(ToText, KeepsUnicodeAndReplacesBrokenBytes) {
  EXPECT_EQ(to_text(Json("é")), "\"é\"");
  EXPECT_EQ(to_text(Json("a\xFF")), "\"a\xEF\xBF\xBD\"");
  EXPECT_EQ(to_text(Json(0.1)), "0.1");
}

}  // namespace
}  // namespace graft
