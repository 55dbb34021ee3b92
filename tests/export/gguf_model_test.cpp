#include "export/gguf_model.h"

#include <gtest/gtest.h>

#include "expect_error.h"
#include "export/modelfile.h"
#include "export/weights.h"
#include "model/gguf_hyperparameters.h"
#include "model/golden.h"
#include "peft/adapter_set.h"
#include "store/gguf.h"
#include "text/tokenizer.h"

namespace graft {
namespace {

const std::vector<std::int32_t> kIds = {1, 300, 17, 42, 511, 88, 260, 9, 2};

class GgufModel : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  Path out_ = folder_.path() / "out.gguf", again_ = folder_.path() / "again.gguf";
};

TEST_F(GgufModel, AFolderInF32GivesTheSameNumbersAndTokens) {
  const Path base = golden("tiny_llama");
  const Decoder model = load_fp32(base);
  const GgufReport report = write_gguf_model(model, base, out_, parse_gguf_types("f32"));
  EXPECT_EQ(report.other_type, 0);
  EXPECT_LT(largest_difference(sequence_logits(load_fp32(out_), kIds), sequence_logits(model, kIds)), 1e-5);
  const GgufFile file(out_);
  EXPECT_EQ(file.string("general.architecture"), "llama");
  EXPECT_EQ(file.integer("general.file_type"), 0);
  EXPECT_EQ(file.integer("llama.rope.dimension_count"), 16);
  const Tokenizer want = load_tokenizer(base), got = load_tokenizer(out_);
  EXPECT_EQ(got.chat_template(), want.chat_template());
  const char* text = "Naïve café 123 <|im_start|>x";
  EXPECT_EQ(got.encode(text, SpecialTokens::kAdd).ids, want.encode(text, SpecialTokens::kAdd).ids);
  EXPECT_EQ(load_config(out_).eos_token_ids, load_config(base).eos_token_ids);
}

TEST_F(GgufModel, TensorsHaveTheTypeAskedForOrTheNextThatFits) {
  const Path base = golden("tiny_llama");
  const Decoder model = load_fp32(base);
  write_gguf_model(model, base, out_, parse_gguf_types("q8_0"));
  const GgufFile q8(out_);
  EXPECT_EQ(q8.find("blk.0.attn_q.weight")->dtype, DType::kQ8_0);
  EXPECT_EQ(q8.find("blk.0.attn_norm.weight")->dtype, DType::kF32);
  const Path other = folder_.path() / "other.gguf";
  const GgufReport report = write_gguf_model(model, base, other, parse_gguf_types("q4_k"));
  const GgufFile q4(other);
  EXPECT_EQ(q4.find("blk.1.ffn_gate.weight")->dtype, DType::kQ5_0) << "rows of 64 are no blocks of 256";
  EXPECT_EQ(q4.find("token_embd.weight")->dtype, DType::kQ8_0) << "the head in place of q6_k";
  EXPECT_EQ(report.other_type, 15);
  EXPECT_TRUE(contains(report.example, "do not divide into blocks of q"));
  const auto cost = [&](const Path& path) {
    return largest_difference(sequence_logits(load_fp32(path), kIds), sequence_logits(model, kIds));
  };
  EXPECT_GT(cost(out_), 0.0);
  EXPECT_LT(cost(out_), cost(other) / 4) << "8 bits against 5";
}

TEST(GgufTypes, AMixSpendsMoreBitsWhereLlamaCppDoes) {
  const GgufTypes& q4_k = parse_gguf_types("q4_k");
  const auto type_of = [&](const std::string& name) {
    return gguf_type(q4_k, {.name = name, .dtype = DType::kF32, .shape = {512, 512}, .bytes = {}}, 16, false);
  };
  std::string down;
  for (int block = 0; block < 16; ++block)
    down += type_of("blk." + std::to_string(block) + ".ffn_down.weight") == DType::kQ6_K ? '6' : '4';
  EXPECT_EQ(down, "6644644644644666") << "the first and last eighth, and every third between";
  EXPECT_EQ(type_of("blk.0.attn_v.weight"), DType::kQ6_K);
  EXPECT_EQ(type_of("blk.0.attn_q.weight"), DType::kQ4_K);
  EXPECT_EQ(type_of("output.weight"), DType::kQ6_K);
  EXPECT_EQ(type_of("token_embd.weight"), DType::kQ4_K);
  EXPECT_EQ(parse_gguf_types("fp32").name, "f32");
  EXPECT_EQ(error_of([] { parse_gguf_types("q9"); }).code(), ExitCode::kUsage);
  EXPECT_EQ(writable_type(DType::kIq4Xs, 512), DType::kQ4_K);
  EXPECT_EQ(writable_type(DType::kQ6_K, 576), DType::kQ8_0);
  EXPECT_EQ(writable_type(DType::kQ4_K, 100), DType::kF16);
}

TEST_F(GgufModel, AGgufWithoutAChangeComesBackByteForByte) {
  const Path base = golden("model/tiny.gguf");
  write_gguf_model(load_fp32(base), base, out_, std::nullopt);
  const GgufFile want(base), got(out_);
  ASSERT_EQ(got.tensors().size(), want.tensors().size());
  for (std::size_t i = 0; i < want.tensors().size(); ++i) {
    EXPECT_EQ(got.tensors()[i].name, want.tensors()[i].name);
    EXPECT_EQ(got.tensors()[i].dtype, want.tensors()[i].dtype);
    EXPECT_TRUE(std::ranges::equal(got.tensors()[i].bytes, want.tensors()[i].bytes)) << got.tensors()[i].name;
  }
  for (const auto& [key, value] : want.metadata()) EXPECT_EQ(got.metadata().at(key), value) << key;
}

TEST_F(GgufModel, AMergeIntoAGgufChangesTheAdaptedTensorsAlone) {
  const Path base = golden("model/tiny.gguf"), adapter = golden("peft/plain");
  Decoder model = load_fp32(base);
  const AdapterSet set = load_adapter(model, adapter, ZeroAdapter::kRefuse, OtherBase::kWarn);
  write_gguf_model(model, base, out_, std::nullopt);
  const GgufFile want(base), got(out_);
  std::size_t changed = 0;
  for (std::size_t i = 0; i < want.tensors().size(); ++i) {
    EXPECT_EQ(got.tensors()[i].dtype, want.tensors()[i].dtype);
    changed += std::ranges::equal(got.tensors()[i].bytes, want.tensors()[i].bytes) ? 0 : 1;
  }
  EXPECT_EQ(changed, set.modules.size());
  EXPECT_LT(largest_difference(sequence_logits(load_fp32(out_), kIds), sequence_logits(model, kIds)),
            largest_difference(sequence_logits(load_fp32(base), kIds), sequence_logits(model, kIds)));
}

// How much of the change from `base` to `wanted` is in `got`: its share along that direction.
double kept(const at::Tensor& base, const at::Tensor& wanted, const at::Tensor& got) {
  const at::Tensor change = wanted - base;
  return ((got - base) * change).sum().item<double>() / change.square().sum().item<double>();
}

TEST_F(GgufModel, AMergeIntoFourBitsKeepsWhatIsSmallerThanAStep) {
  const Path base = folder_.path() / "base.gguf";
  write_gguf_model(load_fp32(golden("tiny_llama")), golden("tiny_llama"), base, parse_gguf_types("q4_0"));
  Decoder model = load_fp32(base);
  load_adapter(model, golden("peft/plain"), ZeroAdapter::kRefuse, OtherBase::kWarn);
  write_gguf_model(model, base, out_, std::nullopt);
  write_gguf_model(model, base, again_, std::nullopt);
  EXPECT_EQ(text_of_file(again_), text_of_file(out_)) << "chance has one key";
  const Decoder plain = load_fp32(base), merged = load_fp32(out_);
  const auto before = export_tensors(plain), wanted = export_tensors(model), after = export_tensors(merged);
  std::size_t changed = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    const std::int64_t rows = before[i].shape[0];
    const at::Tensor base_rows = before[i].rows(0, rows), want = wanted[i].rows(0, rows);
    if (at::equal(base_rows, want)) continue;
    ++changed;
    EXPECT_NEAR(kept(base_rows, want, after[i].rows(0, rows)), 1.0, 0.3) << before[i].name;
  }
  EXPECT_GT(changed, 0U);
}

TEST_F(GgufModel, AMergeTellsWhatItWasMadeOf) {
  const Path base = golden("model/tiny.gguf");
  const MergeRecord record{.base = "tiny.gguf", .base_weights = "q4_1", .adapter_sha256 = "ab12"};
  write_gguf_model(load_fp32(base), base, out_, std::nullopt, &record);
  const GgufFile file(out_);
  EXPECT_EQ(file.string("general.base_model.0.name"), "tiny.gguf");
  EXPECT_EQ(file.string("graft.merge.base_weights"), "q4_1");
  EXPECT_EQ(file.string("graft.merge.adapter_sha256"), "ab12");
  write_gguf_model(load_fp32(out_), out_, again_, std::nullopt);
  EXPECT_EQ(GgufFile(again_).string("graft.merge.base"), "tiny.gguf") << "a copy is of the same merge";
}

TEST_F(GgufModel, TheModelfileOfAnAdapterNamesItsBaseAndItsOwnTemplate) {
  const Path base = golden("tiny_llama"), out = folder_.path() / "Modelfile";
  const auto chat = choose_chat_template("llama3", load_tokenizer(base));
  write_modelfile({.model = base, .from = "../tiny", .adapter = "./lora.gguf", .chat = chat}, out);
  const std::string text = text_of_file(out);
  EXPECT_TRUE(text.starts_with("FROM ../tiny\nADAPTER ./lora.gguf\nTEMPLATE")) << text;
  EXPECT_TRUE(contains(text, "<|start_header_id|>")) << text;
  EXPECT_TRUE(contains(text, "PARAMETER stop \"" + load_tokenizer(base).token(2) + "\"\n")) << text;
}

TEST_F(GgufModel, TheModelfileNamesTheFileAndItsEnds) {
  const Path base = golden("tiny_llama");
  write_gguf_model(load_fp32(base), base, out_, parse_gguf_types("bf16"));
  write_modelfile({.model = out_, .from = "./out.gguf"}, folder_.path() / "Modelfile");
  const std::string text = text_of_file(folder_.path() / "Modelfile");
  EXPECT_TRUE(text.starts_with("FROM ./out.gguf\n")) << text;
  EXPECT_TRUE(contains(text, "TEMPLATE \"\"\"{{- range .Messages }}<|im_start|>{{ .Role }}")) << "ChatML";
  EXPECT_TRUE(contains(text, "PARAMETER stop \"" + load_tokenizer(base).token(2) + "\"\n"));
}

class GgufHyperparametersTest : public ::testing::Test {
 protected:
  Json config_ = read_json(golden("tiny_llama") / "config.json");
  GgufHyperparameters made() const { return gguf_hyperparameters(parse_config(config_, "config.json")); }
};

TEST_F(GgufHyperparametersTest, Llama3sScalingIsATensorThatReadsBackAsTheSame) {
  config_["rope_parameters"] = {{"rope_type", "llama3"},   {"rope_theta", 500000.0},
                                {"factor", 8.0},           {"low_freq_factor", 1.0},
                                {"high_freq_factor", 4.0}, {"original_max_position_embeddings", 8192}};
  const GgufHyperparameters got = made();
  ASSERT_EQ(got.rope.size(), 1U);
  EXPECT_EQ(got.rope[0].name, "rope_freqs.weight");
  EXPECT_EQ(got.rope[0].values.front(), 1.0F) << "fast pairs turn as before";
  EXPECT_NEAR(got.rope[0].values.back(), 8.0F, 1e-4);
  EXPECT_EQ(got.rope[0].values.size(), 8U);
}

TEST_F(GgufHyperparametersTest, WhatGgufCannotSayIsRefused) {
  config_["rope_parameters"] = {{"rope_type", "dynamic"}, {"rope_theta", 10000.0}, {"factor", 2.0}};
  EXPECT_TRUE(contains(error_of([&] { made(); }).what(), "dynamic rotary scaling"));
  config_["rope_parameters"] = {{"rope_type", "yarn"},
                                {"rope_theta", 10000.0},
                                {"factor", 2.0},
                                {"attention_factor", 3.0},
                                {"original_max_position_embeddings", 256}};
  EXPECT_TRUE(contains(error_of([&] { made(); }).what(), "attention_factor"));
}

}  // namespace
}  // namespace graft
