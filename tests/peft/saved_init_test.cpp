#include "peft/saved_init.h"

#include "peft/adapter_maker.h"
#include "peft/changed_adapter.h"
#include "peft/tiny_families.h"

namespace graft {
namespace {

const Path kStarts = kPeftGolden / "initialisations";

LoraInit init_of(const Json& word) {
  const Json config = {{"init_lora_weights", word}};
  return read_saved_init({config, "adapter_config.json"});
}
bool changes(const Json& word) {
  const Json config = {{"init_lora_weights", word}};
  return changes_base({config, "adapter_config.json"});
}

// Where PEFT itself does not find what was trained, or refuses, there is an error that says what to do.
TEST(SavedInit, AWordIsReadWherePeftFindsWhatItTrainedAndRefusedWhereNot) {
  std::int64_t read = 0, refused = 0;
  const Json words = read_json(kStarts / "words.json");
  for (const auto& [name, golden] : words.items()) {
    const Json& word = golden["init_lora_weights"];
    if (golden.value("reloaded_gap", 1.0) < kPeftTolerance) {
      EXPECT_EQ(init_of(word), LoraInit::kKaiming) << name;
      EXPECT_FALSE(changes(word)) << name;
      ++read;
      continue;
    }
    const Error error = error_of([&] { init_of(word); });
    EXPECT_EQ(error.code(), ExitCode::kBadInput) << name;
    EXPECT_TRUE(says(error, "/init_lora_weights")) << error.what();
    EXPECT_TRUE(says(error, word.get<std::string>())) << error.what();
    EXPECT_TRUE(says(error, "path_initial_model_for_weight_conversion")) << error.hint();
    EXPECT_TRUE(says(error, "set init_lora_weights to true")) << error.hint();
    EXPECT_TRUE(changes(word)) << name;
    ++refused;
  }
  EXPECT_EQ(read, 5);
  EXPECT_EQ(refused, 4);
}

TEST(SavedInit, AStartThatTheBaseTellsIsSaid) {
  EXPECT_EQ(init_of("pissa"), LoraInit::kPissa);
  EXPECT_EQ(init_of("olora"), LoraInit::kOlora);
  EXPECT_EQ(init_of("OLoRA"), LoraInit::kOlora);  // as PEFT reads it
  EXPECT_TRUE(changes("pissa"));
  EXPECT_TRUE(changes("OLoRA"));
  EXPECT_EQ(init_of(nullptr), LoraInit::kKaiming);
  EXPECT_FALSE(changes(nullptr));
}

TEST(SavedInit, LoftqBelongsToItsQuantisedBase) {
  const Error error = error_of([] { init_of("loftq"); });
  EXPECT_TRUE(says(error, "quantised together with it")) << error.what();
  EXPECT_FALSE(says(error, "path_initial_model_for_weight_conversion")) << "that would be wrong";
  EXPECT_TRUE(says(error, "set init_lora_weights to true")) << error.hint();
}

TEST(SavedInit, AnUnknownWordIsAnError) {
  for (const char* word : {"PiSSA", "pissa_4", "EVA", "some new one", ""}) {
    EXPECT_TRUE(says(error_of([&] { init_of(word); }), "not known")) << word;
    EXPECT_TRUE(changes(word)) << word;
  }
  EXPECT_THROW(init_of(3), Error);
}

// Ranks and alphas that EVA chose, a B that MiCA froze, factors that are random to begin with.
class SavedWords : public testing::TestWithParam<const char*> {};
TEST_P(SavedWords, AdaptersThatLeaveTheBaseAloneAreWhatPeftTrained) {
  const Path folder = kStarts / GetParam();
  const at::Tensor golden = read_tensors(folder / "expected.safetensors").at("log_probs");
  Decoder model = base_of(GetParam());
  EXPECT_GT(largest_difference(all_log_probs(model), golden), 100 * kPeftTolerance);
  load_adapter(model, folder, ZeroAdapter::kRefuse);
  EXPECT_LT(largest_difference(all_log_probs(model), golden), kPeftTolerance);
}
INSTANTIATE_TEST_SUITE_P(Peft, SavedWords, testing::Values("llama_eva", "qwen2_false", "gemma2_mica"),
                         [](const auto& info) { return std::string(info.param); });

/// The error of loading an adapter of targets that start as parts of their weight.
Error refusal(const std::string& family, const Json& targets, const AdapterChange& change = {}) {
  const TestFolder folder;
  write_changed_adapter(kPeftGolden / "methods" / (family + "_gaussian"), folder.path(),
                        [&](FileTensors& tensors, Json& config) {
                          config["init_lora_weights"] = "pissa";
                          config["target_modules"] = targets;
                          if (change) change(tensors, config);
                        });
  Decoder model = base_of(family);
  return error_of([&] { load_adapter(model, folder.path(), ZeroAdapter::kRefuse); });
}

TEST(SavedInit, WhatPeftCannotTakeOutOfOneWeightIsRefused) {
  EXPECT_TRUE(says(refusal("qwen2", {"q_proj", "lm_head"}), "the embedding too"));
  EXPECT_TRUE(says(refusal("llama", {"q_proj", "embed_tokens"}), "the weight of a linear"));
  const Error error = refusal("llama", {"q_proj"}, [](FileTensors&, Json& config) {
    config["target_parameters"] = {"mlp.experts.down_proj"};
  });
  EXPECT_TRUE(says(error, "target_parameters")) << error.what();
}

}  // namespace
}  // namespace graft
