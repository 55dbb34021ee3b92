#include <gtest/gtest.h>

#include <filesystem>

#include "base/sha256.h"
#include "base/text.h"
#include "text/golden.h"
#include "text/tokenizer_json.h"

namespace graft {
namespace {

void expect_equal(const Tokenizer& tokenizer, const Json& golden_case, SpecialTokens special) {
  const std::string text = golden_case["text"].get<std::string>();
  const Encoding encoding = tokenizer.encode(text, special);
  EXPECT_EQ(describe(encoding), describe(expected_encoding(golden_case))) << printable(text);
  if (!golden_case.contains("decoded")) return;
  EXPECT_EQ(tokenizer.decode(encoding.ids, true), golden_case["decoded"].get<std::string>())
      << printable(text);
}

void expect_equal_long(const Tokenizer& tokenizer, const Json& golden_case) {
  std::string text;
  for (int i = 0; i < golden_case["times"].get<int>(); ++i) text += golden_case["unit"].get<std::string>();
  const Encoding encoding = tokenizer.encode(text, SpecialTokens::kNone);
  EXPECT_EQ(encoding.ids.size(), golden_case["tokens"].get<std::size_t>()) << golden_case["unit"];
  const std::string lines = describe(encoding);
  EXPECT_EQ(sha256_hex(std::as_bytes(std::span(lines))), golden_case["sha256"].get<std::string>())
      << golden_case["unit"];
}

void expect_file_equal(const Tokenizer& tokenizer, const std::string& name) {
  const Json file = read_json(golden(name));
  const SpecialTokens special = file["special"].get<bool>() ? SpecialTokens::kAdd : SpecialTokens::kNone;
  ASSERT_GT(file["cases"].size(), 80U);
  for (const Json& golden_case : file["cases"]) expect_equal(tokenizer, golden_case, special);
  for (const Json& golden_case : file["long"]) expect_equal_long(tokenizer, golden_case);
}

TEST(TokenizerGolden, Gpt2StyleEqualsTokenizers) {
  expect_file_equal(load_tokenizer(golden("gpt2")), "gpt2.json");
}

TEST(TokenizerGolden, Llama3StyleEqualsTokenizers) {
  expect_file_equal(load_tokenizer(golden("llama3")), "llama3.json");
}

TEST(TokenizerGolden, Qwen2StyleEqualsTokenizers) {
  expect_file_equal(load_tokenizer(golden("qwen2")), "qwen2.json");
}

TEST(TokenizerGolden, SmolLm2FromGgufEqualsTokenizers) {
  if (!std::filesystem::exists(smollm2_gguf()))
    GTEST_SKIP() << "no " << smollm2_gguf() << ": run scripts/fetch_base.sh";
  expect_file_equal(load_tokenizer(smollm2_gguf()), "smollm2.json");
}

TEST(TokenizerGolden, TinyLlamaEqualsTokenizers) {
  expect_file_equal(load_tokenizer(golden("../tiny_llama")), "tiny_llama.json");
}

// One small tokenizer with single parts exchanged.
TEST(TokenizerGolden, EachPartEqualsTokenizers) {
  const Json base = read_json(golden("gpt2/tokenizer.json"));
  const Json variants = read_json(golden("variants.json"));
  ASSERT_GT(variants.size(), 20U);
  for (const Json& variant : variants) {
    SCOPED_TRACE(variant["name"].get<std::string>());
    Json file = base;
    for (const auto& [key, part] : variant["patch"].items()) {
      if (key == "model")
        file[key].update(part);
      else
        file[key] = part;
    }
    auto pipeline = std::make_shared<Tokenizer::Pipeline>();
    read_tokenizer_json(JsonView(file, "variant"), {}, *pipeline);
    for (const Json& golden_case : variant["cases"])
      expect_equal(Tokenizer(pipeline), golden_case, SpecialTokens::kNone);
  }
}

}  // namespace
}  // namespace graft
