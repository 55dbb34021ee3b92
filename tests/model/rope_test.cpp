#include "model/rope.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "model/golden.h"

namespace graft {
namespace {

/// fp32 steps in another library's order.
constexpr double kRelative = 2e-6;

TEST(Rope, AnglesOfEveryScalingAreThoseOfTransformers) {
  const Json golden_file = read_json(golden("families/rope.json"));
  const RopeContext context{.rope_theta = 1.0,
                            .head_dim = golden_file["head_dim"],
                            .max_position_embeddings = golden_file["max_position_embeddings"]};
  ASSERT_EQ(golden_file["cases"].size(), 48U);
  for (const Json& one : golden_file["cases"]) {
    const RopeConfig rope = parse_rope(JsonView(one["parameters"], "rope.json"), context);
    const std::vector<double> angles = rope.frequencies(one["length"]);
    ASSERT_EQ(angles.size(), one["frequencies"].size());
    for (std::size_t i = 0; i < angles.size(); ++i) {
      const double want = one["frequencies"][i];
      EXPECT_NEAR(angles[i], want, kRelative * want) << one["parameters"] << one["length"] << i;
    }
    EXPECT_NEAR(rope.attention_factor, one["attention_factor"].get<double>(), 1e-9) << one["parameters"];
  }
}

TEST(Rope, AnglesDependOnTheLengthForDynamicAndLongropeAlone) {
  RopeConfig rope{.original_max_position_embeddings = 100};
  for (const RopeType type : {RopeType::kDefault, RopeType::kLinear, RopeType::kYarn, RopeType::kLlama3}) {
    rope.type = type;
    EXPECT_TRUE(rope.same_angles(1, 1000));
  }
  rope.type = RopeType::kLongrope;
  EXPECT_TRUE(rope.same_angles(1, 100));
  EXPECT_FALSE(rope.same_angles(100, 101));
  EXPECT_TRUE(rope.same_angles(101, 1000));
  rope.type = RopeType::kDynamic;
  EXPECT_TRUE(rope.same_angles(1, 100));
  EXPECT_FALSE(rope.same_angles(101, 102));
}

std::string refusal(const Json& parameters) {
  try {
    parse_rope(JsonView(parameters, "config.json"),
               {.rope_theta = 1e4, .head_dim = 8, .max_position_embeddings = 64});
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Rope, BrokenParametersAreNamed) {
  EXPECT_NE(refusal({{"rope_type", "mrope"}}).find("mrope"), std::string::npos);
  EXPECT_NE(refusal({{"type", "linear"}}).find("factor"), std::string::npos);
  EXPECT_NE(refusal({{"type", "linear"}, {"factor", 0.0}}).find("/factor"), std::string::npos);
  EXPECT_NE(refusal({{"type", "dynamic"}, {"factor", 0.5}}).find("dynamic"), std::string::npos);
  EXPECT_NE(refusal({{"type", "default"}, {"partial_rotary_factor", 0.4}}).find("partial_rotary_factor"),
            std::string::npos);
  EXPECT_NE(refusal({{"type", "longrope"}, {"factor", 2.0}, {"short_factor", {1.0}}, {"long_factor", {1.0}}})
                .find("/short_factor"),
            std::string::npos);
  EXPECT_NE(
      refusal({{"type", "llama3"}, {"factor", 8.0}, {"low_freq_factor", 4.0}, {"high_freq_factor", 1.0}})
          .find("/high_freq_factor"),
      std::string::npos);
  EXPECT_NE(refusal({{"rope_type", "yarn"}, {"factor", "4"}}).find("/factor"), std::string::npos);
}

}  // namespace
}  // namespace graft
