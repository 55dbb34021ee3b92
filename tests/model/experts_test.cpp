#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "model/families.h"
#include "model/golden.h"
#include "ops/int8_weight.h"

namespace graft {
namespace {

const Path kBase = golden("families/qwen3_moe");

ModelConfig config_with(const std::function<void(Json&)>& change) {
  Json json = read_json(kBase / "config.json");
  change(json);
  return parse_config(json, "config.json");
}

template <class Act>
std::string message_of(const Act& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::vector<bool> sparse_of(const ModelConfig& config) {
  std::vector<bool> sparse;
  for (const LayerConfig& layer : config.layers) sparse.push_back(layer.sparse);
  return sparse;
}

TEST(ExpertsConfig, IsReadInBothSpellings) {
  for (const char* key : {"num_experts", "num_local_experts"}) {
    const ModelConfig config = config_with([&](Json& json) {
      json.erase("num_local_experts");
      json[key] = 5;
    });
    EXPECT_EQ(config.experts.count, 5);
    EXPECT_EQ(config.experts.per_token, 2);
    EXPECT_EQ(config.experts.width, 32);
    EXPECT_TRUE(config.experts.normalized);
  }
  EXPECT_FALSE(config_with([](Json& json) { json.erase("norm_topk_prob"); }).experts.normalized);
}

TEST(ExpertsConfig, StepAndListSayWhichBlocksHaveOneMlp) {
  const auto with = [](std::int64_t step, const Json& dense) {
    return sparse_of(config_with([&](Json& json) {
      json["num_hidden_layers"] = 4;
      json["decoder_sparse_step"] = step;
      json["mlp_only_layers"] = dense;
    }));
  };
  EXPECT_EQ(with(1, Json::array()), (std::vector<bool>{true, true, true, true}));
  EXPECT_EQ(with(2, nullptr), (std::vector<bool>{false, true, false, true}));
  EXPECT_EQ(with(2, {0, 3, 99}), (std::vector<bool>{false, true, false, false}));
}

TEST(ExpertsConfig, WithoutExpertsEveryBlockHasOneMlp) {
  const ModelConfig config = config_with([](Json& json) { json["num_local_experts"] = 0; });
  EXPECT_EQ(sparse_of(config), (std::vector<bool>{false, false, false}));
}

TEST(ExpertsConfig, WhatCannotBeIsRefusedByName) {
  const auto refused = [](const std::function<void(Json&)>& change) {
    return message_of([&] { config_with(change); });
  };
  const std::pair<const char*, std::function<void(Json&)>> cases[] = {
      {"num_experts_per_tok", [](Json& json) { json["num_experts_per_tok"] = 6; }},
      {"num_experts_per_tok", [](Json& json) { json["num_experts_per_tok"] = 0; }},
      {"num_experts_per_tok", [](Json& json) { json.erase("num_experts_per_tok"); }},
      {"num_local_experts", [](Json& json) { json["num_experts"] = 4; }},
      {"num_experts", [](Json& json) { json.erase("num_local_experts"); }},
      {"num_local_experts", [](Json& json) { json["num_local_experts"] = 1'000'000'000; }},
      {"moe_intermediate_size", [](Json& json) { json["moe_intermediate_size"] = -1; }},
      {"mlp_only_layers", [](Json& json) { json["mlp_only_layers"] = 1; }},
      {"decoder_sparse_step", [](Json& json) { json["decoder_sparse_step"] = 0; }},
      {"output_router_logits", [](Json& json) { json["output_router_logits"] = true; }},
      {"router_jitter_noise", [](Json& json) { json["router_jitter_noise"] = 0.1; }},
      {"n_shared_experts", [](Json& json) { json["n_shared_experts"] = 1; }},
      {"Qwen2MoeForCausalLM", [](Json& json) { json["architectures"] = {"Qwen2MoeForCausalLM"}; }},
  };
  for (const auto& [name, change] : cases)
    EXPECT_NE(refused(change).find(name), std::string::npos) << name << ": " << refused(change);
  const std::string dense = message_of([] {
    Json json = read_json(golden("tiny_llama/config.json"));
    json["mlp_only_layers"] = {1};
    parse_config(json, "config.json");
  });
  EXPECT_NE(dense.find("mlp_only_layers"), std::string::npos) << dense;
}

std::vector<std::int32_t> some_ids() {
  std::vector<std::int32_t> ids;
  for (std::int32_t i = 0; i < 30; ++i) ids.push_back((7 * i + 3) % 64);
  return ids;
}

double relative(const at::Tensor& got, const at::Tensor& want) {
  return ((got - want).norm() / want.norm()).item<double>();
}

TEST(Experts, OneTokenAloneGivesWhatItGivesInAPack) {
  const Decoder model = load_fp32(kBase);
  const at::Tensor alone = sequence_logits(model, {17});
  const at::Tensor packed = pack_logits(model, tokens_of({5, 9, 17, 40}), {0, 2, 3, 4});
  EXPECT_LT(largest_difference(packed[2], alone[0]), 1e-5);
}

TEST(Experts, InQ8_0AreNearAndTheRouterStaysAsItIs) {
  const Decoder plain = load_fp32(kBase);
  const Decoder coded =
      load_model({.path = kBase.string(), .dtype = ComputeDType::kF32, .quantization = Quantization::kQ8_0});
  const auto rows = [](const Linear& linear) {
    return linear.weight->rows(0, linear.weight->out_features());
  };
  const Experts &want = plain.blocks[0].experts, &got = coded.blocks[0].experts;
  EXPECT_TRUE(at::equal(rows(got.router.linears[0]), rows(want.router.linears[0])));
  EXPECT_FALSE(at::equal(rows(got.experts[3].down.linears[0]), rows(want.experts[3].down.linears[0])));
  EXPECT_LT(relative(sequence_logits(coded, some_ids()), sequence_logits(plain, some_ids())), 0.2);
}

TEST(Experts, AreComputedInInt8AndTheRouterIsNot) {
  for (const auto quantization : {Quantization::kNone, Quantization::kQ8_0}) {
    const Decoder plain = load_model({.path = kBase.string(), .quantization = quantization});
    const Decoder coded =
        load_model({.path = kBase.string(), .quantization = quantization, .compute = Compute::kInt8});
    const Experts& experts = coded.blocks[2].experts;
    EXPECT_FALSE(experts.router.linears[0].weight->matrix().int8.codes.defined());
    EXPECT_TRUE(experts.experts[1].gate_up.linears[1].weight->matrix().int8.codes.defined());
    EXPECT_LT(relative(sequence_logits(coded, some_ids()), sequence_logits(plain, some_ids())), 0.3);
  }
}

TEST(Experts, InAFormatWhoseBlocksDoNotFitAreRefusedByName) {
  const std::string message =
      message_of([] { load_model({.path = kBase.string(), .quantization = Quantization::kNf4}); });
  EXPECT_NE(message.find("blocks of 64"), std::string::npos) << message;
  EXPECT_NE(message.find("model.layers.0."), std::string::npos) << message;
}

/// The golden GGUF file with the number of a u32 key changed.
Path changed_gguf(const TemporaryFolder& folder, const std::string& key, std::uint32_t value) {
  std::string bytes = text_of_file(golden("families/qwen3_moe.gguf"));
  const std::size_t at = bytes.find(key);
  EXPECT_NE(at, std::string::npos) << key;
  constexpr std::size_t kType = 4;  // u32 in front of the value
  bytes.replace(at + key.size() + kType, sizeof value, reinterpret_cast<const char*>(&value), sizeof value);
  const Path path = folder.path() / "changed.gguf";
  write_text(path, bytes);
  return path;
}

TEST(ExpertsGguf, OtherCountsThanItsTensorsHaveAreRefused) {
  const TemporaryFolder folder;
  for (const std::uint32_t count : {4U, 6U}) {
    const std::string message =
        message_of([&] { load_fp32(changed_gguf(folder, "qwen3moe.expert_count", count)); });
    EXPECT_NE(message.find("_exps.weight"), std::string::npos) << message;
    EXPECT_NE(message.find("[5, "), std::string::npos) << message;
  }
  const std::string many =
      message_of([&] { load_fp32(changed_gguf(folder, "qwen3moe.expert_used_count", 9)); });
  EXPECT_NE(many.find("num_experts_per_tok"), std::string::npos) << many;
  const std::string wide =
      message_of([&] { load_fp32(changed_gguf(folder, "qwen3moe.expert_feed_forward_length", 64)); });
  EXPECT_NE(wide.find("_exps.weight"), std::string::npos) << wide;
}

TEST(ExpertsGguf, AFileOfADenseArchitectureWithExpertsIsRefused) {
  std::string bytes = text_of_file(golden("families/qwen3_moe.gguf"));
  // Another architecture of a name as long: its keys have other names then, so that experts are left over.
  const std::string message = message_of([&] {
    const TemporaryFolder folder;
    for (std::size_t at = bytes.find("qwen3moe"); at != std::string::npos; at = bytes.find("qwen3moe", at))
      bytes.replace(at, 8, "qwen9moe");
    write_text(folder.path() / "other.gguf", bytes);
    load_fp32(folder.path() / "other.gguf");
  });
  EXPECT_NE(message.find("qwen9moe"), std::string::npos) << message;
}

}  // namespace
}  // namespace graft
