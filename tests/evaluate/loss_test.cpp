#include "evaluate/loss.h"

#include <ATen/ATen.h>

#include "base/random.h"
#include "evaluate/compare.h"
#include "peft/fixture.h"

namespace graft {
namespace {

/// Examples of random tokens, about a third of them without a target.
std::vector<Example> random_examples(std::size_t count) {
  RandomStream random(9);
  std::vector<Example> examples(count);
  for (std::size_t n = 0; n < count; ++n) {
    Example& example = examples[n];
    example.id = n;
    const std::size_t length = 3 + random.below(20);
    for (std::size_t i = 0; i < length; ++i)
      example.tokens.push_back(static_cast<std::int32_t>(random.below(512)));
    for (std::size_t i = 0; i < length; ++i)
      example.targets.push_back(i + 1 == length || (i > 0 && random.below(3) == 0) ? kNoTarget
                                                                                   : example.tokens[i + 1]);
  }
  return examples;
}

std::vector<std::size_t> range(std::size_t first, std::size_t last) {
  std::vector<std::size_t> indices;
  for (std::size_t i = first; i < last; ++i) indices.push_back(i);
  return indices;
}

/// A model whose adapters have B that is not zero, so that A has gradients.
struct Adapted {
  Decoder model;
  AdapterSet adapters;

  explicit Adapted(ComputeDType dtype, double dropout = 0.0) : model(tiny_model(dtype)) {
    LoraOptions options;
    options.r = 4;
    options.dropout = dropout;
    adapters = attach_adapters(model, options, 5);
    at::manual_seed(4);
    for (const Parameter& parameter : adapters.parameters)
      if (parameter.name.find("lora_B") != std::string::npos) parameter.value.detach().normal_(0, 0.05);
  }

  at::Tensor take_gradient() const {
    std::vector<at::Tensor> all;
    for (const Parameter& parameter : adapters.parameters) {
      all.push_back(parameter.value.grad().flatten().clone());
      parameter.value.mutable_grad().reset();
    }
    return at::cat(all);
  }

  /// Gradient of the mean loss, the examples cut into micro-steps of equal number.
  at::Tensor gradient(const std::vector<Example>& examples, std::size_t micro_steps, Pass pass = {}) const {
    double targets = 0;
    for (const Example& example : examples) targets += static_cast<double>(example.target_count());
    const std::size_t share = examples.size() / micro_steps;
    for (std::size_t first = 0; first < examples.size(); first += share) {
      const Step step = make_step(examples, range(first, first + share), 1 << 20);
      for (const Pack& pack : step.packs) (token_losses(model, pack, pass).sum() / targets).backward();
    }
    return take_gradient();
  }
};

TEST(TokenLosses, AreTheLogProbabilitiesOfTheTargetsInOrder) {
  const Decoder model = tiny_model();
  const std::vector<Example> examples = random_examples(3);
  const Step step = make_step(examples, range(0, 3), 1 << 20);
  ASSERT_EQ(step.packs.size(), 1U);
  const at::NoGradGuard no_grad;
  const at::Tensor losses = token_losses(model, step.packs[0]);
  ASSERT_EQ(losses.size(0), step.target_tokens);
  std::int64_t at = 0;
  for (const std::uint64_t id : step.packs[0].ids) {
    const Example& example = examples[id];
    const at::Tensor log_probs = log_probabilities(model, example.tokens);
    for (std::size_t i = 0; i < example.targets.size(); ++i) {
      if (example.targets[i] == kNoTarget) continue;
      EXPECT_NEAR(losses[at++].item<double>(), -log_probs[std::int64_t(i)][example.targets[i]].item<double>(),
                  1e-4);
    }
  }
}

TEST(TokenLosses, GradientDoesNotDependOnTheCutIntoMicroSteps) {
  const std::vector<Example> examples = random_examples(32);
  for (const auto& [dtype, tolerance] :
       {std::pair{ComputeDType::kF32, 1e-5}, std::pair{ComputeDType::kBF16, 2e-2}}) {
    const Adapted adapted(dtype);
    const at::Tensor whole = adapted.gradient(examples, 1);
    EXPECT_GT(whole.norm().item<double>(), 0.0);
    for (const std::size_t micro_steps : {2, 4, 32})
      EXPECT_LE(relative_difference(adapted.gradient(examples, micro_steps), whole), tolerance)
          << micro_steps;
  }
}

TEST(TokenLosses, GradientWithDropoutDoesNotDependOnTheCutEither) {
  const std::vector<Example> examples = random_examples(32);
  const Adapted adapted(ComputeDType::kF32, 0.3);
  Pass pass;
  pass.dropout = DropoutKey{.seed = 3, .epoch = 1};
  const at::Tensor whole = adapted.gradient(examples, 1, pass);
  EXPECT_GT(relative_difference(adapted.gradient(examples, 1), whole), 1e-2);
  EXPECT_LE(relative_difference(adapted.gradient(examples, 32, pass), whole), 1e-5);
}

TEST(TokenLosses, RecomputedBlocksGiveTheSameGradient) {
  const std::vector<Example> examples = random_examples(8);
  const Adapted adapted(ComputeDType::kF32, 0.3);
  Pass pass;
  pass.dropout = DropoutKey{.seed = 3, .epoch = 1};
  const at::Tensor kept = adapted.gradient(examples, 1, pass);
  pass.recompute = Recompute::kBlocks;
  EXPECT_LE(relative_difference(adapted.gradient(examples, 1, pass), kept), 1e-6);
}

TEST(TokenLosses, APackedStepEqualsItsExamplesOneByOne) {
  const std::vector<Example> examples = random_examples(8);
  const Adapted adapted(ComputeDType::kF32);
  const LossSum packed = evaluate_loss(adapted.model, examples, 1 << 20);
  LossSum alone;
  for (const Example& example : examples) {
    const LossSum one = evaluate_loss(adapted.model, {example}, 1);
    alone.loss += one.loss;
    alone.tokens += one.tokens;
  }
  EXPECT_EQ(packed.tokens, alone.tokens);
  EXPECT_NEAR(packed.loss, alone.loss, 1e-5 * alone.loss);
}

TEST(EvaluateLoss, StopsBetweenMicroSteps) {
  const Decoder model = tiny_model();
  int asked = 0;
  const LossSum sum = evaluate_loss(model, random_examples(8), 1, [&] { return ++asked > 3; });
  EXPECT_EQ(asked, 4);
  EXPECT_GT(sum.tokens, 0);
  EXPECT_LT(sum.tokens, evaluate_loss(model, random_examples(8), 1).tokens);
}

TEST(ScoreExample, ReportsTheLossAndTheLikeliestNextTokens) {
  const Decoder model = tiny_model();
  const Example example = golden_examples()[0];
  const RowScore score = score_example(model, example, 3);
  const LossSum sum = evaluate_loss(model, {example}, 64);
  EXPECT_EQ(score.tokens, sum.tokens);
  EXPECT_NEAR(score.loss, sum.mean(), 1e-6);
  const at::Tensor last = log_probabilities(model, example.tokens)[-1];
  ASSERT_EQ(score.top.size(), 3U);
  EXPECT_EQ(score.top[0].first, last.argmax().item<std::int64_t>());
  EXPECT_NEAR(score.top[0].second, last.max().item<double>(), 1e-5);
  EXPECT_GE(score.top[0].second, score.top[1].second);
}

TEST(ScoreExample, OneTokenHasNoLossButHasPredictions) {
  const Example example{.tokens = {1}, .targets = {kNoTarget}, .id = 0, .source = {}};
  const RowScore score = score_example(tiny_model(), example, 600);
  EXPECT_EQ(score.tokens, 0);
  EXPECT_EQ(score.loss, 0.0);
  EXPECT_EQ(score.top.size(), 512U);
}

}  // namespace
}  // namespace graft
