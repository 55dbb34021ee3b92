#include <ATen/ATen.h>

#include <cmath>
#include <cstdlib>

#include "base/json.h"
#include "evaluate/compare.h"
#include "evaluate/loss.h"
#include "export/gguf_model.h"
#include "export/hf_folder.h"
#include "model/base_outline.h"
#include "peft/fixture.h"

namespace graft {
namespace {

// fp32 on both sides, sums in another order.
constexpr double kTolerance = 1e-4;
const Path kMethods = kPeftGolden / "methods";

Path family_of(const std::string& name) { return kGolden / "families" / name.substr(0, name.find('_')); }

Decoder base_of(const std::string& name, ComputeDType dtype = ComputeDType::kF32) {
  return load_model({.path = family_of(name).string(), .dtype = dtype});
}

/// The two sequences of scripts/golden/peft_methods.py.
std::vector<Example> case_examples() {
  return {example_of({1, 30, 17, 42, 51, 8, 26, 9, 2}, {-100, -100, 17, 42, 51, 8, -100, 9, 2}, 0),
          example_of({1, 7, 40, 5, 12}, {-100, -100, 40, 5, 12}, 1)};
}

at::Tensor all_log_probs(const Decoder& model) {
  std::vector<at::Tensor> rows;
  for (const Example& example : case_examples()) rows.push_back(log_probabilities(model, example.tokens));
  return at::cat(rows);
}

/// wave() of the script.
at::Tensor wave(const at::Tensor& gradient) {
  const at::Tensor flat = gradient.to(at::kDouble).flatten();
  const at::Tensor waves = at::cos(at::arange(flat.numel(), at::kDouble));
  return at::stack({flat.norm(), (flat * waves).sum()});
}

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
  const Step step = make_step(case_examples(), {0, 1}, 1024);
  const at::Tensor loss = token_losses(model, step.packs[0]).sum() / static_cast<double>(step.target_tokens);
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

std::map<std::string, std::vector<std::int64_t>> shapes_of(const Path& folder) {
  std::map<std::string, std::vector<std::int64_t>> shapes;
  const SafetensorsFile file(folder / "adapter_model.safetensors");
  for (const TensorView& tensor : file.tensors()) shapes[tensor.name] = tensor.shape;
  return shapes;
}

TEST_P(PeftMethods, SavedItHasPeftsKeysShapesAndConfig) {
  const TestFolder folder_of_test;
  // For scripts/golden/peft_reread.py, which loads them into PEFT.
  const char* kept = std::getenv("GRAFT_SAVED_ADAPTERS");
  const Path out = kept ? Path(kept) / GetParam() : folder_of_test.path() / "saved";
  std::filesystem::create_directories(out);
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
    testing::Values("qwen2_plain", "gemma2_plain", "llama_rslora", "gemma2_rslora", "gemma2_patterns",
                    "llama_layers", "llama_exclude", "qwen2_exclude", "llama_bias_all",
                    "qwen2_bias_lora_only", "qwen2_lora_bias", "llama_lora_bias", "gemma2_lora_bias",
                    "qwen2_tied_embedding", "gemma2_tied_head", "qwen2_tied_saved", "gemma2_tied_saved",
                    "qwen2_embedding", "gemma2_head", "llama_saved", "gemma2_saved_head",
                    "qwen2_saved_linear", "llama_patterns", "qwen2_patterns_rslora", "qwen2_layers",
                    "gemma2_layer", "gemma2_exclude", "qwen2_bias_all", "llama_bias_lora_only",
                    "gemma2_embedding", "llama_embedding_head", "qwen2_head", "gemma2_saved",
                    "qwen2_saved_head", "llama_saved_linear", "qwen2_tokens", "llama_tokens", "gemma2_tokens",
                    "llama_dora", "qwen2_dora", "gemma2_dora", "llama_vera", "qwen2_vera_unsaved",
                    "gemma2_vera", "llama_ia3", "qwen2_ia3", "gemma2_ia3"),
    [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace graft
