#include <ATen/ATen.h>

#include <algorithm>
#include <filesystem>

#include "adapters/combine.h"
#include "adapters/difference.h"
#include "adapters/recast.h"
#include "adapters/rename.h"
#include "adapters/report.h"
#include "adapters/resize.h"
#include "evaluate/compare.h"
#include "peft/adapter_maker.h"
#include "peft/fixture.h"

namespace graft {
namespace {

/// fp32 on both sides, sums in another order.
constexpr double kTolerance = 1e-4;
const Path kMethods = kPeftGolden / "methods";

Decoder base_of(const std::string& name) {
  return load_model({.path = (kGolden / "families" / name.substr(0, name.find('_'))).string(),
                     .dtype = ComputeDType::kF32});
}

/// Of the two sequences of scripts/golden/peft_methods.py.
at::Tensor log_probs(const std::string& name, const Path& adapter) {
  Decoder model = base_of(name);
  load_adapter(model, adapter, ZeroAdapter::kRefuse);
  const std::vector<std::int32_t> first = {1, 30, 17, 42, 51, 8, 26, 9, 2}, second = {1, 7, 40, 5, 12};
  return at::cat({log_probabilities(model, first), log_probabilities(model, second)});
}

std::vector<std::string> kinds() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kMethods))
    if (std::filesystem::exists(entry.path() / "expected.safetensors"))
      names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// Each tool on each kind of adapter that PEFT saved: what it writes loads, and computes what PEFT computed
/// with what it was given; or one error says why there is no such thing.
class Kinds : public ::testing::TestWithParam<std::string> {
 protected:
  bool is(const char* kind) const { return GetParam().find(kind) != std::string::npos; }
  AdapterFolder adapter() const { return open_adapter_folder(kMethods / GetParam()); }
  void expect_same(const Path& out) const {
    const auto golden = read_tensors(kMethods / GetParam() / "expected.safetensors").at("log_probs");
    EXPECT_LT(largest_difference(log_probs(GetParam(), out), golden), kTolerance) << GetParam();
  }
  template <class Call>
  void expect_error(const Call& call, const std::string& text) const {
    const Error error = error_of(call);
    EXPECT_EQ(error.code(), ExitCode::kBadInput) << error.what();
    EXPECT_TRUE(says(error, text)) << error.what();
    EXPECT_FALSE(std::filesystem::exists(out_));
  }
  CombineReport combine(const std::vector<double>& weights, const char* method = "cat") const {
    std::vector<WeightedAdapter> adapters;
    for (const double weight : weights) adapters.push_back({adapter(), weight});
    return combine_adapters(adapters, {.method = find_combine_method(method)}, out_);
  }

  TestFolder folder_;
  const Path out_ = folder_.path() / "out";
};

TEST_P(Kinds, ResizingUpChangesNothing) {
  const auto resize = [&] { resize_adapter(adapter(), 9, out_); };
  if (is("vera") || is("ia3")) return expect_error(resize, "want a LoRA");
  resize();
  expect_same(out_);
}

TEST_P(Kinds, ResizingDownCanBeLoaded) {
  if (is("vera") || is("ia3")) GTEST_SKIP() << "no LoRA";
  for (const ResizedModule& module : resize_adapter(adapter(), 1, out_)) {
    EXPECT_GT(module.kept, 0.1);
    EXPECT_LE(module.kept, 1.0);
  }
  log_probs(GetParam(), out_);
}

TEST_P(Kinds, HalfAndHalfIsTheSame) {
  const auto halves = [&] { combine({0.5, 0.5}); };
  if (is("vera")) return expect_error(halves, "want a LoRA");
  if (is("dora")) return expect_error(halves, "what DoRA adds is no sum");
  halves();
  expect_same(out_);
}

TEST_P(Kinds, OneOfWeightOneIsTheSame) {
  if (is("vera")) GTEST_SKIP() << "no LoRA";
  combine({1.0}, "linear");
  expect_same(out_);
}

// Another weight moves what replaces the base's own by a part of what only the base could tell.
TEST_P(Kinds, HalfOfOneIsRefusedWhereTheBaseWouldCount) {
  const auto half = [&] { combine({0.5}); };
  if (is("vera")) return expect_error(half, "want a LoRA");
  if (is("dora")) return expect_error(half, "what DoRA adds is no sum");
  if (is("saved") || is("tokens") || is("bias_all") || is("bias_lora_only"))
    return expect_error(half, "must sum to 1 (got 0.5)");
  half();
  log_probs(GetParam(), out_);
}

TEST_P(Kinds, CastRenameInspectAndDiffTakeAll) {
  cast_adapter(adapter(), DType::kF32, out_);
  expect_same(out_);
  rename_adapter(adapter(), {}, folder_.path() / "renamed");
  expect_same(folder_.path() / "renamed");
  const AdapterReport report = report_adapter(adapter());
  EXPECT_FALSE(report.changes_nothing);
  EXPECT_GT(report.modules.size() + report.others.size(), 0U);
  const AdapterDifference same = compare_adapters(adapter(), adapter());
  EXPECT_LT(same.total.norm, 1e-6 * (1 + same.total.norm_first));
  EXPECT_TRUE(same.other_tensors.empty());
}

INSTANTIATE_TEST_SUITE_P(Methods, Kinds, ::testing::ValuesIn(kinds()),
                         [](const auto& info) { return info.param; });

TEST(CombineVectors, AreSummedAsPeftsIa3ModelDoesAndOnesStandForNone) {
  const TestFolder folder;
  const std::string q = "base_model.model.model.layers.0.self_attn.k_proj.ia3_l";
  const std::string down = "base_model.model.model.layers.0.mlp.down_proj.ia3_l";
  MadeAdapter one, two;
  one.config = {{"peft_type", "IA3"}, {"target_modules", {"k_proj"}}, {"feedforward_modules", Json::array()}};
  two.config = {{"peft_type", "IA3"},
                {"target_modules", {"k_proj", "down_proj"}},
                {"feedforward_modules", {"down_proj"}}};
  one.tensors = {{q, at::randn({6, 1})}};
  two.tensors = {{q, at::randn({6, 1})}, {down, at::randn({1, 10})}};
  one.write(folder.path() / "one");
  two.write(folder.path() / "two");
  const std::vector<WeightedAdapter> both = {{open_adapter_folder(folder.path() / "one"), 0.7},
                                             {open_adapter_folder(folder.path() / "two"), 0.3}};
  combine_adapters(both, {.method = find_combine_method("linear")}, folder.path() / "out");
  const auto written = read_tensors(folder.path() / "out/adapter_model.safetensors");
  EXPECT_LT(largest_difference(written.at(q), 0.7 * one.tensors[q] + 0.3 * two.tensors[q]), 1e-6);
  EXPECT_LT(largest_difference(written.at(down), 0.7 + 0.3 * two.tensors[down]), 1e-6);
  const Json config = read_json(folder.path() / "out/adapter_config.json");
  EXPECT_EQ(config["target_modules"], Json({"down_proj", "k_proj"}));
  EXPECT_EQ(config["feedforward_modules"], Json({"down_proj"}));
  const Error pruned = error_of([&] {
    combine_adapters(both, {.method = find_combine_method("ties"), .density = 0.5}, folder.path() / "no");
  });
  EXPECT_TRUE(says(pruned, "has vectors")) << pruned.what();
}

TEST(CombineTokens, RowsOfBothAreInTheResultWithTheirOwnWeights) {
  const TestFolder folder;
  const std::string key = "base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta";
  MadeAdapter one, two;
  one.config["trainable_token_indices"] = {7, 3};
  two.config["trainable_token_indices"] = {3, 9};
  one.tensors[key] = at::randn({2, 5});
  two.tensors[key] = at::randn({2, 5});
  const auto combine = [&](double first, double second) {
    one.write(folder.path() / "one");
    two.write(folder.path() / "two");
    combine_adapters({{open_adapter_folder(folder.path() / "one"), first},
                      {open_adapter_folder(folder.path() / "two"), second}},
                     {.method = find_combine_method("cat")}, folder.path() / "out");
  };
  EXPECT_TRUE(says(error_of([&] { combine(0.5, 0.5); }), "the row of token 7 replaces the base's own"));
  two.config["trainable_token_indices"] = {3, 7};
  combine(0.25, 0.75);
  const at::Tensor rows = read_tensors(folder.path() / "out/adapter_model.safetensors").at(key);
  EXPECT_LT(largest_difference(rows[0], 0.25 * one.tensors[key][0] + 0.75 * two.tensors[key][1]), 1e-6);
  EXPECT_LT(largest_difference(rows[1], 0.25 * one.tensors[key][1] + 0.75 * two.tensors[key][0]), 1e-6);
  EXPECT_EQ(read_json(folder.path() / "out/adapter_config.json")["trainable_token_indices"], Json({7, 3}));
}

TEST(CombineBiases, OfBAreTheWeightedSumTimesTheScales) {
  const TestFolder folder;
  const std::string q = "model.layers.0.self_attn.q_proj", v = "model.layers.0.self_attn.v_proj";
  const auto key = [](const std::string& module) { return "base_model.model." + module + ".lora_B.bias"; };
  MadeAdapter one(1), two(2);
  one.config["lora_bias"] = true;
  one.tensors[key(q)] = at::randn({12});
  one.tensors[key(v)] = at::randn({6});
  one.write(folder.path() / "one");
  two.write(folder.path() / "two");
  combine_adapters(
      {{open_adapter_folder(folder.path() / "two"), 1.0}, {open_adapter_folder(folder.path() / "one"), -0.5}},
      {.method = find_combine_method("svd")}, folder.path() / "out");
  const auto written = read_tensors(folder.path() / "out/adapter_model.safetensors");
  EXPECT_LT(largest_difference(written.at(key(q)), -0.5 * 2.0 * one.tensors[key(q)]), 1e-6);  // alpha 8, r 4
  EXPECT_EQ(read_json(folder.path() / "out/adapter_config.json")["lora_bias"], true);
}

}  // namespace
}  // namespace graft
