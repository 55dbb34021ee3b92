#include <ATen/ATen.h>

#include <cmath>

#include "base/json.h"
#include "peft/fixture.h"
#include "train/adamw.h"
#include "train/step.h"

namespace graft {
namespace {

// Relative, of every loss: fp32 on both sides, sums in another order, 20 updates deep.
constexpr double kTolerance = 1e-4;

struct Curve {
  std::vector<double> losses, norms;
};

/// The loop of scripts/golden/peft_adapters.py: AdamW, clipping at 1, constant learning rate.
Curve replay(Decoder& model, const AdapterSet& set, const Json& golden, std::int64_t micro_batch_tokens) {
  std::vector<Example> examples;
  for (const Json& row : golden["rows"])
    examples.push_back(example_of(row["input_ids"].get<std::vector<std::int32_t>>(),
                                  row["labels"].get<std::vector<std::int32_t>>(), examples.size()));
  const auto batch = golden["batch"].get<std::size_t>();
  const auto rate = golden["learning_rate"].get<double>();
  OptimOptions options;
  options.learning_rate = rate;
  options.weight_decay = golden["weight_decay"].get<double>();
  AdamW optimizer(set.parameters, options);
  Plan plan;
  plan.micro_batch_tokens = micro_batch_tokens;
  Curve curve;
  for (std::size_t first = 0; first < examples.size(); first += batch) {
    std::vector<std::size_t> chosen;
    for (std::size_t i = first; i < first + batch; ++i) chosen.push_back(i);
    const Step step = make_step(examples, chosen, micro_batch_tokens);
    curve.losses.push_back(
        accumulate_gradients(model, step, plan, {}, examples, [] { return false; }).value());
    curve.norms.push_back(optimizer.clip(1.0));
    optimizer.step(rate);
  }
  return curve;
}

void expect_same(const Curve& curve, const Json& golden) {
  const auto losses = golden["losses"].get<std::vector<double>>(),
             norms = golden["grad_norms"].get<std::vector<double>>();
  ASSERT_EQ(curve.losses.size(), losses.size());
  for (std::size_t i = 0; i < losses.size(); ++i) {
    EXPECT_LT(std::abs(curve.losses[i] - losses[i]) / losses[i], kTolerance) << "step " << i + 1;
    EXPECT_LT(std::abs(curve.norms[i] - norms[i]) / norms[i], 10 * kTolerance) << "step " << i + 1;
  }
}

TEST(Curve, TwentyStepsOfTheTinyModelAreThoseOfPeft) {
  const Json golden = read_json(kPeftGolden / "curve/curve.json");
  Decoder model = tiny_model();
  const AdapterSet set = load_adapter(model, kPeftGolden / "curve/initial", ZeroAdapter::kAccept);
  expect_same(replay(model, set, golden, 64), golden);
  const auto final_values = read_tensors(kPeftGolden / "curve/final/adapter_model.safetensors");
  for (const Parameter& parameter : set.parameters)
    EXPECT_LT(
        relative_difference(parameter.value.detach(), final_values.at("base_model.model." + parameter.name)),
        1e-3)
        << parameter.name;
}

/// factor() of scripts/golden/peft_adapters.py: splitmix64 of (module << 32) + element, 24 bits, in [-bound,
/// bound).
void fill_by_formula(const at::Tensor& a, std::uint64_t module) {
  const double bound = 1 / std::sqrt(static_cast<double>(a.size(1)));
  float* values = a.detach().mutable_data_ptr<float>();
  for (std::int64_t i = 0; i < a.numel(); ++i) {
    std::uint64_t x = (module << 32) + static_cast<std::uint64_t>(i) + 0x9E3779B97F4A7C15U;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
    x ^= x >> 31;
    const double unit = static_cast<double>(x >> 40) / static_cast<double>(1 << 24);
    values[i] = static_cast<float>((2.0 * unit - 1.0) * bound);
  }
}

TEST(Curve, TwentyStepsOfTheRealBaseAreThoseOfPeft) {
  const Path base = Path(GRAFT_DEPS_DIR) / "base/SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!std::filesystem::exists(base)) GTEST_SKIP() << "no " << base << ": run scripts/fetch_base.sh";
  const Json golden = read_json(kPeftGolden / "smollm2_curve.json");
  Decoder model = load_model({.path = base.string(), .dtype = ComputeDType::kF32});
  LoraOptions options;
  options.r = golden["r"].get<std::int64_t>();
  options.alpha = golden["alpha"].get<double>();
  const AdapterSet set = attach_adapters(model, options, 0);
  std::map<std::string, at::Tensor> factors;  // in the order of their names, as the script numbers them
  for (const Parameter& parameter : set.parameters)
    if (parameter.name.find("lora_A") != std::string::npos) factors[parameter.name] = parameter.value;
  std::uint64_t module = 0;
  for (const auto& [name, a] : factors) fill_by_formula(a, module++);
  expect_same(replay(model, set, golden, 1024), golden);
}

}  // namespace
}  // namespace graft
