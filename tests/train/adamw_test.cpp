#include "train/adamw.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace graft {
namespace {

constexpr double kFp32 = 1e-6;  // a handful of fp32 operations on values near 1

Parameter parameter(const std::string& name, std::vector<float> values) {
  return {name, at::tensor(values, at::kFloat).requires_grad_(true)};
}

// The paper's algorithm 2 in double, for one number.
struct Reference {
  double value, m = 0, v = 0;
  int step = 0;
  void update(double gradient, double lr, const OptimOptions& o) {
    ++step;
    value -= lr * o.weight_decay * value;
    m = o.beta1 * m + (1 - o.beta1) * gradient;
    v = o.beta2 * v + (1 - o.beta2) * gradient * gradient;
    const double m_hat = m / (1 - std::pow(o.beta1, step)), v_hat = v / (1 - std::pow(o.beta2, step));
    value -= lr * m_hat / (std::sqrt(v_hat) + o.eps);
  }
};

TEST(AdamW, FollowsTheAlgorithmOfThePaper) {
  const OptimOptions options{.weight_decay = 0.1, .beta1 = 0.8, .beta2 = 0.95};
  const std::vector<Parameter> parameters = {parameter("x.lora_A.weight", {0.5F, -1.0F})};
  AdamW optimizer(parameters, options);
  Reference first{0.5}, second{-1.0};
  for (int step = 0; step < 7; ++step) {
    const double g = 0.3 * (step - 2);
    parameters[0].value.mutable_grad() = at::tensor({g, 0.7}, at::kFloat);
    optimizer.step(0.01);
    first.update(g, 0.01, options);
    second.update(0.7, 0.01, options);
  }
  EXPECT_NEAR(parameters[0].value[0].item<double>(), first.value, kFp32);
  EXPECT_NEAR(parameters[0].value[1].item<double>(), second.value, kFp32);
  EXPECT_FALSE(parameters[0].value.grad().defined());
}

// create_loraplus_optimizer's groups: by name, and vectors as B.
TEST(AdamW, LoraPlusMovesBAndVectorsFasterByItsRatio) {
  const auto matrix = [](const char* name) {
    return Parameter{name, at::ones({1, 1}, at::kFloat).requires_grad_(true)};
  };
  const std::vector<Parameter> parameters = {matrix("x.lora_A.weight"),
                                             matrix("x.lora_B.weight"),
                                             parameter("x.lora_magnitude_vector", {1.0F}),
                                             parameter("x.base_layer.bias", {1.0F}),
                                             matrix("lm_head.weight"),
                                             matrix("model.embed_tokens.lora_embedding_B")};
  AdamW optimizer(parameters,
                  {.learning_rate = 1e-3, .loraplus_lr_ratio = 16.0, .loraplus_lr_embedding = 5e-4});
  for (const Parameter& p : parameters) p.value.mutable_grad() = at::full_like(p.value.detach(), 2.0);
  optimizer.step(1e-3);
  const double wanted[] = {1, 16, 16, 16, 1, 0.5};
  for (std::size_t i = 0; i < parameters.size(); ++i)
    EXPECT_NEAR((1.0 - parameters[i].value.item<double>()) / 1e-3, wanted[i], 0.01) << parameters[i].name;
}

TEST(AdamW, BiasesAndNormsDoNotDecay) {
  const std::vector<Parameter> parameters = {
      parameter("x.lora_magnitude_vector", {1.0F}), parameter("x.q_proj.bias", {1.0F}),
      parameter("model.layers.0.input_layernorm.weight", {1.0F}), parameter("model.norm.weight", {1.0F})};
  AdamW optimizer(parameters, {.weight_decay = 0.5});
  for (const Parameter& p : parameters) p.value.mutable_grad() = at::zeros({1}, at::kFloat);
  optimizer.step(0.1);
  EXPECT_NEAR(parameters[0].value.item<double>(), 0.95, kFp32);
  for (std::size_t i = 1; i < parameters.size(); ++i)
    EXPECT_EQ(parameters[i].value.item<double>(), 1.0) << parameters[i].name;
}

TEST(AdamW, ClipsByTheNormOfAllGradientsTogether) {
  const std::vector<Parameter> parameters = {parameter("a.lora_A.weight", {0.0F}),
                                             parameter("b.lora_B.weight", {0.0F})};
  AdamW optimizer(parameters, {});
  parameters[0].value.mutable_grad() = at::tensor({3.0F});
  parameters[1].value.mutable_grad() = at::tensor({4.0F});
  EXPECT_NEAR(optimizer.clip(0.0), 5.0, kFp32);
  EXPECT_EQ(parameters[1].value.grad().item<double>(), 4.0);
  EXPECT_NEAR(optimizer.clip(2.5), 5.0, kFp32);
  EXPECT_NEAR(parameters[0].value.grad().item<double>(), 1.5, kFp32);
  EXPECT_NEAR(parameters[1].value.grad().item<double>(), 2.0, kFp32);
}

TEST(AdamW, StateNamesBothMomentsOfEveryParameter) {
  const std::vector<Parameter> parameters = {parameter("x.lora_A.weight", {1.0F, 2.0F})};
  const AdamW optimizer(parameters, {});
  const std::vector<Parameter> state = optimizer.state();
  ASSERT_EQ(state.size(), 2U);
  EXPECT_EQ(state[0].name, "x.lora_A.weight.exp_avg");
  EXPECT_EQ(state[1].name, "x.lora_A.weight.exp_avg_sq");
  EXPECT_EQ(state[0].value.numel(), 2);
}

}  // namespace
}  // namespace graft
