#include "peft/adapter_shelf.h"

#include <ATen/ATen.h>

#include "base/json.h"
#include "evaluate/compare.h"
#include "peft/fixture.h"

namespace graft {
namespace {

constexpr double kTolerance = 1e-4;  // fp32 on both sides, sums in another order

at::Tensor after_prompt(const Decoder& model, const Json& golden) {
  return log_probabilities(model, golden["prompt"].get<std::vector<std::int32_t>>())[-1];
}

void expect_top(const at::Tensor& got, const Json& row) {
  for (const Json& one : row["top"])
    EXPECT_NEAR(got[one[0].get<std::int64_t>()].item<double>(), one[1].get<double>(), kTolerance)
        << row["adapter"] << " scale " << row["scale"];
}

TEST(AdapterShelf, SwitchedAndScaledAdaptersAreThoseOfPeft) {
  const Json golden = read_json(kPeftGolden / "switch.json");
  AdapterShelf shelf(tiny_model());
  const auto key = [](const Json& row) {
    return row["adapter"] == "none" ? std::string("none")
                                    : row["adapter"].get<std::string>() + row["scale"].dump();
  };
  for (const Json& row : golden["rows"])
    if (row["adapter"] != "none")
      shelf.add(key(row), kPeftGolden / row["adapter"].get<std::string>(), row["scale"],
                ZeroAdapter::kRefuse);
  ASSERT_EQ(golden["rows"].size(), 10U);
  // Twice: what was in use before leaves nothing behind.
  for (int round = 0; round < 2; ++round)
    for (const Json& row : golden["rows"]) expect_top(after_prompt(shelf.with(key(row)), golden), row);
}

TEST(AdapterShelf, TheBasesWeightsAreInMemoryOnce) {
  Decoder base = tiny_model();
  const FrozenWeight* const embedding = base.embedding.get();
  const FrozenWeight* const down = base.blocks[1].mlp.down.linears[0].weight.get();
  AdapterShelf shelf(std::move(base));
  shelf.add("plain", kPeftGolden / "plain", 1.0, ZeroAdapter::kRefuse);
  for (const char* name : {"none", "plain"}) {
    EXPECT_EQ(shelf.with(name).embedding.get(), embedding);
    EXPECT_EQ(shelf.with(name).blocks[1].mlp.down.linears[0].weight.get(), down);
  }
  EXPECT_EQ(shelf.with("none").blocks[1].mlp.down.adapter, nullptr);
}

TEST(AdapterShelf, AnAbsentNameIsAnErrorThatListsTheNames) {
  AdapterShelf shelf(tiny_model());
  shelf.add("plain", kPeftGolden / "plain", 1.0, ZeroAdapter::kRefuse);
  const Error error = error_of([&] { shelf.with("plan"); });
  EXPECT_EQ(error.code(), ExitCode::kUsage);
  EXPECT_TRUE(says(error, "there are: none, plain")) << error.what();
  EXPECT_TRUE(says(error, "did you mean plain")) << error.hint();
  EXPECT_TRUE(says(error_of([&] { shelf.add("plain", kPeftGolden / "rslora", 1.0, ZeroAdapter::kRefuse); }),
                   "two adapters are called plain"));
  EXPECT_TRUE(says(error_of([&] { shelf.add("none", kPeftGolden / "rslora", 1.0, ZeroAdapter::kRefuse); }),
                   "called none"));
}

TEST(AdapterShelf, AMethodWithoutScalingIsNotScaled) {
  AdapterShelf shelf(
      load_model({.path = (kGolden / "families/llama").string(), .dtype = ComputeDType::kF32}));
  const Path ia3 = kPeftGolden / "methods/llama_ia3";
  shelf.add("ia3", ia3, 1.0, ZeroAdapter::kRefuse);
  const Error error = error_of([&] { shelf.add("half", ia3, 0.5, ZeroAdapter::kRefuse); });
  EXPECT_EQ(error.code(), ExitCode::kUsage);
  EXPECT_TRUE(says(error, "has no scaling to multiply (got 0.5)")) << error.what();
}

TEST(AdapterShelf, AnAdapterThatDoesNotLoadChangesNothing) {
  AdapterShelf shelf(tiny_model());
  EXPECT_THROW(shelf.add("lost", kPeftGolden / "nowhere", 1.0, ZeroAdapter::kRefuse), Error);
  EXPECT_THROW(shelf.with("lost"), Error);
}

}  // namespace
}  // namespace graft
