#include "text/pre_kind.h"

#include <gtest/gtest.h>

#include "text/fixture.h"

namespace graft {
namespace {

PreTokenizer pre_tokenizer_of(std::string_view name) {
  const Json json = find_pre_kind(name, "test").pre_tokenizer();
  return PreTokenizer(read_pre_tokenizer(JsonView(json, "test")));
}

std::vector<std::size_t> ends_of_words(const PreTokenizer& pre_tokenizer, const std::string& text) {
  std::vector<std::size_t> ends;
  if (text.empty()) return ends;
  const Segment segment(text, 0);
  Regex::Scratch scratch;
  for (const ByteSpan& word : pre_tokenizer.split(segment, {0, text.size()}, scratch).ranges)
    ends.push_back(word.end);
  return ends;
}

TEST(PreKind, CutsWordsAsTheTokenizersOfTheModelsDo) {
  const Json file = read_json(golden("pre_tokenizers.json"));
  ASSERT_GT(file["kinds"].size(), 15U);
  for (const auto& [name, words] : file["kinds"].items()) {
    SCOPED_TRACE(name);
    const PreTokenizer pre_tokenizer = pre_tokenizer_of(name);
    for (std::size_t i = 0; i < words.size(); ++i) {
      const std::string text = file["texts"][i];
      EXPECT_EQ(ends_of_words(pre_tokenizer, text), words[i].get<std::vector<std::size_t>>()) << text;
    }
  }
}

TEST(PreKind, NamesOfOneKindCutAlike) {
  const std::vector<std::vector<const char*>> alike = {
      {"llama-bpe", "llama3", "falcon3", "pixtral", "lfm2", "dbrx", "smaug-bpe", "chatglm-bpe", "glm4"},
      {"qwen2", "deepseek-r1-qwen", "megrez", "kormo", "stablelm2", "hunyuan", "grok-2", "solar-open"},
      {"gpt-2", "phi-2", "mpt", "olmo", "exaone4", "jais", "gigachat", "granite-docling"},
      {"starcoder", "smollm", "refact", "command-r", "codeshell", "exaone", "minerva-7b"},
      {"gpt-4o", "llama4", "kanana2", "minimax-m2"},
      {"deepseek-v3", "hunyuan-dense", "joyai-llm"},
      {"bailingmoe", "bailingmoe2", "llada-moe"},
      {"bloom", "poro-chat", "gpt3-finnish"}};
  for (const auto& names : alike)
    for (const char* name : names)
      EXPECT_EQ(ends_of_words(pre_tokenizer_of(name), "It's 12345 a\r\n  B!!\n你好don'T (x)."),
                ends_of_words(pre_tokenizer_of(names.front()), "It's 12345 a\r\n  B!!\n你好don'T (x)."))
          << name;
}

TEST(PreKind, WhatIsNotCuttingFollowsTheModels) {
  EXPECT_TRUE(find_pre_kind("llama-bpe", "").ignore_merges);
  EXPECT_TRUE(find_pre_kind("tekken", "").adds_bos);
  EXPECT_FALSE(find_pre_kind("dbrx", "").adds_bos);
  EXPECT_EQ(find_pre_kind("qwen2", "").normalizer()["type"], "NFC");
  EXPECT_TRUE(find_pre_kind("gpt-2", "").normalizer().is_null());
}

TEST(PreKind, AnUnknownNameIsRefusedWithTheNearest) {
  try {
    find_pre_kind("qwen-2", "m.gguf: tokenizer.ggml.pre");
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()),
              "m.gguf: tokenizer.ggml.pre: graft does not know this pre-tokenizer (got `qwen-2`)");
    EXPECT_NE(error.hint().find("did you mean `qwen2`?"), std::string::npos) << error.hint();
    EXPECT_NE(error.hint().find("deepseek-coder"), std::string::npos) << error.hint();
  }
}

}  // namespace
}  // namespace graft
