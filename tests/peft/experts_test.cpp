#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "evaluate/loss.h"
#include "peft/fixture.h"
#include "train/adamw.h"

namespace graft {
namespace {

const Path kMoe = kGolden / "families/qwen3_moe";

Decoder moe_model() { return load_model({.path = kMoe.string(), .dtype = ComputeDType::kF32}); }

LoraOptions rank_2(double dropout = 0.0) {
  LoraOptions options;
  options.r = 2;
  options.alpha = 4;
  options.dropout = dropout;
  return options;
}

Pack pack_of(const std::vector<std::vector<std::int32_t>>& sequences, std::uint64_t first_id = 0) {
  Pack pack;
  pack.starts = {0};
  for (const auto& tokens : sequences) {
    pack.tokens.insert(pack.tokens.end(), tokens.begin(), tokens.end());
    pack.targets.insert(pack.targets.end(), tokens.begin() + 1, tokens.end());
    pack.targets.push_back(kNoTarget);
    pack.starts.push_back(std::ssize(pack.tokens));
    pack.ids.push_back(first_id++);
    pack.weights.push_back(1.0F);
  }
  return pack;
}

/// Fresh adapters whose every factor is drawn, so that all of them have gradients.
AdapterSet drawn_adapters(Decoder& model, double dropout = 0.0) {
  AdapterSet set = attach_adapters(model, rank_2(dropout), 7);
  const at::NoGradGuard no_grad;
  at::manual_seed(9);
  for (Parameter& parameter : set.parameters) parameter.value.normal_(0, 0.2);
  return set;
}

TEST(ExpertAdapters, AllLinearAdaptsRouterExpertsAndTheMlpOfDenseBlocks) {
  Decoder model = moe_model();
  const AdapterSet set = attach_adapters(model, rank_2(), 7);
  const auto adapted = [&](const char* name) {
    return std::find(set.modules.begin(), set.modules.end(), name) != set.modules.end();
  };
  for (const char* name : {"model.layers.0.self_attn.q_proj", "model.layers.0.mlp.gate",
                           "model.layers.0.mlp.experts.0.gate_proj", "model.layers.2.mlp.experts.4.down_proj",
                           "model.layers.1.mlp.up_proj"})
    EXPECT_TRUE(adapted(name)) << name;
  EXPECT_FALSE(adapted("model.layers.1.mlp.gate"));
  EXPECT_EQ(set.modules.size(), 3 * 4 + 2 * (1 + 5 * 3) + 3);
}

TEST(ExpertAdapters, ATokenPassesItsShareOfThem) {
  const Decoder model = moe_model();
  const AdapterOutline outline = outline_adapters(model, rank_2());
  const std::int64_t attention = 3 * 2 * (32 + 64 + 2 * (32 + 32) + 64 + 32), router = 2 * 2 * (32 + 5),
                     dense = 2 * 3 * (32 + 64), expert = 2 * 3 * (32 + 32);
  EXPECT_EQ(outline.parameters, attention + router + dense + 2 * 5 * expert);
  EXPECT_EQ(outline.active_parameters, attention + router + dense + 2 * 2 * expert);
  EXPECT_EQ(outline.ranks, 2 * (3 * 4 + 2 + 3 + 2 * 2 * 3));
}

TEST(ExpertAdapters, ExpertsWithoutTokensAreUpdatedAsByAZeroGradient) {
  Decoder model = moe_model();
  AdapterSet set = drawn_adapters(model);
  token_losses(model, pack_of({{5, 9}}), {}).sum().backward();
  std::size_t without = 0, with = 0;
  for (const Parameter& parameter : set.parameters) {
    if (parameter.name.find(".experts.") == std::string::npos) continue;
    const at::Tensor& gradient = parameter.value.grad();
    ++(gradient.defined() && gradient.ne(0).any().item<bool>() ? with : without);
  }
  EXPECT_GT(with, 0U);
  EXPECT_GT(without, 0U);
  std::vector<at::Tensor> before;
  for (const Parameter& parameter : set.parameters) before.push_back(parameter.value.detach().clone());
  OptimOptions options;
  options.weight_decay = 0.5;
  AdamW optimizer(set.parameters, options);
  optimizer.step(0.1);
  for (std::size_t i = 0; i < before.size(); ++i)
    EXPECT_FALSE(at::equal(set.parameters[i].value, before[i])) << set.parameters[i].name;
}

/// Loss of a pack and the gradients of every factor, one after another; zeros where there is none.
std::pair<at::Tensor, at::Tensor> learned(const Decoder& model, const AdapterSet& set, const Pack& pack,
                                          Pass pass) {
  for (const Parameter& parameter : set.parameters) at::Tensor(parameter.value).mutable_grad().reset();
  const at::Tensor losses = token_losses(model, pack, std::move(pass));
  losses.sum().backward();
  std::vector<at::Tensor> gradients;
  for (const Parameter& parameter : set.parameters) {
    const at::Tensor& gradient = parameter.value.grad();
    gradients.push_back((gradient.defined() ? gradient : at::zeros_like(parameter.value)).flatten());
  }
  return {losses.detach(), at::cat(gradients)};
}

Pass dropping(Recompute recompute = Recompute::kNothing) {
  Pass pass;
  pass.dropout = DropoutKey{.seed = 3, .epoch = 1};
  pass.recompute = recompute;
  return pass;
}

TEST(ExpertAdapters, DropTheSameWhateverIsComputedAgain) {
  Decoder model = moe_model();
  const AdapterSet set = drawn_adapters(model, 0.5);
  const Pack pack = pack_of({{1, 17, 42, 9, 33, 60}, {7, 8, 9}});
  const auto [losses, gradients] = learned(model, set, pack, dropping());
  EXPECT_FALSE(at::equal(losses, learned(model, set, pack, {}).first)) << "nothing was dropped";
  for (const Recompute what : {Recompute::kMlp, Recompute::kBlocks}) {
    const auto again = learned(model, set, pack, dropping(what));
    EXPECT_TRUE(at::equal(again.first, losses));
    EXPECT_LT(relative_difference(again.second, gradients), 1e-6);
  }
}

TEST(ExpertAdapters, DropTheSameOfAnExampleInWhateverPackItIs) {
  Decoder model = moe_model();
  const AdapterSet set = drawn_adapters(model, 0.5);
  const std::vector<std::int32_t> first = {1, 17, 42, 9, 33, 60}, second = {7, 8, 9};
  const auto [losses, gradients] = learned(model, set, pack_of({first, second}), dropping());
  const auto alone = learned(model, set, pack_of({second}, 1), dropping());
  const auto other = learned(model, set, pack_of({first}), dropping());
  EXPECT_LT(largest_difference(losses, at::cat({other.first, alone.first})), 1e-5);
  EXPECT_LT(relative_difference(other.second + alone.second, gradients), 1e-5);
  const auto renamed = learned(model, set, pack_of({second}, 2), dropping());
  EXPECT_GT(largest_difference(renamed.first, alone.first), 1e-3) << "another example, the same mask";
}

}  // namespace
}  // namespace graft
