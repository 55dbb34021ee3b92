#include "train/observation.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "ops/attention.h"
#include "ops/cpu_allocator.h"
#include "ops/norm.h"
#include "ops/recompute.h"
#include "peft/fixture.h"
#include "train/step.h"

namespace graft {
namespace {

constexpr std::int64_t kLeastFeature = 16;

// Rounding of sums of clock readings.
constexpr double kSumError = 1e-9;

double sum_of_parts(const StepProfile& profile) {
  double seconds = 0;
  for (std::size_t kind = 0; kind < kWorkKinds; ++kind)
    seconds += profile.of(static_cast<Work>(kind)).seconds;
  return seconds;
}

void expect_parts_are_the_whole(const StepProfile& profile) {
  EXPECT_NEAR(sum_of_parts(profile), profile.seconds, kSumError);
  for (const auto& phases : profile.work)
    for (const WorkTotals& totals : phases) EXPECT_GE(totals.seconds, -kSumError);
  double named = 0;
  for (const auto& [name, totals] : profile.rest) named += totals.seconds;
  EXPECT_LE(named, profile.of(Work::kRest).seconds + kSumError);
}

TEST(Observation, WhatIsInsideANormIsTheNormsAndWhatIsInsideLoraItsOwn) {
  Observation observation(kLeastFeature);
  {
    const WorkScope norm(Work::kNorm, {.flops = 1, .bytes = 2});
    const WorkScope inner(Work::kBaseProduct, {.flops = 10, .bytes = 20});
  }
  {
    const WorkScope lora(Work::kLora);
    const WorkScope inner(Work::kBaseProduct, {.flops = 100, .bytes = 200});
  }
  const StepProfile profile = observation.finish();
  const WorkTotals norm = profile.at(Work::kNorm, Phase::kForward);
  EXPECT_EQ(norm.calls, 1);
  EXPECT_EQ(norm.flops, 11);
  EXPECT_EQ(norm.bytes, 22);
  const WorkTotals product = profile.at(Work::kBaseProduct, Phase::kForward);
  EXPECT_EQ(product.calls, 1);
  EXPECT_EQ(product.flops, 100);
  EXPECT_EQ(product.bytes, 200);
  expect_parts_are_the_whole(profile);
}

TEST(Observation, ProductsOfATenAreTheBasesOrLoras) {
  const at::Tensor x = at::ones({64, 32}), w = at::ones({48, 32}), a = at::ones({4, 32});
  Observation observation(kLeastFeature);
  at::linear(x, w);
  at::mm(at::ones({64, 48}), w);
  at::linear(x, a);
  const StepProfile profile = observation.finish();
  const WorkTotals base = profile.of(Work::kBaseProduct), lora = profile.of(Work::kLora);
  EXPECT_EQ(base.calls, 2);
  EXPECT_EQ(base.flops, 2 * 2.0 * 64 * 32 * 48);
  EXPECT_EQ(base.bytes, 2 * 4.0 * (64 * 32 + 48 * 32 + 64 * 48));
  EXPECT_EQ(lora.calls, 1);
  EXPECT_EQ(lora.flops, 2.0 * 64 * 32 * 4);
  expect_parts_are_the_whole(profile);
}

TEST(Observation, TellsForwardBackwardAndRecomputation) {
  const at::Tensor x = at::rand({64, 32}).set_requires_grad(true), weight = at::ones({32});
  const at::Tensor w = at::ones({32, 32});
  Observation observation(kLeastFeature);
  const at::Tensor y =
      recompute([&](const at::Tensor& input) { return at::linear(rms_norm(input, weight, 1e-5), w); }, x);
  torch::autograd::backward({y.sum()}, {});
  const StepProfile profile = observation.finish();
  EXPECT_EQ(profile.at(Work::kBaseProduct, Phase::kForward).calls, 1);
  EXPECT_EQ(profile.at(Work::kBaseProduct, Phase::kRecompute).calls, 1);
  EXPECT_EQ(profile.at(Work::kBaseProduct, Phase::kBackward).calls, 1);  // dX alone: W is frozen
  EXPECT_EQ(profile.at(Work::kNorm, Phase::kBackward).calls, 1);
  expect_parts_are_the_whole(profile);
}

TEST(Observation, SeesNothingBeforeAndAfterItsLife) {
  const at::Tensor x = at::ones({64, 32});
  at::linear(x, x);
  Observation first(kLeastFeature);
  EXPECT_EQ(first.finish().of(Work::kBaseProduct).calls, 0);
  std::optional<Observation> second(kLeastFeature);
  at::linear(x, x);
  const StepProfile profile = second->finish();
  second.reset();
  at::linear(x, x);
  EXPECT_EQ(profile.of(Work::kBaseProduct).calls, 1);
}

TEST(Observation, CountsVisiblePairsOfAttention) {
  const at::Tensor q = at::rand({12, 4, 8}).set_requires_grad(true), k = at::rand({12, 2, 8});
  const PackLayout layout{{0, 5, 12}, {}};
  Observation observation(kLeastFeature);
  const at::Tensor out = attention(q, k, k, layout, {.scale = 0.3, .window = 3});
  torch::autograd::backward({out.sum()}, {});
  const StepProfile profile = observation.finish();
  // Windows of 3 see 1 + 2 + 3 * (length - 2) keys.
  const double pairs = 4 * ((1 + 2 + 3 * 3) + (1 + 2 + 3 * 5));
  EXPECT_EQ(profile.at(Work::kAttention, Phase::kForward).flops, 2 * 2 * pairs * 8);
  EXPECT_EQ(profile.at(Work::kAttention, Phase::kBackward).flops, 5 * 2 * pairs * 8);
}

/// Gradients of one step of the tiny model, with its profile where it is observed.
struct Gradients {
  double loss = 0;
  std::vector<at::Tensor> values;
  StepProfile profile;
};

enum class Observed { kYes, kNo };

Gradients step_of_the_tiny_model(Observed observed) {
  Decoder model = tiny_model();
  LoraOptions options;
  options.r = 4;
  const AdapterSet set = attach_adapters(model, options, 7);
  std::vector<Example> examples;
  for (std::int32_t n = 0; n < 4; ++n) {
    std::vector<std::int32_t> ids;
    for (std::int32_t i = 0; i < 20 + n; ++i) ids.push_back((7 * i + n) % 64);
    examples.push_back(example_of(ids, ids, examples.size()));
  }
  Plan plan;
  plan.micro_batch_tokens = 48;
  const Step step = make_step(examples, {0, 1, 2, 3}, plan.micro_batch_tokens);
  Gradients result;
  std::optional<Observation> observation;
  if (observed == Observed::kYes) observation.emplace(kLeastFeature);
  result.loss = accumulate_gradients(model, step, plan, {}, examples, [] { return false; }).value();
  if (observation) result.profile = observation->finish();
  for (const Parameter& parameter : set.parameters) result.values.push_back(parameter.value.grad());
  return result;
}

TEST(Observation, ChangesNoBitOfAStepAndNamesItsParts) {
  const Gradients plain = step_of_the_tiny_model(Observed::kNo);
  const Gradients observed = step_of_the_tiny_model(Observed::kYes);
  EXPECT_EQ(plain.loss, observed.loss);
  ASSERT_EQ(plain.values.size(), observed.values.size());
  for (std::size_t i = 0; i < plain.values.size(); ++i)
    EXPECT_TRUE(at::equal(plain.values[i], observed.values[i])) << i;
  const StepProfile& profile = observed.profile;
  expect_parts_are_the_whole(profile);
  // Norms, SwiGLU and residuals may be folded into the products.
  for (const Work work : {Work::kBaseProduct, Work::kLora, Work::kAttention, Work::kRotary})
    for (const Phase phase : {Phase::kForward, Phase::kBackward})
      EXPECT_GT(profile.at(work, phase).calls, 0) << name_of(work) << static_cast<int>(phase);
  EXPECT_GT(profile.at(Work::kLoss, Phase::kForward).flops, 0);
  EXPECT_GT(profile.of(Work::kNorm).calls, 0);
  EXPECT_EQ(profile.of(Work::kAttention).calls % 2, 0);
}

}  // namespace
}  // namespace graft
