#include "peft/lora.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "ops/dropout.h"
#include "peft/dora.h"
#include "peft/fixture.h"
#include "peft/vera.h"

namespace graft {
namespace {

Linear linear_of(const std::string& name, std::int64_t out, std::int64_t in) {
  return {name, dense_weight(at::randn({out, in}, at::kFloat)), {}};
}

AdaptedModule module_of(const std::string& path, std::int64_t out, std::int64_t in, std::int64_t r,
                        double scale = 1.0) {
  return {.path = path, .out = out, .in = in, .r = r, .scale = scale};
}

/// A and B of one module as drawn.
LoraFactors drawn(const AdaptedModule& module, LoraInit init, std::uint64_t seed) {
  LoraOptions options;
  options.init = init;
  AdapterLayout layout;
  layout.adapted = {module};
  AdapterTensors tensors;
  draw_lora(layout, options, seed, tensors);
  return lora_factors(module, tensors);
}

LoraFactors random_factors(const Linear& linear, std::int64_t r, double scale) {
  return {.module = linear.name,
          .a = at::randn({r, linear.weight->in_features()}),
          .b = at::randn({linear.weight->out_features(), r}),
          .scale = scale};
}

LinearSlot slot_of(const LoraFactors& factors) {
  return {factors.module, std::make_shared<Lora>(factors, false), {}};
}

Pass pass_of(std::int64_t tokens) {
  Pass pass;
  pass.layout = PackLayout::single(tokens);
  return pass;
}

TEST(Lora, FreshFactorsAreAPureFunctionOfSeedAndModule) {
  const AdaptedModule module = module_of("model.layers.0.mlp.up_proj", 12, 20, 4);
  const LoraFactors first = drawn(module, LoraInit::kKaiming, 7);
  EXPECT_TRUE(at::equal(first.a, drawn(module, LoraInit::kKaiming, 7).a));
  EXPECT_FALSE(at::equal(first.a, drawn(module, LoraInit::kKaiming, 8).a));
  const AdaptedModule other = module_of("model.layers.1.mlp.up_proj", 12, 20, 4);
  EXPECT_FALSE(at::equal(first.a, drawn(other, LoraInit::kKaiming, 7).a));
  EXPECT_EQ(first.b.abs().max().item<float>(), 0.0F);
  EXPECT_EQ(first.b.sizes(), (std::vector<std::int64_t>{12, 4}));
}

TEST(Lora, KaimingFillsTheIntervalThatPeftFills) {
  const LoraFactors factors = drawn(module_of("a", 4, 1024, 64), LoraInit::kKaiming, 1);
  const double bound = 1 / std::sqrt(1024.0);
  EXPECT_LE(factors.a.abs().max().item<double>(), bound);
  EXPECT_GT(factors.a.abs().max().item<double>(), 0.999 * bound);
  // 65,536 draws: five standard errors.
  EXPECT_NEAR(factors.a.mean().item<double>(), 0.0, 5 * bound / std::sqrt(3.0 * 65536));
  EXPECT_NEAR(factors.a.std().item<double>(), bound / std::sqrt(3.0), 0.01 * bound);
}

TEST(Lora, GaussianHasDeviationOneOverR) {
  const LoraFactors factors = drawn(module_of("a", 4, 1024, 64), LoraInit::kGaussian, 1);
  EXPECT_NEAR(factors.a.std().item<double>(), 1.0 / 64, 0.02 / 64);
}

// PEFT's orthogonal_init: rows of one orthogonal matrix, mixed by normal numbers, a tenth of them.
TEST(Lora, OrthogonalFactorsAreBothThereAndCancel) {
  const LoraFactors factors = drawn(module_of("a", 300, 200, 8), LoraInit::kOrthogonal, 1);
  EXPECT_LT(factors.b.mm(factors.a).abs().max().item<double>(), 1e-6);
  // Each entry is a sum of r / 2 products of normal numbers with a part of a unit row: variance 1/2, over
  // 100.
  EXPECT_NEAR(factors.a.std().item<double>(), 0.1 * std::sqrt(0.5), 0.01);
  EXPECT_NEAR(factors.b.std().item<double>(), 0.1 * std::sqrt(0.5), 0.01);
}

TEST(Lora, ScaleDividesByTheRankOrItsRoot) {
  EXPECT_DOUBLE_EQ(lora_scale(16, 32, false), 2.0);
  EXPECT_DOUBLE_EQ(lora_scale(16, 32, true), 8.0);
}

TEST(Lora, AddsScaledProductsOnlyWhereThereAreFactors) {
  const std::vector<Linear> group = {linear_of("q", 6, 10), linear_of("k", 4, 10)};
  const LoraFactors factors = random_factors(group[1], 3, 2.0);
  const GroupAdapter lora({{"q", nullptr, {}}, slot_of(factors)}, 0.0);
  const at::Tensor x = at::randn({5, 10});
  const std::vector<at::Tensor> ys = lora.forward(x, group, pass_of(5));
  EXPECT_LT(largest_difference(ys[0], x.mm(group[0].weight->rows(0, 6).t())), 1e-5);
  const at::Tensor delta = 2.0 * factors.b.mm(factors.a);
  EXPECT_LT(largest_difference(ys[1], x.mm((group[1].weight->rows(0, 4) + delta).t())), 1e-4);
  ASSERT_EQ(lora.parameters().size(), 2U);
  EXPECT_EQ(lora.parameters()[0].name, "k.lora_A.weight");
  EXPECT_EQ(lora.parameters()[1].name, "k.lora_B.weight");
}

TEST(Lora, AFrozenAIsStoredAndNotTrained) {
  const Linear linear = linear_of("q", 6, 10);
  const Lora lora(random_factors(linear, 3, 1.0), /*freeze_a=*/true);
  EXPECT_EQ(lora.stored().size(), 2U);
  const std::vector<Parameter> trained = trained_parts(lora.stored());
  ASSERT_EQ(trained.size(), 1U);
  EXPECT_EQ(trained[0].name, "q.lora_B.weight");
}

TEST(Lora, DropoutActsInTrainingOnly) {
  const std::vector<Linear> group = {linear_of("q", 6, 64)};
  const LoraFactors factors = random_factors(group[0], 3, 2.0);
  const GroupAdapter plain({slot_of(factors)}, 0.0), dropping({slot_of(factors)}, 0.5);
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
  const LoraFactors factors = random_factors(linear, 3, 1.5);
  const GroupAdapter lora({slot_of(factors)}, 0.0);
  const at::Tensor whole = linear.weight->rows(0, 10);
  const at::Tensor wanted = whole + 1.5 * factors.b.mm(factors.a);
  EXPECT_LT(largest_difference(lora.merge_into(linear, whole, 0), wanted.detach()), 1e-5);
  const at::Tensor part = lora.merge_into(linear, linear.weight->rows(4, 9), 4);
  EXPECT_LT(largest_difference(part, wanted.detach().slice(0, 4, 9)), 1e-5);
  EXPECT_FALSE(part.requires_grad());
}

TEST(Lora, LeavesALinearItDoesNotAdaptAsItIs) {
  const Linear other = linear_of("k", 4, 7);
  const GroupAdapter lora({slot_of(random_factors(linear_of("q", 10, 7), 3, 1.5))}, 0.0);
  const at::Tensor rows = other.weight->rows(0, 4);
  EXPECT_TRUE(at::equal(lora.merge_into(other, rows, 0), rows));
}

TEST(Dora, ItsNormsFollowTheFactors) {
  const std::vector<Linear> group = {linear_of("q", 6, 10)};
  const LoraFactors factors = random_factors(group[0], 3, 0.5);
  const at::Tensor magnitude = at::rand({6}) + 0.5;
  const GroupAdapter dora({{"q", std::make_shared<Dora>(factors, magnitude, false), {}}}, 0.0);
  const at::Tensor x = at::randn({5, 10});
  for (int step = 0; step < 2; ++step) {
    const at::NoGradGuard no_grad;
    const at::Tensor sum = group[0].weight->rows(0, 6) + 0.5 * factors.b.mm(factors.a);
    const at::Tensor wanted = x.mm((sum * (magnitude / sum.norm(2, {1})).unsqueeze(1)).t());
    EXPECT_LT(largest_difference(dora.forward(x, group, pass_of(5))[0], wanted), 1e-4) << step;
    factors.b.detach().mul_(1.5);  // as an optimizer does
  }
}

// PEFT's own words (tuners/lora/dora.py): result + (scale - 1) * linear(xd, W) + scale * lora(xd) * s.
TEST(Dora, WithDropoutItIsPeftsFormulaOfTheSameMasks) {
  Linear query = linear_of("q", 6, 32), key = linear_of("k", 4, 32);
  query.bias = at::randn({6});
  const std::vector<Linear> group = {query, key};
  std::vector<LoraFactors> factors;
  std::vector<at::Tensor> magnitudes;
  std::vector<LinearSlot> slots;
  for (const Linear& linear : group) {
    factors.push_back(random_factors(linear, 3, 0.5));
    magnitudes.push_back(at::rand({linear.weight->out_features()}) + 0.5);
    slots.push_back({linear.name, std::make_shared<Dora>(factors.back(), magnitudes.back(), false), {}});
  }
  const GroupAdapter dora(std::move(slots), 0.4);
  Pass training = pass_of(5);
  training.dropout = DropoutKey{.seed = 1, .epoch = 0};
  const LoraDropout dropout{0.4, *training.dropout, training.layout};
  const at::Tensor x = at::randn({5, 32}).requires_grad_(true),
                   other = x.detach().clone().requires_grad_(true);
  const std::vector<at::Tensor> ys = dora.forward(other, group, training);
  for (std::size_t i = 0; i < group.size(); ++i) {
    const at::Tensor weight = group[i].weight->rows(0, group[i].weight->out_features());
    const at::Tensor a = factors[i].a.detach().clone().requires_grad_(true),
                     b = factors[i].b.detach().clone().requires_grad_(true),
                     magnitude = magnitudes[i].detach().clone().requires_grad_(true);
    const at::Tensor mask = drop(at::ones({5, 32}), dropout, module_key(group[i].name));
    ASSERT_GT((mask == 0).sum().item<std::int64_t>(), 0);
    const at::Tensor norms = (weight + 0.5 * b.mm(a)).norm(2, {1}).detach(), scale = magnitude / norms;
    const at::Tensor xd = x * mask;
    at::Tensor wanted =
        x.mm(weight.t()) + (scale - 1) * xd.mm(weight.t()) + scale * xd.mm(a.t()).mm(b.t()) * 0.5;
    if (group[i].bias.defined()) wanted = wanted + group[i].bias;
    EXPECT_LT(largest_difference(ys[i], wanted), 1e-4) << group[i].name;
    const at::Tensor along = at::randn_like(wanted);
    const auto expected = torch::autograd::grad({wanted}, {x, a, b, magnitude}, {along});
    const auto got =
        torch::autograd::grad({ys[i]}, {other, factors[i].a, factors[i].b, magnitudes[i]}, {along});
    for (std::size_t k = 0; k < got.size(); ++k)
      EXPECT_LT(largest_difference(got[k], expected[k]), 1e-3) << group[i].name << " " << k;
  }
}

TEST(Dora, ARowOfZerosStaysAsItIs) {
  const std::vector<Linear> group = {{"q", dense_weight(at::zeros({2, 4})), {}}};
  const LoraFactors factors{.module = "q", .a = at::randn({1, 4}), .b = at::zeros({2, 1})};
  const Dora dora(factors, row_norms(*group[0].weight), false);
  EXPECT_TRUE(at::isfinite(*&dora.term(group[0], at::kFloat)->gain).all().item<bool>());
}

TEST(Vera, DrawsTheMatricesThatPeftDraws) {
  // PEFT wrote them into this file: projection_prng_key 5.
  const auto golden = read_tensors(kPeftGolden / "methods/llama_vera/adapter_model.safetensors");
  Decoder model = load_model({.path = (kGolden / "families/llama").string(), .dtype = ComputeDType::kF32});
  LoraOptions options;
  options.method = AdapterMethod::kVera;
  options.r = 4;
  options.projection_prng_key = 5;
  options.target_modules = {.all_linear = false, .names = {"q_proj", "v_proj", "down_proj"}};
  const AdapterLayout layout = lay_out(model, options, TargetSource::kRecipe, "");
  AdapterTensors tensors;
  draw_vera(layout, options, tensors);
  EXPECT_LT(largest_difference(tensors.at(kVeraA), golden.at("base_model.vera_A")), 1e-6);
  EXPECT_LT(largest_difference(tensors.at(kVeraB), golden.at("base_model.vera_B")), 1e-6);
}

}  // namespace
}  // namespace graft
