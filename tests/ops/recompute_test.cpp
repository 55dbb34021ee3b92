#include "ops/recompute.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ops/gradients.h"
#include "ops/linear.h"
#include "ops/swiglu.h"

namespace graft {
namespace {

using testing::random;

// A block with an adapter and dropout, as a family would write it.
struct Block {
  FrozenWeightPtr weight = dense_weight(random({6, 6}, at::kFloat));
  at::Tensor a = random({2, 6}, at::kFloat).set_requires_grad(true);
  at::Tensor b = random({6, 2}, at::kFloat).set_requires_grad(true);
  LoraDropout dropout{.probability = 0.5, .key = {.seed = 3, .epoch = 1}, .layout = {{0, 2, 5}, {4, 5}}};

  at::Tensor operator()(const at::Tensor& x) const {
    const auto y =
        lora_linear(x, {{.weight = weight, .a = a, .b = b, .scale = 2.0, .module = 9}}, dropout)[0];
    return x + swiglu(y, x);
  }
};

struct Gradients {
  at::Tensor x, a, b;
};

Gradients run(const Block& first, const Block& second, bool x_requires_grad, bool checkpointed) {
  auto x = at::linspace(-1, 1, 30).view({5, 6}).clone().set_requires_grad(x_requires_grad);
  for (const auto* block : {&first, &second})
    block->a.mutable_grad().reset(), block->b.mutable_grad().reset();
  const auto apply = [&](const Block& block, const at::Tensor& in) {
    return checkpointed ? recompute([&](const at::Tensor& v) { return block(v); }, in) : block(in);
  };
  const auto y = apply(second, apply(first, x));
  torch::autograd::backward({y}, {at::ones_like(y)});
  return {x.grad(), first.a.grad(), first.b.grad()};
}

TEST(Recompute, GivesBitEqualGradients) {
  at::manual_seed(1);
  const Block first, second;
  const auto want = run(first, second, true, false);
  const auto got = run(first, second, true, true);
  EXPECT_TRUE(at::equal(got.x, want.x) && at::equal(got.a, want.a) && at::equal(got.b, want.b));
}

TEST(Recompute, TrainsParametersWhereItsInputNeedsNoGradient) {
  at::manual_seed(2);
  const Block first, second;
  const auto want = run(first, second, false, false);
  const auto got = run(first, second, false, true);
  EXPECT_FALSE(got.x.defined());
  ASSERT_TRUE(got.a.defined() && got.b.defined());
  EXPECT_TRUE(at::equal(got.a, want.a) && at::equal(got.b, want.b));
}

TEST(Recompute, RunsItsFunctionAgainInTheBackward) {
  int calls = 0;
  const auto x = at::ones({3}, at::kFloat).set_requires_grad(true);
  const auto y = recompute([&](const at::Tensor& v) { return ++calls, v * v; }, x);
  EXPECT_EQ(calls, 1);
  torch::autograd::backward({y}, {at::ones_like(y)});
  EXPECT_EQ(calls, 2);
  EXPECT_TRUE(at::equal(x.grad(), at::full({3}, 2.0, at::kFloat)));
}

TEST(Recompute, KeepsNothingWithoutGradMode) {
  const at::NoGradGuard evaluation;
  const auto x = at::ones({3}, at::kFloat);
  EXPECT_FALSE(recompute([](const at::Tensor& v) { return v * 2; }, x).requires_grad());
}

}  // namespace
}  // namespace graft
