#include "peft/adapter_key.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace graft {
namespace {

constexpr char kQ[] = "model.layers.0.self_attn.q_proj";

TEST(AdapterKey, EveryTensorOfPeftHasItsPart) {
  const std::string start = "base_model.model.model.layers.0.self_attn.q_proj";
  const std::vector<std::pair<std::string, AdapterPart>> keys = {
      {".lora_A.weight", AdapterPart::kA},
      {".lora_B.weight", AdapterPart::kB},
      {".lora_A.default.weight", AdapterPart::kA},
      {".lora_B.my.adapter.bias", AdapterPart::kBiasOfB},
      {".lora_embedding_A", AdapterPart::kA},
      {".lora_embedding_B.default", AdapterPart::kB},
      {".lora_magnitude_vector", AdapterPart::kMagnitude},
      {".lora_magnitude_vector.default.weight", AdapterPart::kMagnitude},
      {".token_adapter.trainable_tokens_delta", AdapterPart::kTokens},
      {".base_layer.weight", AdapterPart::kBaseWeight},
      {".base_layer.bias", AdapterPart::kTrainedBias},
      {".vera_lambda_b", AdapterPart::kVera},
      {".ia3_l", AdapterPart::kIa3},
      {".weight", AdapterPart::kWhole},
      {".original_module.weight", AdapterPart::kBaseWeight},
      {".modules_to_save.weight", AdapterPart::kWhole},
      {".modules_to_save.default.weight", AdapterPart::kWhole}};
  for (const auto& [end, part] : keys) {
    const AdapterKey key = parse_adapter_key(start + end);
    EXPECT_EQ(key.module, kQ) << end;
    EXPECT_EQ(key.part, part) << end;
    EXPECT_EQ(key.of_embedding, end.starts_with(".lora_embedding")) << end;
  }
  EXPECT_EQ(parse_adapter_key("q_proj.lora_A.weight").module, "q_proj");
  EXPECT_EQ(parse_adapter_key("").module, "");
}

TEST(AdapterKey, RepairTakesOutWhatWrappersAndAdapterNamesLeft) {
  const std::string right = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
  for (const char* odd :
       {"model.layers.0.self_attn.q_proj.lora_A.weight",
        "base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight",
        "base_model.model.base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
        "module.base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
        "base_model.model._orig_mod.model.layers.0._checkpoint_wrapped_module.self_attn.q_proj.lora_A.weight",
        "_fsdp_wrapped_module.base_model.model.model.layers.0._fsdp_wrapped_module.self_attn.q_proj.lora_A."
        "weight"})
    EXPECT_EQ(repaired_adapter_key(odd), right) << odd;
  EXPECT_EQ(repaired_adapter_key(right), right);
  EXPECT_EQ(repaired_adapter_key("base_model.vera_A"), "base_model.vera_A");
  // A part of a path that only ends like a wrapper stays.
  EXPECT_EQ(repaired_adapter_key("base_model.model.my_module.q.lora_A.weight"),
            "base_model.model.my_module.q.lora_A.weight");
  EXPECT_EQ(repaired_adapter_key("base_model.model.lm_head.modules_to_save.default.weight"),
            "base_model.model.lm_head.weight");
}

TEST(AdapterKey, AWrappedModelsPathsAreThoseOfItsLanguageModel) {
  const std::string block = "layers.3.mlp.up_proj.lora_A.weight";
  for (const char* wrapper : {"model.", "model.language_model.", "language_model.model.", "model.text_model.",
                              "model.language_model.model.", "language_model.", "model.model."}) {
    const UnwrappedPath found = unwrapped_path(wrapper + block);
    EXPECT_EQ(found.path, "model." + block) << wrapper;
    EXPECT_EQ(found.wrapper, wrapper);
  }
  EXPECT_EQ(unwrapped_path("language_model.lm_head.weight").path, "lm_head.weight");
  EXPECT_EQ(unwrapped_path("lm_head.weight").wrapper, std::nullopt);
  EXPECT_EQ(unwrapped_path("vision.layers.0.q").path, "vision.layers.0.q");
  EXPECT_EQ(without_adapter_name("base_model.vera_A.default"), "base_model.vera_A");
}

TEST(AdapterKey, PathsAreInThePeoplesOrder) {
  std::vector<std::string> paths = {"layers.10.a", "layers.2.b",  "layers.2.a",
                                    "layers",      "layers.02.a", "lm_head"};
  std::sort(paths.begin(), paths.end(), path_before);
  EXPECT_EQ(paths, (std::vector<std::string>{"layers", "layers.02.a", "layers.2.a", "layers.2.b",
                                             "layers.10.a", "lm_head"}));
  EXPECT_FALSE(path_before("a.1", "a.1"));
}

}  // namespace
}  // namespace graft
