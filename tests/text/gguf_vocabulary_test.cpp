#include "text/gguf_vocabulary.h"

#include <gtest/gtest.h>

#include "base/format.h"
#include "expect_error.h"
#include "store/gguf.h"
#include "store/gguf_writer.h"
#include "temporary_folder.h"
#include "text/golden.h"

namespace graft {
namespace {

constexpr const char* kTexts[] = {
    "",
    "Hello world, doesn't it?",
    "  two  spaces,\ttabs\r\n\n and   runs ",
    "Naïve café 你好 🙂 Привет 1234567 3.14",
    "if (a >= b) {\n    return x[0];\n}",
    "before <|im_start|>user\nafter<|im_end|> <s> </s> <|endoftext|> [PAD7]",
};

class GgufVocabulary : public ::testing::Test {
 protected:
  // Writes the tokenizer of a folder as a GGUF file without tensors and reads both.
  void write(const Path& folder, std::int64_t more_rows = 0, const std::vector<std::int32_t>& ends = {}) {
    folder_tokenizer_ = load_tokenizer(folder);
    const std::int64_t rows = folder_tokenizer_->vocab_size() + more_rows;
    GgufMetadata metadata;
    set_tokenizer_metadata(folder, rows, ends, metadata);
    write_gguf(path_, metadata, {});
    file_.emplace(path_);
    gguf_tokenizer_ = load_tokenizer(path_);
    EXPECT_EQ(file_->strings("tokenizer.ggml.tokens").size(), static_cast<std::size_t>(rows));
  }
  void expect_same_ids() const {
    for (const char* text : kTexts)
      for (const SpecialTokens special : {SpecialTokens::kAdd, SpecialTokens::kNone})
        EXPECT_EQ(gguf_tokenizer_->encode(text, special).ids, folder_tokenizer_->encode(text, special).ids)
            << text;
    if (folder_tokenizer_->bos()) {
      EXPECT_EQ(gguf_tokenizer_->bos(), folder_tokenizer_->bos());
    }
    EXPECT_EQ(gguf_tokenizer_->eos(), folder_tokenizer_->eos());
    EXPECT_EQ(gguf_tokenizer_->chat_template(), folder_tokenizer_->chat_template());
  }

  TemporaryFolder temporary_;
  Path path_ = temporary_ / "tokenizer.gguf";
  std::optional<Tokenizer> folder_tokenizer_, gguf_tokenizer_;
  std::optional<GgufFile> file_;
};

TEST_F(GgufVocabulary, EncodesAsTheFolderDoes) {
  for (const char* name : {"gpt2", "llama3", "qwen2", "bpe", "bpe_plain"}) {
    SCOPED_TRACE(name);
    write(golden(name));
    expect_same_ids();
  }
}

TEST_F(GgufVocabulary, HasTheNameOfThePreTokenizer) {
  for (const auto& [folder, name] :
       {std::pair{"gpt2", "gpt-2"}, {"llama3", "llama-bpe"}, {"qwen2", "qwen2"}}) {
    write(golden(folder));
    EXPECT_EQ(file_->string("tokenizer.ggml.pre"), name);
    EXPECT_EQ(file_->string("tokenizer.ggml.model"), "gpt2");
  }
  write(golden("bpe"));
  EXPECT_EQ(file_->string("tokenizer.ggml.model"), "llama");
  EXPECT_EQ(file_->numbers("tokenizer.ggml.scores").size(), file_->strings("tokenizer.ggml.tokens").size());
}

TEST_F(GgufVocabulary, CarriesTemplateEndsAndFillers) {
  const Path tiny = Path(GRAFT_SOURCE_DIR) / "tests/golden/tiny_llama";
  const Tokenizer tokenizer = load_tokenizer(tiny);
  ASSERT_TRUE(tokenizer.eos() && tokenizer.chat_template());
  const std::int32_t other = *tokenizer.eos() == 0 ? 1 : 0;
  write(tiny, 5, {*tokenizer.eos(), other});
  expect_same_ids();
  EXPECT_EQ(file_->integer("tokenizer.ggml.eot_token_id"), other);
  const auto& tokens = file_->strings("tokenizer.ggml.tokens");
  EXPECT_EQ(tokens.back(), "[PAD" + std::to_string(tokens.size() - 1) + "]");
  EXPECT_EQ(file_->integers("tokenizer.ggml.token_type").back(), 5);
}

TEST_F(GgufVocabulary, MergesOfATokenizerJsonWithByteFallbackBecomeScores) {
  const Path folder = temporary_ / "folder";
  make_folder(folder);
  Json json = parse_json(R"({"model": {"type": "BPE", "byte_fallback": true, "unk_token": "<unk>",
      "fuse_unk": true, "vocab": {"<unk>": 0, "▁": 1, "a": 2, "b": 3, "ab": 4, "▁a": 5, "▁ab": 6},
      "merges": [["▁", "a"], ["a", "b"], ["▁a", "b"], ["▁", "ab"]]},
      "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
      "added_tokens": [{"id": 0, "content": "<unk>", "special": true, "single_word": false, "lstrip": false,
        "rstrip": false, "normalized": false}],
      "decoder": {"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}})",
                         "tokenizer.json");
  for (int byte = 0; byte < 256; ++byte) json["model"]["vocab"][format("<0x%02X>", byte)] = 7 + byte;
  write_file(folder / "tokenizer.json", to_text(json));
  write_file(folder / "tokenizer_config.json", R"({"unk_token": "<unk>"})");
  write(folder);
  for (const char* text : {"ab", "a ab b", "aab", "b", "aé"})
    EXPECT_EQ(gguf_tokenizer_->encode(text, SpecialTokens::kAdd).ids,
              folder_tokenizer_->encode(text, SpecialTokens::kAdd).ids)
        << text;
  const auto first_eight = [](auto list) {
    list.resize(8);
    return list;
  };
  EXPECT_EQ(first_eight(file_->numbers("tokenizer.ggml.scores")),
            (std::vector<double>{-1000, -5, -5, -5, -2, -1, -3, 0}));
  EXPECT_EQ(first_eight(file_->integers("tokenizer.ggml.token_type")),
            (std::vector<std::int64_t>{2, 1, 1, 1, 1, 1, 1, 6}));
  EXPECT_TRUE(file_->boolean("tokenizer.ggml.add_space_prefix"));
}

TEST_F(GgufVocabulary, RefusesWhatGgufHasNoNameFor) {
  const Path folder = temporary_ / "folder";
  make_folder(folder);
  Json json = read_json(golden("gpt2/tokenizer.json"));
  json["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       {{{"type", "Split"}, {"pattern", {{"Regex", "x+"}}}, {"behavior", "Isolated"}, {"invert", false}},
        {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}}}}};
  write_file(folder / "tokenizer.json", to_text(json));
  GgufMetadata metadata;
  EXPECT_TRUE(contains(error_of([&] { set_tokenizer_metadata(folder, 1000, {}, metadata); }).what(),
                       "cuts text in a way that GGUF has no name for"));
  EXPECT_TRUE(
      contains(error_of([&] { set_tokenizer_metadata(golden("unigram"), 1000, {}, metadata); }).what(),
               "a unigram model"));
}

}  // namespace
}  // namespace graft
