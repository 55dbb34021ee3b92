#include "cli/program.h"
#include "expect_error.h"
#include "store/gguf.h"
#include "store/safetensors.h"
#include "text/tokenizer.h"

namespace graft {
namespace {

struct TypeCase {
  const char* word;
  std::int64_t file_type;  ///< general.file_type
};
constexpr TypeCase kTypes[] = {{"f32", 0},  {"f16", 1},   {"bf16", 32}, {"q8_0", 7},
                               {"q4_0", 2}, {"q4_k", 15}, {"q6_k", 18}};

class Merge : public Program {
 protected:
  const std::string kTests = GRAFT_SOURCE_DIR "/tests/golden/";
  const std::string kAdapter = kTests + "peft/plain", kGguf = kTests + "model/tiny.gguf";

  Outcome merge(const std::string& base, const std::string& rest) const {
    return run("merge --force --model '" + base + "' --adapter '" + kAdapter + "' " + rest);
  }
  Json merged(const std::string& base, const std::string& rest) const {
    const Outcome outcome = merge(base, rest + " --json");
    EXPECT_EQ(outcome.code, 0) << rest << "\n" << outcome.err;
    return parse_json(outcome.out, "stdout");
  }
};

TEST_F(Merge, EveryTypeOfAGgufComesFromAFolderAndFromAGguf) {
  for (const std::string& base : {kBase, kGguf}) {
    double least_bits = -1;
    for (const TypeCase& type : kTypes) {
      const std::string name = std::string(type.word) + (base == kBase ? ".a.gguf" : ".b.gguf");
      const Json report = merged(base, std::string("--format gguf --type ") + type.word + " --out " + name);
      // 4 bits of a tiny model cost as much as the adapter does; that it is not lost the program checks.
      EXPECT_LT(report["kl"], (type.file_type == 2 ? 1.5 : 1.0) * report["adapter_kl"].get<double>()) << name;
      EXPECT_EQ(report["type"], type.word);
      if (type.file_type == 0) {
        EXPECT_LT(report["largest_difference"], 1e-4) << name;
      }
      if (type.file_type == 2) least_bits = report["kl"];
      if (type.file_type == 7) {
        EXPECT_LT(report["kl"], 0.01) << name;
      }
      const GgufFile file(folder_ / name);
      EXPECT_EQ(file.integer("general.file_type"), type.file_type) << name;
      EXPECT_TRUE(load_tokenizer(folder_ / name).chat_template().has_value()) << name;
    }
    EXPECT_GT(least_bits, 0.0) << "4 bits cost something";
  }
}

TEST_F(Merge, EveryTypeOfAFolderComesFromAFolderAndFromAGgufWithAllThatReadsTokens) {
  const std::map<std::string, DType> types = {
      {"f32", DType::kF32}, {"f16", DType::kF16}, {"bf16", DType::kBF16}};
  for (const std::string& base : {kBase, kGguf})
    for (const auto& [word, dtype] : types) {
      const std::string name = word + (base == kBase ? "_a" : "_b");
      const Json report = merged(base, "--type " + word + " --out " + name);
      EXPECT_LT(report["kl"], report["adapter_kl"]) << name;
      EXPECT_EQ(SafetensorsFolder(folder_ / name).find("model.norm.weight")->dtype, dtype) << name;
      const Tokenizer want = load_tokenizer(base), got = load_tokenizer(folder_ / name);
      EXPECT_EQ(got.chat_template(), want.chat_template()) << name;
      EXPECT_EQ(read_json(folder_ / name / "generation_config.json")["eos_token_id"], 2) << name;
    }
}

TEST_F(Merge, WhatTheAdapterWasTrainedToWriteGoesWithTheModel) {
  write_recipe();
  const Outcome trained = run(
      "train r.yaml data.chat_template=llama3 lora.init=gaussian optim.learning_rate=0.05 train.max_steps=8");
  ASSERT_EQ(trained.code, 0) << trained.err;
  const std::string rest = " --adapter run/adapter --model '" + kBase + "' ";
  ASSERT_EQ(run("merge" + rest + "--out m").code, 0);
  EXPECT_TRUE(contains(read("m/chat_template.jinja"), "start_header_id"));
  EXPECT_TRUE(contains(read("m/tokenizer_config.json"), "start_header_id"));
  ASSERT_EQ(run("merge" + rest + "--format gguf --out m.gguf").code, 0);
  EXPECT_TRUE(contains(*load_tokenizer(folder_ / "m.gguf").chat_template(), "start_header_id"));
}

TEST_F(Merge, TheBaseIsTakenAsItsFilesHaveItOrQuantised) {
  const auto weights = [&](const Json& report) { return report["base_weights"].get<std::string>(); };
  EXPECT_EQ(weights(merged(kBase, "--type f32 --out a")), "bf16");
  const Json quantised = merged(kBase, "--type f32 --quantization q8_0 --out b");
  EXPECT_EQ(weights(quantised), "q8_0");
  EXPECT_LT(quantised["largest_difference"], 1e-4) << "what it was merged into is what it is compared with";
  EXPECT_NE(SafetensorsFile(folder_ / "a" / "model.safetensors").metadata().at("graft.merge.base_weights"),
            SafetensorsFile(folder_ / "b" / "model.safetensors").metadata().at("graft.merge.base_weights"));
  EXPECT_EQ(merged(kGguf, "--format gguf --quantization nf4 --out c.gguf")["type"], "bf16")
      << "its own types are no grid of those numbers";
  EXPECT_EQ(merge(kBase, "--quantization int3 --out d").code, 2);
}

TEST_F(Merge, AnAdapterThatRoundingSwallowsIsRefusedAndNothingStays) {
  ASSERT_EQ(run("adapter combine faint '" + kAdapter + "':0.00001 --method cat").code, 0);
  for (const std::string rest : {"--out m", "--out m --format gguf --type bf16"}) {
    const Outcome outcome = run("merge --force --model '" + kBase + "' --adapter faint " + rest);
    EXPECT_EQ(outcome.code, 5) << outcome.err;
    EXPECT_TRUE(contains(outcome.err, "lost the adapter"));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "m"));
  }
}

}  // namespace
}  // namespace graft
