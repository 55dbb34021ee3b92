#include <ATen/ATen.h>

#include <cmath>

#include "base/json.h"
#include "export/gguf_model.h"
#include "export/hf_folder.h"
#include "model/base_outline.h"
#include "peft/tiny_families.h"

namespace graft {
namespace {

constexpr double kTolerance = kPeftTolerance;
const Path kMethods = kPeftGolden / "methods";

class PeftMethods : public testing::TestWithParam<const char*> {
 protected:
  Path folder() const { return kMethods / GetParam(); }
  std::map<std::string, at::Tensor> expected() const {
    return read_tensors(folder() / "expected.safetensors");
  }
};

TEST_P(PeftMethods, LogProbabilitiesAreThoseOfPeft) {
  Decoder model = base_of(GetParam());
  const at::Tensor base = all_log_probs(model);
  load_adapter(model, folder(), ZeroAdapter::kRefuse);
  const at::Tensor golden = expected().at("log_probs");
  EXPECT_LT(largest_difference(all_log_probs(model), golden), kTolerance);
  EXPECT_GT(largest_difference(base, golden), 100 * kTolerance);
}

TEST_P(PeftMethods, GradientsAreThoseOfPeft) {
  Decoder model = base_of(GetParam());
  const AdapterSet adapters = load_adapter(model, folder(), ZeroAdapter::kRefuse);
  const at::Tensor loss = case_loss(model);
  const auto golden = expected();
  EXPECT_NEAR(loss.item<double>(), golden.at("loss").item<double>(), kTolerance);
  loss.backward();
  std::int64_t compared = 0;
  for (const Parameter& parameter : adapters.parameters) {
    const auto wanted = golden.find("grad.base_model.model." + parameter.name);
    ASSERT_NE(wanted, golden.end()) << parameter.name;
    ASSERT_TRUE(parameter.value.grad().defined()) << parameter.name;
    const at::Tensor got = wave(parameter.value.grad());
    EXPECT_LT(largest_difference(got, wanted->second), kTolerance * (1 + wanted->second[0].item<double>()))
        << parameter.name << " " << got << wanted->second;
    ++compared;
  }
  const auto is_gradient = [](const auto& entry) { return entry.first.starts_with("grad."); };
  EXPECT_EQ(compared, std::count_if(golden.begin(), golden.end(), is_gradient));
}

// Where PEFT merges into one matrix that embedding and head share, it changes both; ours are written apart.
TEST_P(PeftMethods, MergedItIsWhatTheAdapterIs) {
  const TestFolder folder_of_test;
  Decoder model = base_of(GetParam());
  load_adapter(model, folder(), ZeroAdapter::kRefuse);
  const Path out = folder_of_test.path() / "merged";
  const auto golden = expected();
  const auto gap = golden.find("merged_gap");  // of PEFT's merged model from its own adapter
  if (gap == golden.end()) {
    const Error error =
        error_of([&] { write_hf_folder(model, family_of(GetParam()), out, WeightType::kF32); });
    EXPECT_TRUE(says(error, "cannot be merged")) << error.what();
    return;
  }
  EXPECT_TRUE(gap->second.item<double>() < kTolerance || model.config.tie_word_embeddings);
  write_hf_folder(model, family_of(GetParam()), out, WeightType::kF32);
  const Decoder merged = load_model({.path = out.string(), .dtype = ComputeDType::kF32});
  EXPECT_LT(largest_difference(all_log_probs(merged), golden.at("log_probs")), kTolerance);
}

TEST_P(PeftMethods, MergedIntoAGgufItIsTheSame) {
  const TestFolder folder_of_test;
  Decoder model = base_of(GetParam());
  load_adapter(model, folder(), ZeroAdapter::kRefuse);
  const Path out = folder_of_test.path() / "merged.gguf";
  const auto write = [&] { write_gguf_model(model, family_of(GetParam()), out, parse_gguf_types("f32")); };
  if (!expected().contains("merged_gap")) {
    EXPECT_TRUE(says(error_of(write), "cannot be merged"));
    return;
  }
  write();
  const Decoder merged = load_model({.path = out.string(), .dtype = ComputeDType::kF32});
  // Windows of some families are left out, with a warning: llama.cpp has none for them.
  for (std::size_t i = 0; i < model.blocks.size(); ++i)
    model.blocks[i].attention.options.window = merged.config.layers[i].window;
  EXPECT_LT(largest_difference(all_log_probs(merged), all_log_probs(model)), kTolerance);
}

TEST_P(PeftMethods, SavedItHasPeftsKeysShapesAndConfig) {
  const TestFolder folder_of_test;
  const Path out = place_to_save(GetParam(), folder_of_test.path());
  Decoder model = base_of(GetParam());
  const AdapterSet adapters = load_adapter(model, folder(), ZeroAdapter::kRefuse);
  save_adapter(adapters, out, "base", {});
  auto wanted = shapes_of(folder());
  // PEFT adds the base's own embedding; VeRA's matrices are always written.
  std::erase_if(wanted, [](const auto& entry) { return entry.first.ends_with(".base_layer.weight"); });
  auto got = shapes_of(out);
  if (!wanted.contains("base_model.vera_A"))
    std::erase_if(got, [](const auto& entry) { return entry.first.starts_with("base_model.vera_"); });
  EXPECT_EQ(got, wanted);
  const Json ours = read_json(out / "adapter_config.json"),
             peft = read_json(folder() / "adapter_config.json");
  for (const auto& [key, value] : ours.items()) {
    if (key == "base_model_name_or_path" || key == "save_projection") continue;
    if (key == "init_lora_weights") {  // that of what goes on from it
      EXPECT_EQ(value, Json(true));
      continue;
    }
    ASSERT_TRUE(peft.contains(key)) << key;
    const bool one = key.starts_with("layers_") && !peft.at(key).is_array() && !peft.at(key).is_null();
    if (key == "trainable_token_indices" && peft.at(key).is_object()) continue;
    EXPECT_EQ(value, one ? Json::array({peft.at(key)}) : peft.at(key)) << key;
  }
  Decoder second = base_of(GetParam());
  load_adapter(second, out, ZeroAdapter::kRefuse);
  EXPECT_EQ(largest_difference(all_log_probs(second), all_log_probs(model)), 0.0);
}

TEST_P(PeftMethods, AnOutlineCountsWhatIsTrained) {
  const Decoder shapes = outline_model({.path = family_of(GetParam()).string()}).model;
  Decoder model = base_of(GetParam());
  LoraOptions options;
  options.from = folder().string();
  const AdapterOutline outline = outline_adapters(shapes, options);
  const AdapterSet adapters = attach_adapters(model, options, 1);
  EXPECT_EQ(outline.parameters, adapters.parameter_count());
  EXPECT_EQ(outline.modules, adapters.modules);
}

TEST_P(PeftMethods, InBf16ItIsNearFp32) {
  Decoder model = base_of(GetParam(), ComputeDType::kBF16);
  const AdapterSet adapters = load_adapter(model, folder(), ZeroAdapter::kRefuse);
  const at::Tensor golden = expected().at("log_probs");
  EXPECT_LT(relative_difference(all_log_probs(model), golden), 0.05);
  const Step step = make_step(case_examples(), {0, 1}, 1024);
  token_losses(model, step.packs[0]).sum().backward();
  for (const Parameter& parameter : adapters.parameters) {
    ASSERT_TRUE(parameter.value.grad().defined()) << parameter.name;
    EXPECT_TRUE(at::isfinite(parameter.value.grad()).all().item<bool>()) << parameter.name;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Peft, PeftMethods,
    testing::Values("llama_plain", "qwen2_plain", "gemma2_plain", "llama_rslora", "gemma2_rslora",
                    "gemma2_patterns", "llama_layers", "llama_exclude", "qwen2_exclude", "llama_bias_all",
                    "qwen2_bias_lora_only", "qwen2_lora_bias", "llama_lora_bias", "gemma2_lora_bias",
                    "qwen2_tied_embedding", "gemma2_tied_head", "qwen2_tied_saved", "gemma2_tied_saved",
                    "qwen2_embedding", "gemma2_head", "llama_saved", "gemma2_saved_head",
                    "qwen2_saved_linear", "llama_patterns", "qwen2_patterns_rslora", "qwen2_layers",
                    "gemma2_layer", "gemma2_exclude", "qwen2_bias_all", "llama_bias_lora_only",
                    "gemma2_embedding", "llama_embedding_head", "qwen2_head", "gemma2_saved",
                    "qwen2_saved_head", "llama_saved_linear", "qwen2_tokens", "llama_tokens", "gemma2_tokens",
                    "llama_dora", "qwen2_dora", "gemma2_dora", "llama_vera", "qwen2_vera_unsaved",
                    "gemma2_vera", "llama_ia3", "qwen2_ia3", "gemma2_ia3", "llama_gaussian", "qwen2_gaussian",
                    "gemma2_gaussian", "llama_orthogonal", "qwen2_orthogonal", "gemma2_orthogonal"),
    [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace graft
