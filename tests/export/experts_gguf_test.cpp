#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <map>

#include "expect_error.h"
#include "export/gguf_lora.h"
#include "export/gguf_model.h"
#include "export/portable.h"
#include "model/base_outline.h"
#include "model/gguf_hyperparameters.h"
#include "model/golden.h"
#include "peft/adapter_set.h"
#include "store/gguf.h"
#include "store/gguf_writer.h"
#include "store/safetensors_writer.h"

namespace graft {
namespace {

/// fp32 on both sides, sums in another order.
constexpr double kTolerance = 1e-4;
const std::vector<std::int32_t> kIds = {1, 30, 17, 42, 51, 8, 26, 9, 2, 60, 33};

/// A golden Mixtral without its window, which a GGUF file cannot say.
class ExpertsAsGguf : public ::testing::Test {
 protected:
  ExpertsAsGguf() {
    make_folder(base_);
    graft::copy_file(golden("families/mixtral/model.safetensors"), base_ / "model.safetensors");
    Json config = read_json(golden("families/mixtral/config.json"));
    config["sliding_window"] = nullptr;
    write_file(base_ / "config.json", to_text(config));
  }
  Decoder adapted(const Path& adapter) const {
    Decoder model = load_fp32(base_);
    load_adapter(model, adapter, ZeroAdapter::kRefuse, OtherBase::kWarn);
    return model;
  }
  static double distance(const Decoder& left, const Decoder& right) {
    return largest_difference(at::log_softmax(sequence_logits(left, kIds), -1),
                              at::log_softmax(sequence_logits(right, kIds), -1));
  }

  TemporaryFolder folder_;
  Path base_ = folder_ / "base", out_ = folder_ / "out.gguf";
  const Path adapter_ = golden("families/mixtral/adapter");
};

TEST_F(ExpertsAsGguf, ABlocksExpertsAreOneTensorAndTheRouterIsF32) {
  const Decoder model = load_fp32(base_);
  write_gguf_model(model, base_, out_, parse_gguf_types("q8_0"));
  const GgufFile file(out_);
  EXPECT_EQ(file.string("general.architecture"), "llama");
  EXPECT_EQ(file.integer("llama.expert_count"), 5);
  EXPECT_EQ(file.integer("llama.expert_used_count"), 2);
  EXPECT_FALSE(file.has("llama.expert_feed_forward_length")) << "llama.cpp's converter writes none";
  for (const char* name :
       {"blk.0.ffn_gate_exps.weight", "blk.1.ffn_up_exps.weight", "blk.1.ffn_down_exps.weight"}) {
    ASSERT_NE(file.find(name), nullptr) << name;
    EXPECT_EQ(file.find(name)->shape, (std::vector<std::int64_t>{5, 32, 32}));
    EXPECT_EQ(file.find(name)->dtype, DType::kQ8_0);
  }
  EXPECT_EQ(file.find("blk.0.ffn_gate_inp.weight")->dtype, DType::kF32);
  EXPECT_EQ(file.find("blk.0.ffn_gate.weight"), nullptr);
}

TEST_F(ExpertsAsGguf, TheMergedFileSaysWhatBaseAndAdapterSay) {
  const Decoder model = adapted(adapter_);
  EXPECT_GT(distance(model, load_fp32(base_)), 0.01) << "the adapter does something";
  write_gguf_model(model, base_, out_, parse_gguf_types("f32"));
  EXPECT_LT(distance(load_fp32(out_), model), kTolerance);
}

TEST_F(ExpertsAsGguf, AFileOfExpertsComesBackByteForByteAndTakesAMerge) {
  for (const char* name : {"mixtral", "qwen3_moe"}) {
    const Path base = golden("families") / (std::string(name) + ".gguf");
    const Path out = folder_ / (std::string(name) + ".gguf");
    write_gguf_model(load_fp32(base), base, out, std::nullopt);
    const GgufFile want(base), got(out);
    ASSERT_EQ(got.tensors().size(), want.tensors().size());
    for (std::size_t i = 0; i < want.tensors().size(); ++i) {
      EXPECT_EQ(got.tensors()[i].name, want.tensors()[i].name);
      EXPECT_TRUE(std::ranges::equal(got.tensors()[i].bytes, want.tensors()[i].bytes))
          << want.tensors()[i].name;
    }
  }
}

TEST_F(ExpertsAsGguf, Qwen3sExpertsHaveAWidthOfTheirOwn) {
  const ModelConfig config = load_config(golden("families/qwen3_moe.gguf"));
  const GgufMetadata made = gguf_hyperparameters(config).metadata;
  const Path file = folder_ / "head.gguf";
  write_gguf(file, made, {});
  EXPECT_EQ(GgufFile(file).integer("qwen3moe.expert_feed_forward_length"), config.experts.width);
  EXPECT_EQ(GgufFile(file).integer("qwen3moe.expert_count"), config.experts.count);
}

TEST_F(ExpertsAsGguf, WhatLlamaCppHasNoWordForIsRefused) {
  const Path base = golden("families/qwen3_moe");  // its second block has no experts
  const Error error =
      error_of([&] { write_gguf_model(load_fp32(base), base, out_, parse_gguf_types("f32")); });
  EXPECT_TRUE(contains(error.what(), "blocks without experts"));
  EXPECT_FALSE(std::filesystem::exists(out_));
}

TEST_F(ExpertsAsGguf, AnAdapterOfExpertsIsOnePairABlockAndReadsBackAsTheSame) {
  const LoraExport report = write_gguf_lora(outline_model({.path = base_.string()}).model,
                                            open_adapter_folder(adapter_), out_, DType::kF32);
  EXPECT_LT(report.difference, 1e-6);
  const GgufFile file(out_);
  EXPECT_EQ(file.find("blk.0.ffn_up_exps.weight.lora_a")->shape, (std::vector<std::int64_t>{5, 2, 32}));
  EXPECT_EQ(file.find("blk.0.ffn_up_exps.weight.lora_b")->shape, (std::vector<std::int64_t>{5, 32, 2}));
  EXPECT_LT(distance(adapted(out_), adapted(adapter_)), kTolerance);
}

TEST_F(ExpertsAsGguf, AnAdapterWhoseConfigNamesParametersIsOneOfLinearsAllTheSame) {
  // With rsLoRA, PEFT on transformers 5 has to be told the parameters of gate and up.
  Decoder model = load_fp32(base_);
  LoraOptions options;
  options.r = 2;
  options.use_rslora = true;
  options.init = LoraInit::kOrthogonal;
  const AdapterSet set = attach_adapters(model, options, 5);
  for (const Parameter& parameter : set.parameters)
    parameter.value.detach().add_(at::ones_like(parameter.value).mul_(0.05));
  const Path folder = folder_ / "parameters";
  make_folder(folder);
  save_adapter(set, folder, "base", {});
  ASSERT_TRUE(contains(text_of_file(folder / "adapter_config.json"), "experts.gate_up_proj"));
  const LoraExport report = write_gguf_lora(outline_model({.path = base_.string()}).model,
                                            open_adapter_folder(folder), out_, DType::kF32);
  EXPECT_LT(report.difference, 1e-6);
  EXPECT_LT(distance(adapted(out_), adapted(folder)), kTolerance);
  EXPECT_TRUE(contains(error_of([&] { write_portable(open_adapter_folder(folder), folder_ / "p"); }).what(),
                       "parameters"));
}

TEST_F(ExpertsAsGguf, ExpertsOfOtherRanksAndNoneAreFilledUpWithZeros) {
  const std::string block = "base_model.model.model.layers.0.block_sparse_moe.experts.";
  const std::map<std::string, at::Tensor> tensors = {
      {block + "1.w1.lora_A.weight", at::randn({4, 32})},
      {block + "1.w1.lora_B.weight", at::randn({32, 4})},
      {block + "3.w1.lora_A.weight", at::randn({2, 32})},
      {block + "3.w1.lora_B.weight", at::randn({32, 2})},
      {"base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight", at::randn({4, 32})},
      {"base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight", at::randn({64, 4})}};
  std::vector<TensorView> views;
  for (const auto& [name, tensor] : tensors)
    views.push_back({name,
                     DType::kF32,
                     tensor.sizes().vec(),
                     {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()}});
  const Path folder = folder_ / "made";
  make_folder(folder);
  write_safetensors(folder / "adapter_model.safetensors", views, {{"format", "pt"}});
  write_file(folder / "adapter_config.json",
             R"json({"peft_type": "LORA", "r": 4, "lora_alpha": 8, "rank_pattern": {"experts.3.w1": 2},
                     "target_modules": ".*(layers.0.*experts.(1|3).w1|layers.1.*q_proj)"})json");
  const LoraExport report = write_gguf_lora(outline_model({.path = base_.string()}).model,
                                            open_adapter_folder(folder), out_, DType::kF32);
  EXPECT_EQ(report.modules, 3);
  EXPECT_LT(report.difference, 1e-6) << "read with the scale that llama.cpp takes";
  EXPECT_EQ(GgufFile(out_).find("blk.0.ffn_gate_exps.weight.lora_a")->shape,
            (std::vector<std::int64_t>{5, 4, 32}));
  EXPECT_LT(distance(adapted(out_), adapted(folder)), kTolerance);
}

}  // namespace
}  // namespace graft
