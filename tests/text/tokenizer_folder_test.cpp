#include <gtest/gtest.h>

#include "base/file.h"
#include "temporary_folder.h"
#include "text/fixture.h"

namespace graft {
namespace {

// Names and contents.
struct Files {
  std::vector<std::pair<std::string, std::string>> list;
};

// A Hugging Face folder with the small tokenizer and the given other files.
class Folder {
 public:
  explicit Folder(const Files& files) {
    graft::copy_file(golden("gpt2/tokenizer.json"), folder_ / "tokenizer.json");
    for (const auto& [name, text] : files.list) write_file(folder_ / name, text);
  }
  Tokenizer load() const { return load_tokenizer(folder_.path()); }
  const TemporaryFolder& folder() const { return folder_; }

 private:
  TemporaryFolder folder_;
};

TEST(TokenizerFolder, NamedTokensAreStringsOrObjects) {
  const Tokenizer tokenizer =
      Folder(Files{{{"tokenizer_config.json",
                     R"({"bos_token": "<|im_start|>", "eos_token": {"content": "<|im_end|>", "lstrip": false},
                                           "pad_token": null, "model_max_length": 512})"}}})
          .load();
  EXPECT_EQ(tokenizer.bos(), 1);
  EXPECT_EQ(tokenizer.eos(), 2);
  EXPECT_EQ(tokenizer.pad(), std::nullopt);
  EXPECT_EQ(tokenizer.chat_template(), std::nullopt);
  EXPECT_EQ(tokenizer.vocab_size(), 640);
  EXPECT_EQ(tokenizer.encode("", SpecialTokens::kAdd).ids.size(), 0U) << "a BOS only because an id exists";
}

TEST(TokenizerFolder, AFolderWithTokenizerJsonAloneLoads) {
  const Tokenizer tokenizer = Folder(Files{}).load();
  EXPECT_EQ(tokenizer.bos(), std::nullopt);
  EXPECT_EQ(tokenizer.token(1), "<|im_start|>");
}

TEST(TokenizerFolder, AddBosAndAddEosTokenAddThemOnce) {
  const std::string config =
      R"({"bos_token": "<|endoftext|>", "eos_token": "<|im_end|>", "add_bos_token": true, "add_eos_token": true})";
  const Folder folder(Files{{{"tokenizer_config.json", config}}});
  const auto x = *folder.load().id("x");
  EXPECT_EQ(folder.load().encode("x", SpecialTokens::kAdd).ids, std::vector<std::int32_t>({0, x, 2}));
  EXPECT_EQ(folder.load().encode("x", SpecialTokens::kNone).ids, std::vector<std::int32_t>({x}));
  graft::copy_file(golden("llama3/tokenizer.json"),
                   folder.folder() / "tokenizer.json");  // its post-processor adds BOS too
  const auto llama_x = *folder.load().id("x");
  EXPECT_EQ(folder.load().encode("x", SpecialTokens::kAdd).ids, std::vector<std::int32_t>({0, llama_x, 2}));
}

TEST(TokenizerFolder, ANamedTokenIsFoundInTextEvenIfTokenizerJsonHasItAsAPlainOne) {
  const std::string text = "x in y";
  const auto plain = Folder(Files{}).load().encode(text, SpecialTokens::kNone);
  const Tokenizer named = Folder(Files{{{"tokenizer_config.json", R"({"pad_token": "in"})"}}}).load();
  ASSERT_TRUE(named.id("in").has_value());
  EXPECT_TRUE(named.is_special(*named.id("in")));
  EXPECT_NE(named.encode(text, SpecialTokens::kNone).ids, plain.ids);
  EXPECT_EQ(named.decode(named.encode(text, SpecialTokens::kNone).ids), "x  y");
}

TEST(TokenizerFolder, SpecialTokensMapCountsWhereTheConfigListsNoAddedTokens) {
  const std::string map = R"({"eos_token": "<|im_end|>"})";
  EXPECT_EQ(Folder(Files{{{"tokenizer_config.json", R"({"eos_token": "<|endoftext|>"})"},
                          {"special_tokens_map.json", map}}})
                .load()
                .eos(),
            2);
  EXPECT_EQ(Folder(Files{{{"tokenizer_config.json",
                           R"({"eos_token": "<|endoftext|>", "added_tokens_decoder": {}})"},
                          {"special_tokens_map.json", map}}})
                .load()
                .eos(),
            0);
}

TEST(TokenizerFolder, AddedTokensOfTheConfigAreAddedAndTheirFlagsCount) {
  const Tokenizer tokenizer = Folder(Files{{{"tokenizer_config.json", R"({"added_tokens_decoder": {
        "1": {"content": "<|im_start|>", "lstrip": true, "normalized": false, "special": true},
        "640": {"content": "<tool>", "normalized": false, "special": false}}})"}}})
                                  .load();
  const Encoding encoding = tokenizer.encode("  <|im_start|><tool>", SpecialTokens::kNone);
  EXPECT_EQ(encoding.ids, std::vector<std::int32_t>({1, 640}));
  EXPECT_EQ(tokenizer.decode(encoding.ids), "<tool>");
  EXPECT_EQ(tokenizer.vocab_size(), 641);
}

TEST(TokenizerFolder, ContradictionsAreErrorsWithTheirPlace) {
  const auto refused = [](const char* config, const char* message) {
    const Folder folder(Files{{{"tokenizer_config.json", config}}});
    expect_bad_input([&] { folder.load(); }, message);
  };
  refused(R"({"eos_token": "</s>"})", "tokenizer_config.json: /eos_token: `</s>` is not in the vocabulary");
  refused(R"({"eos_token": 2})", "/eos_token: got an integer");
  refused(R"({"add_bos_token": "true"})", "/add_bos_token: got a string, want a boolean");
  refused(R"({"added_tokens_decoder": {"7": {"content": "<|im_start|>"}}})", "/added_tokens_decoder/7");
  refused(R"({"added_tokens_decoder": {"x": {"content": "<tool>"}}})", "the key is no token id");
  refused(R"({"added_tokens_decoder": {"5": {"content": "<tool>"}}})", "have the same id 5");
  refused("{", "tokenizer_config.json:1:2");
  refused("[]", "tokenizer_config.json");
}

TEST(TokenizerFolder, TheTemplateFileCountsBeforeTheConfig) {
  const std::string config = R"({"chat_template": "from the config"})";
  EXPECT_EQ(Folder(Files{{{"tokenizer_config.json", config}}}).load().chat_template(), "from the config");
  EXPECT_EQ(Folder(Files{{{"tokenizer_config.json", config}, {"chat_template.jinja", "from the file\n"}}})
                .load()
                .chat_template(),
            "from the file\n");
  const std::string list =
      R"({"chat_template": [{"name": "rag", "template": "r"}, {"name": "default", "template": "d"}]})";
  EXPECT_EQ(Folder(Files{{{"tokenizer_config.json", list}}}).load().chat_template(), "d");
}

TEST(TokenizerFolder, NamedTemplatesAreKeptByName) {
  const auto names = [](const Tokenizer& tokenizer) {
    std::string all;
    for (const NamedChatTemplate& one : tokenizer.chat_templates()) all += one.name + "=" + one.source + ";";
    return all;
  };
  const std::string list =
      R"({"chat_template": [{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}]})";
  EXPECT_EQ(names(Folder(Files{{{"tokenizer_config.json", list}}}).load()), "default=d;tool_use=t;");
  Folder folder(Files{{{"tokenizer_config.json", list}, {"chat_template.jinja", "f"}}});
  std::filesystem::create_directory(folder.folder() / "additional_chat_templates");
  write_file(folder.folder() / "additional_chat_templates/rag.jinja", "r");
  write_file(folder.folder() / "additional_chat_templates/notes.txt", "n");
  EXPECT_EQ(names(folder.load()), "default=f;rag=r;");
}

TEST(TokenizerFolder, SpecialTokensHaveTheNamesThatTemplatesUse) {
  const std::string config =
      R"({"bos_token": "<|im_start|>", "eos_token": {"content": "<|im_end|>"}, "pad_token": null,)"
      R"( "extra_special_tokens": {"image_token": "<image>"}})";
  const auto tokens = Folder(Files{{{"tokenizer_config.json", config}}}).load().special_tokens();
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"bos_token", "<|im_start|>"}, {"eos_token", "<|im_end|>"}, {"image_token", "<image>"}};
  EXPECT_EQ(tokens, expected);
}

TEST(TokenizerFolder, WhatIsNoTokenizerIsRefusedWithWhatItIs) {
  const TemporaryFolder empty;
  expect_bad_input([&] { load_tokenizer(empty.path()); }, "has no tokenizer.json");
  write_file(empty / "vocab.json", "{}");
  expect_bad_input([&] { load_tokenizer(empty.path()); }, "has vocab.json but no tokenizer.json");
  write_file(empty / "tokenizer.model", "IQ== 0\nIg== 1\n");
  expect_bad_input([&] { load_tokenizer(empty.path()); }, "tokenizer.model: is a list of tiktoken ranks");
  write_file(empty / "tokenizer.model", "neither");
  expect_bad_input([&] { load_tokenizer(empty.path()); }, "tokenizer.model: @");
  expect_bad_input([&] { load_tokenizer(empty / "vocab.json"); },
                   "neither a Hugging Face folder nor a GGUF file");
  expect_bad_input([&] { load_tokenizer(empty / "missing"); }, "missing");
}

TEST(TokenizerFolder, ACutTokenizerJsonIsAnErrorWithItsPlace) {
  const std::string whole = read_file(golden("gpt2/tokenizer.json"), 1 << 20);
  for (std::size_t size = 0; size < whole.size(); size += 997) {
    const Folder folder(Files{{{"tokenizer.json", whole.substr(0, size)}}});
    expect_bad_input([&] { folder.load(); }, "tokenizer.json:1:");
  }
}

}  // namespace
}  // namespace graft
