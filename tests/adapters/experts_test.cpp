#include <ATen/ATen.h>

#include <cmath>

#include "adapters/combine.h"
#include "adapters/difference.h"
#include "adapters/recast.h"
#include "adapters/rename.h"
#include "adapters/report.h"
#include "adapters/resize.h"
#include "peft/adapter_maker.h"
#include "peft/family_model.h"

namespace graft {
namespace {

/// fp32 on both sides, sums in another order.
constexpr double kTolerance = 1e-4;

/// Adapters of fused experts, and what PEFT's merged weights compute (scripts/golden/expert_tools.py).
class ExpertTools : public ::testing::TestWithParam<const char*> {
 protected:
  Path file(const char* name) const { return kFamilies / GetParam() / name; }
  AdapterFolder opened(const char* name) const { return open_adapter_folder(file(name)); }
  at::Tensor log_probs(const Path& adapter) const {
    Decoder model = family_model(GetParam());
    load_adapter(model, adapter, ZeroAdapter::kRefuse);
    return family_log_probs(model, GetParam());
  }
  double difference(const Path& adapter, const at::Tensor& wanted) const {
    return largest_difference(log_probs(adapter), wanted);
  }
  std::map<std::string, at::Tensor> golden() const { return read_tensors(file("tools.safetensors")); }
  /// Its experts one by one, as graft writes what it trained.
  Path trained_on(const char* name, const Path& folder) const {
    Decoder model = family_model(GetParam());
    LoraOptions options;
    options.from = file(name).string();
    std::filesystem::create_directories(folder);
    save_adapter(attach_adapters(model, options, 7), folder, "", {});
    return folder;
  }

  TestFolder folder_;
  const Path out_ = folder_.path() / "out";
};

TEST_P(ExpertTools, CatIsTheWeightedSumThatMergedWeightsHave) {
  const CombineReport report = combine_adapters({{opened("resaved"), 0.5}, {opened("parameters"), -0.75}},
                                                {.method = find_combine_method("cat")}, out_);
  EXPECT_LT(report.distance, 1e-6);
  EXPECT_LT(difference(out_, golden().at("combined")), kTolerance);
  EXPECT_GT(difference(file("resaved"), golden().at("combined")), 100 * kTolerance);
}

TEST_P(ExpertTools, SvdOfTheWholeRankIsThatSumToo) {
  combine_adapters({{opened("resaved"), 0.5}, {opened("parameters"), -0.75}},
                   {.method = find_combine_method("svd"), .rank = 7}, out_);
  EXPECT_LT(difference(out_, golden().at("combined")), kTolerance);
}

TEST_P(ExpertTools, EveryMethodScalesOneAdapterByItsWeight) {
  combine_adapters({{opened("resaved"), 0.25}}, {.method = find_combine_method("cat")}, out_);
  const at::Tensor wanted = log_probs(out_);
  for (const CombineMethod& method : combine_methods()) {
    const Path out = folder_.path() / method.name;
    combine_adapters({{opened("resaved"), 0.25}}, {.method = method, .density = 1.0}, out);
    EXPECT_LT(difference(out, wanted), kTolerance) << method.name;
    const AdapterFolder combined = open_adapter_folder(out);
    EXPECT_EQ(combined.config["r"], 2) << method.name;
    // Gate and up stay side by side.
    for (const FactorPair& pair : combined.pairs)
      EXPECT_EQ(pair.rank(), pair.module.ends_with("gate_up_proj") ? 4 : 2) << pair.module;
  }
}

TEST_P(ExpertTools, PruningIsOfEachExpertByItself) {
  combine_adapters({{opened("resaved"), 1.0}},
                   {.method = find_combine_method("magnitude_prune"), .density = 0.5}, out_);
  std::size_t experts = 0;
  const AdapterFolder pruned = open_adapter_folder(out_);
  for (const FactorPair& pair : pruned.pairs) {
    if (!pair.module.ends_with("experts.down_proj")) continue;
    const at::Tensor a = read_values(*pair.a).view({pair.experts, -1});
    for (std::int64_t e = 0; e < pair.experts; ++e, ++experts)
      EXPECT_EQ(a[e].eq(0).sum().item<std::int64_t>(), a[e].numel() - a[e].numel() / 2);
  }
  EXPECT_GT(experts, 4U);
}

TEST_P(ExpertTools, ResizePadsExactly) {
  for (const char* name : {"resaved", "parameters"}) {
    const Path out = folder_.path() / name;
    for (const ResizedModule& module : resize_adapter(opened(name), 5, out)) EXPECT_EQ(module.kept, 1.0);
    EXPECT_LT(difference(out, log_probs(file(name))), kTolerance) << name;
    EXPECT_EQ(read_json(out / "adapter_config.json")["r"], 5);
  }
}

TEST_P(ExpertTools, ResizeTruncatesEachLinearOfEachExpert) {
  const auto wanted = golden();
  std::size_t compared = 0;
  for (const ResizedModule& module : resize_adapter(opened("resaved"), 1, out_)) {
    const bool expert = module.module.find("experts") != std::string::npos;
    const auto kept = wanted.find("kept." + module.module + (expert ? "" : ".weight"));
    ASSERT_NE(kept, wanted.end()) << module.module;
    EXPECT_NEAR(module.kept, kept->second.item<double>(), 1e-5) << module.module;
    ++compared;
  }
  EXPECT_GT(compared, 10U);
  EXPECT_LT(difference(out_, wanted.at("resized")), kTolerance);
}

TEST_P(ExpertTools, InspectReportsEachExpert) {
  const AdapterFolder adapter = opened("parameters");
  const AdapterReport report = report_adapter(adapter);
  std::size_t fused = 0;
  for (std::size_t i = 0; i < report.modules.size(); ++i) {
    const ModuleReport& module = report.modules[i];
    const FactorPair& pair = adapter.pairs[i];
    EXPECT_EQ(module.rank, pair.rank());
    if (pair.experts == 1) continue;
    ++fused;
    // PEFT's own formula: B [out,R,X], A [X,R,in].
    const at::Tensor products = at::einsum(
        "ore,eri->eoi", {read_values(*pair.b).view({-1, pair.rank(), pair.experts}).to(at::kDouble),
                         read_values(*pair.a).view({pair.experts, pair.rank(), -1}).to(at::kDouble)});
    ASSERT_EQ(std::ssize(module.experts), pair.experts);
    EXPECT_NEAR(module.product.norm, pair.scale * products.norm().item<double>(), 1e-9) << module.module;
    for (std::int64_t e = 0; e < pair.experts; ++e) {
      const ProductReport& one = module.experts[static_cast<std::size_t>(e)];
      const at::Tensor values = at::linalg_svdvals(products[e]) * pair.scale;
      EXPECT_NEAR(one.norm, values.norm().item<double>(), 1e-9);
      EXPECT_NEAR(one.largest, values[0].item<double>(), 1e-9);
      const at::Tensor shares = values.narrow(0, 0, pair.rank()) / values.sum();
      EXPECT_NEAR(one.effective_rank, std::exp(-(shares * shares.log()).sum().item<double>()), 1e-6);
    }
  }
  EXPECT_GT(fused, 1U);
}

TEST_P(ExpertTools, DiffIsOfTheProducts) {
  resize_adapter(opened("resaved"), 5, out_);
  const AdapterDifference same = compare_adapters(opened("resaved"), open_adapter_folder(out_));
  EXPECT_LT(same.total.norm, 1e-6 * same.total.norm_first);
  EXPECT_TRUE(same.only_first.empty() && same.only_second.empty());
  const Path half = folder_.path() / "half";
  combine_adapters({{opened("resaved"), 0.5}}, {.method = find_combine_method("cat")}, half);
  const AdapterDifference halved = compare_adapters(opened("resaved"), open_adapter_folder(half));
  for (const ModuleDifference& module : halved.modules) {
    EXPECT_NEAR(module.of.norm, 0.5 * module.of.norm_first, 1e-5 * module.of.norm_first) << module.module;
    EXPECT_NEAR(module.of.cosine, 1.0, 1e-5) << module.module;
  }
}

TEST_P(ExpertTools, CastAndRenameKeepWhatItComputes) {
  const at::Tensor wanted = log_probs(file("parameters"));
  cast_adapter(opened("parameters"), DType::kBF16, folder_.path() / "bf16");
  EXPECT_LT(difference(folder_.path() / "bf16", wanted), 0.1);
  rename_adapter(opened("parameters"), PrefixChange{"model", "model.language_model"}, out_);
  EXPECT_LT(difference(out_, wanted), 1e-6);
  EXPECT_EQ(open_adapter_folder(out_).pairs.front().scaled_by.find("model.language_model."), 0U);
}

TEST_P(ExpertTools, TakeTheFormThatTrainingWritesAsWell) {
  const Path own = trained_on("resaved", folder_.path() / "own");
  for (const FactorPair& pair : open_adapter_folder(own).pairs) EXPECT_EQ(pair.rank(), 2) << pair.module;
  resize_adapter(open_adapter_folder(own), 1, folder_.path() / "small");
  EXPECT_LT(difference(folder_.path() / "small", golden().at("resized")), kTolerance);
  const Path second = trained_on("parameters", folder_.path() / "second");
  combine_adapters({{open_adapter_folder(own), 0.5}, {open_adapter_folder(second), -0.75}},
                   {.method = find_combine_method("cat")}, out_);
  EXPECT_LT(difference(out_, golden().at("combined")), kTolerance);
  const AdapterReport report = report_adapter(open_adapter_folder(out_));
  EXPECT_GT(report.modules.size(), 20U);
  EXPECT_LT(difference(own, log_probs(file("resaved"))), 1e-6);
  rename_adapter(open_adapter_folder(own), PrefixChange{"model", "model.language_model"},
                 folder_.path() / "wrapped");
  EXPECT_LT(difference(folder_.path() / "wrapped", log_probs(own)), 1e-6);
}

TEST_P(ExpertTools, ExpertsInTwoFormsAreNotAdded) {
  const Path own = trained_on("resaved", folder_.path() / "own");
  const Error error = error_of([&] {
    combine_adapters({{opened("resaved"), 1.0}, {open_adapter_folder(own), 1.0}},
                     {.method = find_combine_method("cat")}, out_);
  });
  EXPECT_EQ(error.code(), ExitCode::kBadInput);
  EXPECT_TRUE(says(error, "all of them in one tensor")) << error.what();
  EXPECT_FALSE(std::filesystem::exists(out_));
}

INSTANTIATE_TEST_SUITE_P(Families, ExpertTools, ::testing::Values("qwen3_moe", "mixtral"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace graft
