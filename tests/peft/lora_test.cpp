#include "peft/lora.h"

#include <ATen/ATen.h>

#include <cmath>

#include "peft/fixture.h"

namespace graft {
namespace {

Linear linear_of(const std::string& name, std::int64_t out, std::int64_t in) {
  return {name, dense_weight(at::randn({out, in}, at::kFloat)), {}};
}

LoraOptions options_of(std::int64_t r, double alpha) {
  LoraOptions options;
  options.r = r;
  options.alpha = alpha;
  return options;
}

LoraFactors random_factors(const Linear& linear, std::int64_t r) {
  return {linear.name, at::randn({r, linear.weight->in_features()}),
          at::randn({linear.weight->out_features(), r})};
}

Pass pass_of(std::int64_t tokens) {
  Pass pass;
  pass.layout = PackLayout::single(tokens);
  return pass;
}

TEST(Lora, FreshFactorsAreAPureFunctionOfSeedAndModule) {
  const Linear linear = linear_of("model.layers.0.mlp.up_proj", 12, 20);
  const LoraOptions options = options_of(4, 8);
  const LoraFactors first = fresh_factors(linear, options, 7), again = fresh_factors(linear, options, 7);
  EXPECT_TRUE(at::equal(first.a, again.a));
  EXPECT_FALSE(at::equal(first.a, fresh_factors(linear, options, 8).a));
  EXPECT_FALSE(
      at::equal(first.a, fresh_factors(linear_of("model.layers.1.mlp.up_proj", 12, 20), options, 7).a));
  EXPECT_EQ(first.b.abs().max().item<float>(), 0.0F);
  EXPECT_EQ(first.b.sizes(), (std::vector<std::int64_t>{12, 4}));
}

TEST(Lora, KaimingFillsTheIntervalThatPeftFills) {
  const LoraFactors factors = fresh_factors(linear_of("a", 4, 1024), options_of(64, 1), 1);
  const double bound = 1 / std::sqrt(1024.0);
  EXPECT_LE(factors.a.abs().max().item<double>(), bound);
  EXPECT_GT(factors.a.abs().max().item<double>(), 0.999 * bound);
  // 65,536 draws: five standard errors.
  EXPECT_NEAR(factors.a.mean().item<double>(), 0.0, 5 * bound / std::sqrt(3.0 * 65536));
  EXPECT_NEAR(factors.a.std().item<double>(), bound / std::sqrt(3.0), 0.01 * bound);
}

TEST(Lora, GaussianHasDeviationOneOverR) {
  LoraOptions options = options_of(64, 1);
  options.init = LoraInit::kGaussian;
  const LoraFactors factors = fresh_factors(linear_of("a", 4, 1024), options, 1);
  EXPECT_NEAR(factors.a.std().item<double>(), 1.0 / 64, 0.02 / 64);
}

TEST(Lora, ScaleDividesByTheRankOrItsRoot) {
  LoraOptions options = options_of(16, 32);
  EXPECT_DOUBLE_EQ(lora_scale(options), 2.0);
  options.use_rslora = true;
  EXPECT_DOUBLE_EQ(lora_scale(options), 8.0);
}

TEST(Lora, AddsScaledProductsOnlyWhereThereAreFactors) {
  const std::vector<Linear> group = {linear_of("q", 6, 10), linear_of("k", 4, 10)};
  const LoraFactors factors = random_factors(group[1], 3);
  const Lora lora({{"q", {}, {}}, factors}, options_of(3, 6));
  const at::Tensor x = at::randn({5, 10});
  const std::vector<at::Tensor> ys = lora.forward(x, group, pass_of(5));
  EXPECT_LT(largest_difference(ys[0], x.mm(group[0].weight->rows(0, 6).t())), 1e-5);
  const at::Tensor delta = 2.0 * factors.b.mm(factors.a);
  EXPECT_LT(largest_difference(ys[1], x.mm((group[1].weight->rows(0, 4) + delta).t())), 1e-4);
  ASSERT_EQ(lora.parameters().size(), 2U);
  EXPECT_EQ(lora.parameters()[0].name, "k.lora_A.weight");
  EXPECT_EQ(lora.parameters()[1].name, "k.lora_B.weight");
}

TEST(Lora, DropoutActsInTrainingOnly) {
  const std::vector<Linear> group = {linear_of("q", 6, 64)};
  LoraOptions options = options_of(3, 6);
  const LoraFactors factors = random_factors(group[0], 3);
  const Lora plain({factors}, options);
  options.dropout = 0.5;
  const Lora dropping({factors}, options);
  const at::Tensor x = at::randn({5, 64});
  EXPECT_TRUE(at::equal(dropping.forward(x, group, pass_of(5))[0], plain.forward(x, group, pass_of(5))[0]));
  Pass training = pass_of(5);
  training.dropout = DropoutKey{.seed = 1, .epoch = 0};
  const at::Tensor dropped = dropping.forward(x, group, training)[0];
  EXPECT_FALSE(at::equal(dropped, plain.forward(x, group, training)[0]));
  EXPECT_TRUE(at::equal(dropped, dropping.forward(x, group, training)[0]));
}

TEST(Lora, MergesAnyRangeOfRowsAsTheWhole) {
  const Linear linear = linear_of("q", 10, 7);
  const LoraFactors factors = random_factors(linear, 3);
  const Lora lora({factors}, options_of(3, 4.5));
  const at::Tensor whole = linear.weight->rows(0, 10);
  const at::Tensor wanted = whole + 1.5 * factors.b.mm(factors.a);
  EXPECT_LT(largest_difference(lora.merge_into(linear, whole, 0), wanted), 1e-5);
  const at::Tensor part = lora.merge_into(linear, linear.weight->rows(4, 9), 4);
  EXPECT_LT(largest_difference(part, wanted.slice(0, 4, 9)), 1e-5);
  EXPECT_FALSE(part.requires_grad());
}

TEST(Lora, LeavesALinearItDoesNotAdaptAsItIs) {
  const Linear other = linear_of("k", 4, 7);
  const Lora lora({random_factors(linear_of("q", 10, 7), 3)}, options_of(3, 4.5));
  const at::Tensor rows = other.weight->rows(0, 4);
  EXPECT_TRUE(at::equal(lora.merge_into(other, rows, 0), rows));
}

}  // namespace
}  // namespace graft
