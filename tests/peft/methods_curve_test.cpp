#include <ATen/ATen.h>

#include <cmath>

#include "peft/tiny_families.h"
#include "train/adamw.h"
#include "train/step.h"

namespace graft {
namespace {

// Relative, of every loss over 10 steps; fp32 on both sides.
constexpr double kTolerance = 1e-3;
const Path kMethods = kPeftGolden / "methods";

class MethodsCurve : public testing::TestWithParam<const char*> {
 protected:
  Json golden_ = read_json(kMethods / "curves.json");
  const Json& curve() const { return golden_["curves"][GetParam()]; }
  Decoder base() const { return base_of(GetParam()); }

  OptimOptions optim() const {
    OptimOptions options;
    options.learning_rate = golden_["learning_rate"].get<double>();
    options.weight_decay = golden_["weight_decay"].get<double>();
    options.loraplus_lr_embedding = golden_["loraplus_lr_embedding"].get<double>();
    const bool plus = std::string(GetParam()).find("loraplus") != std::string::npos;
    if (plus) options.loraplus_lr_ratio = golden_["loraplus_lr_ratio"].get<double>();
    return options;
  }

  void expect_curve(Decoder& model, const AdapterSet& set) const {
    std::vector<Example> examples;
    for (const Json& row : golden_["rows"])
      examples.push_back(example_of(row["input_ids"].get<std::vector<std::int32_t>>(),
                                    row["labels"].get<std::vector<std::int32_t>>(), examples.size()));
    AdamW optimizer(set.parameters, optim());
    Plan plan;
    plan.micro_batch_tokens = 64;
    const auto batch = golden_["batch"].get<std::size_t>();
    for (std::size_t step = 0; step < curve()["losses"].size(); ++step) {
      const Step packs = make_step(examples, {step * batch, step * batch + 1}, plan.micro_batch_tokens);
      const double loss =
          accumulate_gradients(model, packs, plan, {}, examples, [] { return false; }).value();
      const double wanted = curve()["losses"][step].get<double>();
      EXPECT_LT(std::abs(loss - wanted) / wanted, kTolerance) << "step " << step + 1;
      const double norm = optimizer.clip(1.0), wanted_norm = curve()["grad_norms"][step].get<double>();
      EXPECT_LT(std::abs(norm - wanted_norm) / wanted_norm, 10 * kTolerance) << "step " << step + 1;
      optimizer.step(optim().learning_rate);
    }
  }
};

using StoredCurve = MethodsCurve;
TEST_P(StoredCurve, TenStepsAreThoseOfPeft) {
  Decoder model = base();
  const AdapterSet set =
      load_adapter(model, kMethods / ("curve_" + std::string(GetParam())), ZeroAdapter::kAccept);
  expect_curve(model, set);
}
INSTANTIATE_TEST_SUITE_P(Peft, StoredCurve,
                         testing::Values("llama_dora", "qwen2_dora", "llama_loraplus", "qwen2_loraplus_dora",
                                         "gemma2_loraplus"),
                         [](const auto& info) { return std::string(info.param); });

/// Training that starts from parts of the base's own weights.
class DerivedCurve : public MethodsCurve {
 protected:
  LoraOptions options() const { return options_in_pefts_words(curve()["options"]); }

  static at::Tensor chosen_log_probs(const Decoder& model) {
    return all_log_probs(model).slice(0, 0, std::nullopt, 3).slice(1, 0, std::nullopt, 7).flatten();
  }
};

TEST_P(DerivedCurve, TenStepsAreThoseOfPeftAndTheFileIsAPlainLora) {
  Decoder model = base();
  const at::Tensor before = chosen_log_probs(model);
  const AdapterSet set = attach_adapters(model, options(), 1);
  EXPECT_LT(largest_difference(chosen_log_probs(model), before), 1e-6) << "it starts from the base";
  expect_curve(model, set);
  const auto values = curve()["log_probs"].get<std::vector<double>>();
  const at::Tensor wanted = at::tensor(values, at::kDouble), trained = chosen_log_probs(model);
  EXPECT_LT(largest_difference(trained, wanted), 1e-2);

  const TestFolder folder;
  save_adapter(set, folder.path(), "base", {});
  if (curve().contains("tensors")) {
    const SafetensorsFile file(folder.path() / "adapter_model.safetensors");
    EXPECT_EQ(file.tensors().size(), curve()["tensors"].size());
    for (const auto& [name, shape] : curve()["tensors"].items()) {
      ASSERT_NE(file.find(name), nullptr) << name;
      EXPECT_EQ(file.find(name)->shape, shape.get<std::vector<std::int64_t>>()) << name;
    }
    const Json config = read_json(folder.path() / "adapter_config.json");
    for (const auto& [key, value] : curve()["config"].items())
      if (key == "lora_alpha")
        EXPECT_NEAR(config[key].get<double>(), value.get<double>(), 1e-12);
      else
        EXPECT_EQ(config[key], value) << key;
  }
  Decoder plain = base();
  load_adapter(plain, folder.path(), ZeroAdapter::kRefuse);
  EXPECT_LT(largest_difference(chosen_log_probs(plain), trained), 1e-4);

  Decoder resumed = base();
  const AdapterSet other = attach_adapters(resumed, options(), 2);
  restore_adapter(other, folder.path());
  for (std::size_t i = 0; i < set.parameters.size(); ++i)
    EXPECT_TRUE(at::equal(other.parameters[i].value, set.parameters[i].value)) << set.parameters[i].name;
  EXPECT_EQ(largest_difference(chosen_log_probs(resumed), trained), 0.0);
}
INSTANTIATE_TEST_SUITE_P(Peft, DerivedCurve,
                         testing::Values("llama_pissa", "qwen2_pissa_rslora", "gemma2_olora",
                                         "llama_olora_pattern"),
                         [](const auto& info) { return std::string(info.param); });

// The subspace that a few rounds find is that of the exact factors, where the weight has one to find.
TEST(Pissa, ARandomisedSvdFindsTheExactOne) {
  Decoder model = tiny_model();
  LoraOptions options;
  options.r = 4;
  options.target_modules = {.all_linear = false, .names = {"q_proj"}};
  options.init = LoraInit::kPissa;
  Decoder other = tiny_model();
  const AdapterSet exact = attach_adapters(model, options, 1);
  options.pissa_niter = 64;
  const AdapterSet drawn = attach_adapters(other, options, 1);
  for (std::size_t i = 0; i < exact.parameters.size(); i += 2) {
    const at::Tensor wanted = exact.parameters[i + 1].value.mm(exact.parameters[i].value),
                     got = drawn.parameters[i + 1].value.mm(drawn.parameters[i].value);
    EXPECT_LT(relative_difference(got, wanted), 1e-3) << exact.parameters[i].name;
  }
}

}  // namespace
}  // namespace graft
