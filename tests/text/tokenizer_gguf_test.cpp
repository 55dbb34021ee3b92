#include <gtest/gtest.h>

#include "base/file.h"
#include "store/file_builder.h"
#include "temporary_folder.h"
#include "text/fixture.h"

namespace graft {
namespace {

constexpr std::uint32_t kInt32 = 5, kBool = 7, kString = 8, kArray = 9;

// What a GGUF file says about its tokenizer; a test changes single fields.
struct Tokens {
  std::vector<std::string> tokens, merges;
  std::vector<std::int32_t> types;
  std::string model = "gpt2";
  std::optional<std::string> pre = "gpt-2";
  std::vector<std::pair<std::string, std::int32_t>> ids;
  std::vector<std::pair<std::string, bool>> flags;
};

// The vocabulary of a small tokenizer.json, its added tokens as control tokens.
Tokens tokens_of(const std::string& name, const std::string& pre) {
  const Json model = read_json(golden(name + "/tokenizer.json"))["model"];
  Tokens tokens;
  tokens.pre = pre;
  tokens.tokens.resize(model["vocab"].size());
  for (const auto& [token, id] : model["vocab"].items()) tokens.tokens[id.get<std::size_t>()] = token;
  tokens.types.assign(tokens.tokens.size(), 1);
  for (std::size_t i = 0; i < 3; ++i) tokens.types[i] = 3;
  for (const Json& merge : model["merges"]) {
    tokens.merges.push_back(merge.is_string()
                                ? merge.get<std::string>()
                                : merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  }
  return tokens;
}

std::string strings(const std::vector<std::string>& list) {
  std::string bytes = bytes_of(kString) + bytes_of(std::uint64_t{list.size()});
  for (const std::string& text : list) bytes += GgufBuilder::string(text);
  return bytes;
}

std::string integers(const std::vector<std::int32_t>& list) {
  std::string bytes = bytes_of(kInt32) + bytes_of(std::uint64_t{list.size()});
  for (const std::int32_t number : list) bytes += bytes_of(number);
  return bytes;
}

std::string gguf_of(const Tokens& tokens) {
  const std::size_t pairs = 4 + (tokens.pre ? 1 : 0) + tokens.ids.size() + tokens.flags.size();
  GgufBuilder file(0, pairs);
  file.pair("tokenizer.ggml.model", kString, GgufBuilder::string(tokens.model));
  if (tokens.pre) file.pair("tokenizer.ggml.pre", kString, GgufBuilder::string(*tokens.pre));
  file.pair("tokenizer.ggml.tokens", kArray, strings(tokens.tokens));
  file.pair("tokenizer.ggml.token_type", kArray, integers(tokens.types));
  file.pair("tokenizer.ggml.merges", kArray, strings(tokens.merges));
  for (const auto& [key, id] : tokens.ids) file.pair("tokenizer.ggml." + key, kInt32, bytes_of(id));
  for (const auto& [key, on] : tokens.flags)
    file.pair("tokenizer.ggml." + key, kBool, std::string(1, on ? '\1' : '\0'));
  return file.bytes();
}

Tokenizer load(const Tokens& tokens) {
  const TemporaryFolder folder;
  write_file(folder / "model.gguf", gguf_of(tokens));
  return load_tokenizer(folder / "model.gguf");
}

void expect_golden_ids(const Tokenizer& tokenizer, const std::string& name) {
  const Json file = read_json(golden(name + ".json"));
  ASSERT_GT(file["cases"].size(), 80U);
  for (const Json& golden_case : file["cases"]) {
    EXPECT_EQ(tokenizer.encode(golden_case["text"].get<std::string>(), SpecialTokens::kAdd).ids,
              golden_case["ids"].get<std::vector<std::int32_t>>())
        << golden_case["text"];
  }
}

TEST(TokenizerGguf, PreNamesThePipelineOfTheHuggingFaceTokenizer) {
  expect_golden_ids(load(tokens_of("gpt2", "gpt-2")), "gpt2");
  expect_golden_ids(load(tokens_of("qwen2", "qwen2")), "qwen2");
  Tokens llama3 = tokens_of("llama3", "llama-bpe");
  llama3.ids = {{"bos_token_id", 0}};
  expect_golden_ids(load(llama3), "llama3");  // BOS is added where the file says nothing, as llama.cpp does
}

TEST(TokenizerGguf, SmolLmSplitsDigitsOneByOne) {
  Tokens tokens = tokens_of("gpt2", "smollm");
  tokens.merges.insert(tokens.merges.begin(), "1 2");
  tokens.tokens.push_back("12");
  tokens.types.push_back(1);
  EXPECT_EQ(load(tokens).encode("12", SpecialTokens::kNone).ids.size(), 2U);
  tokens.pre = "gpt-2";
  EXPECT_EQ(load(tokens).encode("12", SpecialTokens::kNone).ids.size(), 1U);
}

TEST(TokenizerGguf, BosAndEosAreAddedAsTheFileSays) {
  Tokens tokens = tokens_of("llama3", "llama-bpe");
  tokens.ids = {{"bos_token_id", 1}, {"eos_token_id", 2}, {"padding_token_id", 0}};
  const auto x = static_cast<std::int32_t>(std::ranges::find(tokens.tokens, "x") - tokens.tokens.begin());
  const auto ids = [&] { return load(tokens).encode("x", SpecialTokens::kAdd).ids; };
  EXPECT_EQ(ids(), std::vector<std::int32_t>({1, x}));
  tokens.flags = {{"add_bos_token", false}};
  EXPECT_EQ(ids(), std::vector<std::int32_t>({x}));
  tokens.flags = {{"add_bos_token", true}, {"add_eos_token", true}};
  EXPECT_EQ(ids(), std::vector<std::int32_t>({1, x, 2}));
  EXPECT_EQ(load(tokens).bos(), 1);
  EXPECT_EQ(load(tokens).eos(), 2);
  EXPECT_EQ(load(tokens).pad(), 0);
  tokens.pre = "gpt-2";
  tokens.flags.clear();
  EXPECT_EQ(ids(), std::vector<std::int32_t>({x}));
}

TEST(TokenizerGguf, TokenTypesSaySpecialUserDefinedAndUnused) {
  Tokens tokens = tokens_of("llama3", "llama-bpe");
  const auto first = static_cast<std::int32_t>(tokens.tokens.size());
  for (const auto& [token, type] : {std::pair{"<think>", 4}, std::pair{"[PAD]", 5}}) {
    tokens.tokens.emplace_back(token);
    tokens.types.push_back(type);
  }
  const Tokenizer tokenizer = load(tokens);
  EXPECT_EQ(tokenizer.encode("<think><|im_end|>", SpecialTokens::kNone).ids,
            std::vector<std::int32_t>({first, 2}));
  EXPECT_FALSE(tokenizer.is_special(first));
  EXPECT_TRUE(tokenizer.is_special(2));
  EXPECT_GT(tokenizer.encode("[PAD]", SpecialTokens::kNone).ids.size(), 1U)
      << "a place holder came out of text";
  EXPECT_EQ(tokenizer.vocab_size(), first + 2);
}

TEST(TokenizerGguf, WhatIsUnsupportedOrBrokenIsRefusedWithTheKey) {
  const auto refused = [](const std::function<void(Tokens&)>& change, const std::string& message) {
    Tokens tokens = tokens_of("gpt2", "gpt-2");
    change(tokens);
    expect_bad_input([&] { load(tokens); }, message);
  };
  refused([](Tokens& t) { t.model = "rwkv"; }, "tokenizer.ggml.model: `rwkv` is not supported");
  refused([](Tokens& t) { t.model = "llama"; }, "tokenizer.ggml.scores: missing");
  refused([](Tokens& t) { t.pre = "superbpe"; },
          "tokenizer.ggml.pre: graft does not know this pre-tokenizer");
  refused([](Tokens& t) { t.pre.reset(); }, "tokenizer.ggml.pre: missing");
  refused([](Tokens& t) { t.types.pop_back(); }, "tokenizer.ggml.token_type: got 639 entries, want 640");
  refused([](Tokens& t) { t.tokens[9] = t.tokens[8]; }, "stands twice, as id 8 and as id 9");
  refused([](Tokens& t) { t.tokens[9] = "\xFF"; }, "token 9 is not valid UTF-8");
  refused([](Tokens& t) { t.tokens[2] = ""; }, "an added token without text");
  refused([](Tokens& t) { t.merges[4] = "zq zq"; },
          "tokenizer.ggml.merges/4: the merge of `zq` and `zq` needs");
  refused([](Tokens& t) { t.merges[4] = "ab"; }, "tokenizer.ggml.merges/4: got `ab`, want two tokens");
  refused([](Tokens& t) { t.merges[4] = ""; }, "tokenizer.ggml.merges/4: got ``, want two tokens");
  refused(
      [](Tokens& t) {
        t.ids = {{"bos_token_id", 640}};
      },
      "tokenizer.ggml.bos_token_id: got 640, want 0 to 639");
  refused([](Tokens& t) { t.ids = {{"eos_token_id", -1}}; }, "tokenizer.ggml.eos_token_id: got -1");
  refused([](Tokens& t) { t.ids = {{"add_bos_token", 1}}; }, "tokenizer.ggml.add_bos_token");
}

}  // namespace
}  // namespace graft
