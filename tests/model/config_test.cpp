#include "model/config.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "base/error.h"
#include "model/golden.h"

namespace graft {
namespace {

/// The tiny model's config.json with changes, in a folder of its own.
class ConfigFile {
 public:
  explicit ConfigFile(const std::function<void(Json&)>& change) {
    Json json = read_json(golden("tiny_llama/config.json"));
    change(json);
    write_text(folder_.path() / "config.json", json.dump());
  }
  ModelConfig load() const { return load_config(folder_.path()); }
  const Path& folder() const { return folder_.path(); }
  std::string message() const {
    try {
      load();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kBadInput);
      return error.what();
    }
    return "";
  }

 private:
  TemporaryFolder folder_;
};

TEST(Config, ReadsTheNewRopeParameters) {
  const ModelConfig config = load_config(golden("tiny_llama"));
  EXPECT_EQ(config.architecture, "LlamaForCausalLM");
  EXPECT_EQ(config.vocab_size, 512);
  EXPECT_EQ(config.num_key_value_heads, 2);
  EXPECT_EQ(config.head_dim, 16);
  EXPECT_DOUBLE_EQ(config.ropes.at(0).rope_theta, 100000.0);
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_EQ(config.eos_token_ids, std::vector<std::int32_t>{2});
}

TEST(Config, ReadsTheOldSpellingsAndAListOfEnds) {
  const ModelConfig config = load_config(golden("model/tiny_biased"));
  EXPECT_DOUBLE_EQ(config.ropes.at(0).rope_theta, 500000.0);
  EXPECT_EQ(config.head_dim, 32);
  EXPECT_TRUE(config.attention_bias && config.mlp_bias);
  EXPECT_FALSE(config.tie_word_embeddings);
  EXPECT_EQ(config.eos_token_ids, (std::vector<std::int32_t>{2, 5}));
  EXPECT_FALSE(config.pad_token_id.has_value()) << "-1 means none";
}

TEST(Config, LeftOutKeysHaveLlamaConfigsDefaults) {
  const ConfigFile file([](Json& json) {
    for (const char* key :
         {"num_key_value_heads", "head_dim", "rms_norm_eps", "rope_parameters", "tie_word_embeddings",
          "max_position_embeddings", "hidden_act", "attention_bias", "eos_token_id"}) {
      json.erase(key);
    }
  });
  const ModelConfig config = file.load();
  EXPECT_EQ(config.num_key_value_heads, 4);
  EXPECT_EQ(config.head_dim, 16);
  EXPECT_DOUBLE_EQ(config.rms_norm_eps, 1e-6);
  EXPECT_DOUBLE_EQ(config.ropes.at(0).rope_theta, 10000.0);
  EXPECT_EQ(config.max_position_embeddings, 2048);
  EXPECT_FALSE(config.tie_word_embeddings);
  EXPECT_TRUE(config.eos_token_ids.empty());
}

TEST(Config, EndsOfGenerationConfigAreAdded) {
  const ConfigFile file([](Json&) {});
  write_text(file.folder() / "generation_config.json", R"({"eos_token_id": [7, 2]})");
  EXPECT_EQ(file.load().eos_token_ids, (std::vector<std::int32_t>{2, 7}));
}

TEST(Config, AModelTypeAloneNamesTheFamily) {
  EXPECT_EQ(ConfigFile([](Json& json) { json.erase("architectures"); }).load().architecture,
            "LlamaForCausalLM");
}

TEST(Config, DefaultRopeScalingInAnySpellingIsAccepted) {
  EXPECT_EQ(ConfigFile([](Json& json) { json["rope_scaling"] = {{"type", "default"}}; }).message(), "");
  EXPECT_EQ(ConfigFile([](Json& json) { json["rope_scaling"] = nullptr; }).message(), "");
}

struct Refusal {
  const char* name;
  std::function<void(Json&)> change;
  std::vector<const char*> in_message;
};

class ConfigRefusal : public ::testing::TestWithParam<Refusal> {};

TEST_P(ConfigRefusal, NamesThePlaceAndTheValue) {
  const std::string message = ConfigFile(GetParam().change).message();
  for (const char* part : GetParam().in_message) EXPECT_NE(message.find(part), std::string::npos) << message;
  EXPECT_NE(message.find("config.json"), std::string::npos) << message;
}

INSTANTIATE_TEST_SUITE_P(
    Cases, ConfigRefusal,
    ::testing::Values(
        Refusal{"architecture",
                [](Json& j) { j["architectures"] = {"MambaForCausalLM"}; },
                {"/architectures/0", "MambaForCausalLM", "LlamaForCausalLM"}},
        Refusal{"model_type",
                [](Json& j) {
                  j.erase("architectures");
                  j["model_type"] = "mamba";
                },
                {"/model_type", "mamba"}},
        Refusal{"no_family",
                [](Json& j) {
                  j.erase("architectures");
                  j.erase("model_type");
                },
                {"model_type"}},
        Refusal{"rope_llama3",
                [](Json& j) {
                  j["rope_parameters"] = {{"rope_type", "llama3"}, {"factor", 8.0}};
                },
                {"/rope_parameters/low_freq_factor"}},
        Refusal{"rope_unknown",
                [](Json& j) {
                  j["rope_parameters"] = {{"rope_type", "mrope"}, {"factor", 8.0}};
                },
                {"/rope_parameters/rope_type", "mrope", "default"}},
        Refusal{"rope_linear",
                [](Json& j) {
                  j["rope_scaling"] = {{"type", "linear"}, {"factor", -2.0}};
                },
                {"/rope_scaling/factor", "-2"}},
        Refusal{"rope_text", [](Json& j) { j["rope_scaling"] = "linear"; }, {"/rope_scaling"}},
        Refusal{"theta_zero", [](Json& j) { j["rope_parameters"]["rope_theta"] = 0; }, {"rope_theta"}},
        Refusal{"theta_text",
                [](Json& j) { j["rope_parameters"]["rope_theta"] = "1e4"; },
                {"/rope_parameters/rope_theta"}},
        Refusal{
            "partial", [](Json& j) { j["partial_rotary_factor"] = 0.5; }, {"/partial_rotary_factor", "0.5"}},
        Refusal{"window", [](Json& j) { j["sliding_window"] = 4096; }, {"/sliding_window", "4096"}},
        Refusal{"activation", [](Json& j) { j["hidden_act"] = "gelu"; }, {"/hidden_act", "gelu", "silu"}},
        Refusal{"quantised",
                [](Json& j) {
                  j["quantization_config"] = {{"quant_method", "gptq"}};
                },
                {"/quantization_config", "gptq"}},
        Refusal{"code",
                [](Json& j) {
                  j["auto_map"] = {{"AutoModel", "x.Y"}};
                },
                {"/auto_map", "never runs"}},
        Refusal{"cap",
                [](Json& j) { j["attn_logit_softcapping"] = 50.0; },
                {"/attn_logit_softcapping", "50", "LlamaForCausalLM"}},
        Refusal{"layer_types",
                [](Json& j) {
                  j["layer_types"] = {"full_attention", "linear_attention"};
                },
                {"/layer_types", "linear_attention"}},
        Refusal{"experts", [](Json& j) { j["num_local_experts"] = 8; }, {"/num_local_experts", "8"}},
        Refusal{"layers_zero", [](Json& j) { j["num_hidden_layers"] = 0; }, {"/num_hidden_layers"}},
        Refusal{"layers_negative", [](Json& j) { j["num_hidden_layers"] = -1; }, {"/num_hidden_layers"}},
        Refusal{
            "layers_absurd", [](Json& j) { j["num_hidden_layers"] = 1000000000; }, {"/num_hidden_layers"}},
        Refusal{"size_text", [](Json& j) { j["hidden_size"] = "64"; }, {"/hidden_size"}},
        Refusal{"size_fraction", [](Json& j) { j["hidden_size"] = 64.5; }, {"/hidden_size"}},
        Refusal{"size_missing", [](Json& j) { j.erase("hidden_size"); }, {"hidden_size"}},
        Refusal{"heads", [](Json& j) { j["num_attention_heads"] = 3; }, {"/hidden_size", "64", "3"}},
        Refusal{
            "kv_heads", [](Json& j) { j["num_key_value_heads"] = 3; }, {"/num_attention_heads", "4", "3"}},
        Refusal{"kv_heads_zero", [](Json& j) { j["num_key_value_heads"] = 0; }, {"/num_key_value_heads"}},
        Refusal{"head_odd", [](Json& j) { j["head_dim"] = 17; }, {"/head_dim", "17"}},
        Refusal{"eps", [](Json& j) { j["rms_norm_eps"] = -1.0; }, {"/rms_norm_eps"}},
        Refusal{"eos_text", [](Json& j) { j["eos_token_id"] = "2"; }, {"/eos_token_id"}},
        Refusal{"tie_text", [](Json& j) { j["tie_word_embeddings"] = "true"; }, {"/tie_word_embeddings"}}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(Config, BrokenFilesNameFileAndLine) {
  const TemporaryFolder folder;
  EXPECT_THROW(load_config(folder.path()), Error) << "no config.json";
  for (const char* text : {"", "{", "[]", "{\"a\": NaN}", "{\"hidden_size\": 64, \"hidden_size\": 65}"}) {
    write_text(folder.path() / "config.json", text);
    try {
      load_config(folder.path());
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kBadInput);
      EXPECT_NE(std::string(error.what()).find("config.json"), std::string::npos) << error.what();
    }
  }
}

TEST(Config, APathThatIsNoModelSaysWhatAModelIs) {
  EXPECT_THROW(load_config("no/such/model"), Error);
  try {
    load_config(golden("tiny_llama/config.json"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(error.hint().find("folder"), std::string::npos);
  }
}

TEST(Config, AGgufSaysTheSameAsItsFolder) {
  const ModelConfig folder = load_config(golden("tiny_llama")), file = load_config(golden("model/tiny.gguf"));
  EXPECT_EQ(file.architecture, folder.architecture);
  EXPECT_EQ(file.vocab_size, folder.vocab_size);
  EXPECT_EQ(file.hidden_size, folder.hidden_size);
  EXPECT_EQ(file.intermediate_size, folder.intermediate_size);
  EXPECT_EQ(file.num_hidden_layers, folder.num_hidden_layers);
  EXPECT_EQ(file.num_attention_heads, folder.num_attention_heads);
  EXPECT_EQ(file.num_key_value_heads, folder.num_key_value_heads);
  EXPECT_EQ(file.head_dim, folder.head_dim);
  EXPECT_EQ(file.max_position_embeddings, folder.max_position_embeddings);
  EXPECT_FLOAT_EQ(static_cast<float>(file.rms_norm_eps), static_cast<float>(folder.rms_norm_eps));
  EXPECT_DOUBLE_EQ(file.ropes.at(0).rope_theta, folder.ropes.at(0).rope_theta);
  EXPECT_TRUE(file.tie_word_embeddings);
  EXPECT_EQ(file.eos_token_ids, folder.eos_token_ids);
  EXPECT_EQ(file.bos_token_id, folder.bos_token_id);
}

TEST(Config, TheConfigWrittenForAGgufReadsBackAsTheSame) {
  const ModelConfig file = load_config(golden("model/tiny.gguf"));
  const TemporaryFolder folder;
  write_text(folder.path() / "config.json", file.source.dump());
  const ModelConfig back = load_config(folder.path());
  EXPECT_EQ(back.ropes.at(0).rope_theta, file.ropes.at(0).rope_theta);
  EXPECT_EQ(back.rms_norm_eps, file.rms_norm_eps);
  EXPECT_EQ(back.eos_token_ids, file.eos_token_ids);
  EXPECT_EQ(back.head_dim, file.head_dim);
  EXPECT_EQ(back.tie_word_embeddings, file.tie_word_embeddings);
}

TEST(Config, DivisorsOfFrequenciesAreLlama3sScalingOrAnyOther) {
  const RopeConfig known = load_config(golden("families/gguf/llama.gguf")).ropes.at(0);
  EXPECT_EQ(known.type, RopeType::kLlama3);
  EXPECT_EQ(known.factor, 8.0);
  EXPECT_EQ(known.original_max_position_embeddings, 8192);
  const RopeConfig other = load_config(golden("families/gguf/llama_factors.gguf")).ropes.at(0);
  EXPECT_EQ(other.type, RopeType::kLongrope);
  EXPECT_EQ(other.attention_factor, 1.0);
  EXPECT_EQ(other.short_factor, other.long_factor);
  EXPECT_NEAR(other.short_factor.back(), 8.0, 1e-5);
}

TEST(Config, DivisorsOfFrequenciesThatAreNoPositiveNumbersAreRefused) {
  const Path golden_file = golden("families/gguf/llama_factors.gguf");
  const GgufFile file(golden_file);
  const std::span<const std::byte> stored = file.find("rope_freqs.weight")->bytes;
  const std::string bytes(reinterpret_cast<const char*>(stored.data()), stored.size());
  const std::string whole = text_of_file(golden_file);
  const std::size_t at = whole.find(bytes);
  ASSERT_NE(at, std::string::npos);
  const TemporaryFolder folder;
  for (const float bad :
       {0.0F, -1.0F, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    std::string changed = whole;
    std::memcpy(changed.data() + at + 4, &bad, sizeof bad);
    const Path path = folder.path() / "bad.gguf";
    write_text(path, changed);
    try {
      load_config(path);
      FAIL() << bad;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("rope_freqs.weight"), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace graft
