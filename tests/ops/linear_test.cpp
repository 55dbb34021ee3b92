#include "ops/linear.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ops/dropout.h"
#include "ops/gradients.h"
#include "ops/swiglu.h"

namespace graft {
namespace {

using testing::expect_finite_differences;
using testing::gradients;
using testing::random;
using testing::relative_difference;
using testing::Tensors;

constexpr double kFp32 = 2e-6;    // sums of up to 64 products in fp32
constexpr double kBf16 = 1.2e-2;  // three roundings to 8 bits: x A^T, dy B, the result

constexpr std::int64_t kT = 7, kIn = 10, kR = 3;
constexpr double kScale = 2.5;

// q, k and v of a block: the middle one without adapter.
struct Example {
  at::Tensor x = random({kT, kIn});
  Tensors w{random({5, kIn}), random({4, kIn}), random({6, kIn})};
  Tensors bias{random({5}), at::Tensor(), random({6})};
  at::Tensor a0 = random({kR, kIn}), b0 = random({5, kR}), a2 = random({kR + 1, kIn}),
             b2 = random({6, kR + 1});

  Tensors inputs(at::ScalarType dtype) const {
    return {x.to(dtype), trained(a0, dtype), trained(b0, dtype), trained(a2, dtype), trained(b2, dtype)};
  }
  static at::Tensor trained(const at::Tensor& t, at::ScalarType dtype) {
    return t.to(dtype == at::kDouble ? at::kDouble : at::kFloat);
  }
  std::vector<LoraTerm> terms(const Tensors& in) const {
    const auto dtype = in[0].scalar_type();
    std::vector<LoraTerm> terms(3);
    for (std::size_t i = 0; i < 3; ++i) {
      terms[i].weight = dense_weight(w[i].to(dtype));
      if (bias[i].defined()) terms[i].bias = bias[i].to(dtype);
      terms[i].scale = kScale;
      terms[i].module = 100 + i;
    }
    terms[0].a = in[1], terms[0].b = in[2], terms[2].a = in[3], terms[2].b = in[4];
    return terms;
  }
  at::Tensor reference(const Tensors& in) const {
    const auto y = [&](std::size_t i) {
      return at::linear(in[0], w[i].to(in[0].scalar_type()),
                        bias[i].defined() ? bias[i].to(in[0].scalar_type()) : at::Tensor());
    };
    return at::cat({y(0) + kScale * at::linear(at::linear(in[0], in[1]), in[2]), y(1),
                    y(2) + kScale * at::linear(at::linear(in[0], in[3]), in[4])},
                   1);
  }
};

LoraDropout dropout_of(PackLayout layout) {
  return {.probability = 0.4, .key = {.seed = 5, .epoch = 2}, .layout = std::move(layout)};
}

TEST(LoraLinear, MatchesFiniteDifferences) {
  at::manual_seed(1);
  const Example example;
  expect_finite_differences(
      [&](const Tensors& in) { return at::cat(lora_linear(in[0], example.terms(in), std::nullopt), 1); },
      example.inputs(at::kDouble));
}

TEST(LoraLinear, MatchesFiniteDifferencesWithDropout) {
  at::manual_seed(2);
  const Example example;
  const auto dropout = dropout_of({{0, 3, kT}, {11, 12}});
  expect_finite_differences(
      [&](const Tensors& in) { return at::cat(lora_linear(in[0], example.terms(in), dropout), 1); },
      example.inputs(at::kDouble));
}

// lora_linear and its gradients in fp32 and bf16 are those of plain ATen in fp64.
template <class AnyExample>
void expect_aten_in_every_type(const AnyExample& example) {
  const auto op = [&](const Tensors& in) {
    return at::cat(lora_linear(in[0], example.terms(in), std::nullopt), 1);
  };
  const auto want_inputs = example.inputs(at::kDouble);
  const auto dy = random({kT, 15});
  const auto want = gradients([&](const Tensors& in) { return example.reference(in); }, want_inputs, dy);
  for (const auto& [dtype, tolerance] : {std::pair{at::kFloat, kFp32}, std::pair{at::kBFloat16, kBf16}}) {
    const auto inputs = example.inputs(dtype);
    const auto y = op(inputs);
    EXPECT_EQ(y.scalar_type(), dtype);
    EXPECT_LT(relative_difference(y, example.reference(want_inputs)), tolerance);
    const auto got = gradients(op, inputs, dy.to(dtype));
    for (std::size_t i = 0; i < got.size(); ++i) {
      EXPECT_EQ(got[i].scalar_type(), inputs[i].scalar_type()) << i;
      EXPECT_LT(relative_difference(got[i], want[i]), tolerance) << "input " << i;
    }
  }
}

TEST(LoraLinear, MatchesAtenInEveryType) {
  at::manual_seed(3);
  expect_aten_in_every_type(Example());
}

// The example without biases, its first and last term with gains.
struct GainedExample : Example {
  at::Tensor g0 = random({5}), g2 = random({6});

  Tensors inputs(at::ScalarType dtype) const {
    Tensors all = Example::inputs(dtype);
    all.push_back(trained(g0, dtype)), all.push_back(trained(g2, dtype));
    return all;
  }
  std::vector<LoraTerm> terms(const Tensors& in) const {
    std::vector<LoraTerm> terms = Example::terms(in);
    for (auto& term : terms) term.bias = at::Tensor();
    terms[0].gain = in[5], terms[2].gain = in[6];
    return terms;
  }
  at::Tensor reference(const Tensors& in) const {
    const auto y = [&](std::size_t i) { return at::linear(in[0], w[i].to(in[0].scalar_type())); };
    return at::cat({(y(0) + kScale * at::linear(at::linear(in[0], in[1]), in[2])) * in[5], y(1),
                    (y(2) + kScale * at::linear(at::linear(in[0], in[3]), in[4])) * in[6]},
                   1);
  }
};

TEST(LoraLinear, WithGainsMatchesFiniteDifferences) {
  at::manual_seed(11);
  const GainedExample example;
  for (const auto& dropout :
       {std::optional<LoraDropout>(), std::optional(dropout_of({{0, 3, kT}, {11, 12}}))})
    expect_finite_differences(
        [&](const Tensors& in) { return at::cat(lora_linear(in[0], example.terms(in), dropout), 1); },
        example.inputs(at::kDouble));
}

TEST(LoraLinear, WithGainsMatchesAtenInEveryType) {
  at::manual_seed(12);
  expect_aten_in_every_type(GainedExample());
}

TEST(LoraLinear, AGainOfZeroHasNoGradientAndStopsThatOfItsColumn) {
  at::manual_seed(13);
  const GainedExample example;
  auto in = example.inputs(at::kFloat);
  in[5].zero_();
  const auto got = gradients(
      [&](const Tensors& leaves) { return lora_linear(leaves[0], example.terms(leaves), std::nullopt)[0]; },
      in, random({kT, 5}, at::kFloat));
  for (const std::size_t i : {0, 1, 2, 5}) EXPECT_EQ(got[i].abs().max().item<float>(), 0.0F) << i;
}

TEST(LoraLinear, OfAFrozenAOnlyBGetsAGradient) {
  at::manual_seed(14);
  const Example example;
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    auto in = example.inputs(dtype);
    const auto run = [&] {
      torch::autograd::backward({at::cat(lora_linear(in[0], example.terms(in), std::nullopt), 1)},
                                {at::ones({kT, 15}, dtype)});
    };
    for (auto& t : in) t.set_requires_grad(true);
    run();
    const at::Tensor both = in[2].grad().clone();
    for (auto& t : in) t.mutable_grad().reset();
    in[1].set_requires_grad(false), in[3].set_requires_grad(false);
    run();
    EXPECT_FALSE(in[1].grad().defined() || in[3].grad().defined());
    EXPECT_TRUE(at::equal(in[2].grad(), both));
  }
}

TEST(LoraLinear, GivesFrozenTensorsNoGradient) {
  at::manual_seed(4);
  const Example example;
  auto in = example.inputs(at::kFloat);
  in[1].set_requires_grad(true), in[2].set_requires_grad(true);
  torch::autograd::backward({at::cat(lora_linear(in[0], example.terms(in), std::nullopt), 1)},
                            {at::ones({kT, 15}, at::kFloat)});
  EXPECT_TRUE(in[1].grad().defined() && in[2].grad().defined());
  EXPECT_FALSE(in[0].grad().defined() || in[3].grad().defined() || in[4].grad().defined());
  in[1].set_requires_grad(false), in[2].set_requires_grad(false);
  EXPECT_FALSE(lora_linear(in[0], example.terms(in), std::nullopt)[0].requires_grad());
}

TEST(LoraLinear, AccumulatesGradientsOverMicroSteps) {
  at::manual_seed(5);
  const Example example;
  auto in = example.inputs(at::kFloat);
  for (auto& t : in) t.set_requires_grad(true);
  const auto run = [&] {
    torch::autograd::backward({lora_linear(in[0], example.terms(in), std::nullopt)[0]},
                              {at::ones({kT, 5}, at::kFloat)});
  };
  run();
  const auto once = in[2].grad().clone();
  run();
  EXPECT_TRUE(at::equal(in[2].grad(), once * 2));
  EXPECT_FALSE(in[3].grad().defined()) << "an output that no loss used";
}

TEST(LoraLinear, GivesPackedRowsWhatSeparateRowsGet) {
  at::manual_seed(6);
  const Example example;
  const auto in = example.inputs(at::kDouble);
  const auto packed = lora_linear(in[0], example.terms(in), dropout_of({{0, 3, kT}, {11, 12}}))[2];
  for (const auto& [first, last, id] : {std::tuple{0L, 3L, 11UL}, std::tuple{3L, kT, 12UL}}) {
    const auto alone =
        lora_linear(in[0].slice(0, first, last), example.terms(in), dropout_of({{0, last - first}, {id}}))[2];
    EXPECT_LT(relative_difference(packed.slice(0, first, last), alone), 1e-14);
  }
}

// A group in bf16, wide enough for the tile by tile form, as a function of all that it is differentiable in.
struct Block {
  static constexpr std::int64_t kTokens = 80, kWidth = 96, kHidden = 64;
  Tensors w{random({kHidden, kWidth}) * 0.1, random({kHidden, kWidth}) * 0.1,
            random({kWidth, kHidden}) * 0.1};
  Tensors bias{random({kHidden}), random({kHidden}), random({kWidth})};
  at::Tensor norm = random({kWidth});
  // x, then a and b of gate, up and down; ranks 3, 4 and 5.
  Tensors inputs{random({kTokens, kWidth}), random({3, kWidth}) * 0.1,  random({kHidden, 3}) * 0.1,
                 random({4, kWidth}) * 0.1, random({kHidden, 4}) * 0.1, random({5, kHidden}) * 0.1,
                 random({kWidth, 5}) * 0.1};

  Tensors as(at::ScalarType dtype) const {
    Tensors in{inputs[0].to(dtype)};
    for (std::size_t i = 1; i < inputs.size(); ++i)
      in.push_back(inputs[i].to(dtype == at::kDouble ? dtype : at::kFloat));
    return in;
  }
  LoraTerm term(const Tensors& in, std::size_t i) const {
    const auto dtype = in[0].scalar_type();
    return {.weight = dense_weight(w[i].to(at::kBFloat16).to(dtype)),
            .bias = bias[i].to(at::kBFloat16).to(dtype),
            .a = in[1 + 2 * i],
            .b = in[2 + 2 * i],
            .scale = kScale,
            .module = i};
  }
  // x + down(swiglu(gate, up) of the normed x), as an MLP has it.
  at::Tensor mlp(const Tensors& in, const std::optional<LoraDropout>& dropout) const {
    const auto weight = norm.to(at::kBFloat16).to(in[0].scalar_type());
    const auto gated = lora_linear(LinearInput::normed(in[0], weight, 1e-5), {term(in, 0), term(in, 1)},
                                   dropout, {.gated = true});
    return lora_linear(LinearInput::gated(gated[0], gated[1], gated[2]), {term(in, 2)}, dropout,
                       {.residual = in[0]})[0];
  }
};

std::optional<LoraDropout> dropout_of_block() {
  return LoraDropout{0.25, {.seed = 5, .epoch = 1}, {.starts = {0, 50, Block::kTokens}, .ids = {4, 9}}};
}

TEST(LoraLinear, AnMlpMatchesFiniteDifferences) {
  at::manual_seed(31);
  Block block;
  block.inputs[0] = block.inputs[0].slice(0, 0, 2);
  expect_finite_differences([&](const Tensors& in) { return block.mlp(in, std::nullopt); }, block.inputs);
}

TEST(LoraLinear, SumsTileByTileMatchWideOnes) {
  at::manual_seed(32);
  const Block block;
  const auto dy = random({Block::kTokens, Block::kWidth});
  for (const auto& dropout : {std::optional<LoraDropout>(), dropout_of_block()}) {
    const auto narrow = block.as(at::kBFloat16), wide = block.as(at::kDouble);
    EXPECT_LT(relative_difference(block.mlp(narrow, dropout), block.mlp(wide, dropout)), kBf16);
    const auto got =
        gradients([&](const Tensors& in) { return block.mlp(in, dropout); }, narrow, dy.to(at::kBFloat16));
    const auto want = gradients([&](const Tensors& in) { return block.mlp(in, dropout); }, wide, dy);
    for (std::size_t i = 0; i < got.size(); ++i) EXPECT_LT(relative_difference(got[i], want[i]), kBf16) << i;
  }
}

TEST(LoraLinear, WhatTheInputIsMadeOfMayBeMadeBefore) {
  at::manual_seed(33);
  const Block block;
  const auto in = block.as(at::kBFloat16);
  const auto gate = random({Block::kTokens, Block::kHidden}, at::kBFloat16), up = gate.flip(0).contiguous();
  const auto made = swiglu(gate, up);
  const auto with = lora_linear(LinearInput::gated(gate, up, made), {block.term(in, 2)}, std::nullopt)[0];
  const auto without = lora_linear(LinearInput::gated(gate, up, {}), {block.term(in, 2)}, std::nullopt)[0];
  EXPECT_TRUE(at::equal(with, without));
}

TEST(Linear, IsDifferentiableInXAlone) {
  at::manual_seed(7);
  const auto weight = dense_weight(random({4, 6}));
  const auto bias = random({4});
  expect_finite_differences([&](const Tensors& in) { return linear(in[0], weight, bias); }, {random({3, 6})});
}

TEST(Linear, AddsItsBias) {
  at::manual_seed(8);
  const auto w = random({4, 6}, at::kFloat), bias = random({4}, at::kFloat), x = random({3, 6}, at::kFloat);
  EXPECT_LT(relative_difference(linear(x, dense_weight(w), bias), at::linear(x, w, bias)), kFp32);
}

}  // namespace
}  // namespace graft
