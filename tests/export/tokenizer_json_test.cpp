#include "export/tokenizer_json.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "model/golden.h"
#include "store/gguf_writer.h"
#include "text/pipeline.h"
#include "text/tokenizer_json.h"

namespace graft {
namespace {

TEST(TokenizerJson, IsTheTokenizerThatTheGgufWasMadeOf) {
  const Json got = tokenizer_json(GgufFile(golden("model/tiny.gguf")));
  const Json want = read_json(golden("tiny_llama/tokenizer.json"));
  EXPECT_EQ(got["added_tokens"], want["added_tokens"]);
  EXPECT_EQ(got["pre_tokenizer"], want["pre_tokenizer"]);
  EXPECT_EQ(got["normalizer"], want["normalizer"]);
  EXPECT_EQ(got["model"]["type"], "BPE");
  EXPECT_EQ(got["model"]["vocab"].size(), want["model"]["vocab"].size());
  for (const auto& [token, id] : want["model"]["vocab"].items())
    EXPECT_EQ(got["model"]["vocab"][token], id) << token;
  ASSERT_EQ(got["model"]["merges"].size(), want["model"]["merges"].size());
  for (std::size_t i = 0; i < want["model"]["merges"].size(); ++i) {
    const Json& pair = want["model"]["merges"][i];
    EXPECT_EQ(got["model"]["merges"][i], pair[0].get<std::string>() + " " + pair[1].get<std::string>());
  }
}

TEST(TokenizerJson, SpecialTokensAndTemplateStandWhereTransformersLooks) {
  const TemporaryFolder folder;
  const GgufFile file(golden("model/tiny.gguf"));
  write_tokenizer_files(file, config_of_gguf(file), folder.path());
  const Json want = read_json(golden("tiny_llama/tokenizer_config.json"));
  const Json got = read_json(folder.path() / "tokenizer_config.json");
  for (const char* key :
       {"bos_token", "eos_token", "pad_token", "unk_token", "model_max_length", "chat_template"}) {
    EXPECT_EQ(got[key], want[key]) << key;
  }
  EXPECT_EQ(text_of_file(folder.path() / "chat_template.jinja"),
            text_of_file(golden("tiny_llama/chat_template.jinja")));
  EXPECT_EQ(read_json(folder.path() / "special_tokens_map.json")["eos_token"], "<|im_end|>");
  const Json generation = read_json(folder.path() / "generation_config.json");
  EXPECT_EQ(generation["eos_token_id"], 2);
  EXPECT_EQ(generation["bos_token_id"], 1);
}

constexpr std::int32_t kNormal = 1, kUserDefined = 4;

// The pieces of a small sentencepiece model, as llama.cpp's converter writes them, those of the user's own as
// `own`.
void write_pieces(const Path& path, bool prefixed, std::int32_t own) {
  const std::string bytes = text_of_file(golden("text/bpe/tokenizer.model"));
  const SentencepieceProto proto = parse_sentencepiece(std::as_bytes(std::span(bytes)), "bpe");
  std::vector<std::string> tokens;
  std::vector<float> scores;
  std::vector<std::int32_t> types;
  for (const auto& piece : proto.pieces) {
    tokens.push_back(piece.text);
    scores.push_back(piece.score);
    types.push_back(static_cast<std::int32_t>(piece.type));
    if (types.back() == kUserDefined) types.back() = own;
  }
  GgufMetadata metadata;
  metadata.set("tokenizer.ggml.model", std::string("llama"));
  metadata.set("tokenizer.ggml.tokens", tokens);
  metadata.set("tokenizer.ggml.scores", scores);
  metadata.set("tokenizer.ggml.token_type", types);
  metadata.set("tokenizer.ggml.bos_token_id", std::uint32_t{1});
  metadata.set("tokenizer.ggml.eos_token_id", std::uint32_t{2});
  metadata.set("tokenizer.ggml.add_space_prefix", prefixed);
  write_gguf(path, metadata, {});
}

TEST(TokenizerJson, RefusesWhatItsFormCannotSay) {
  const TemporaryFolder folder;
  write_pieces(folder / "model.gguf", true, kUserDefined);
  try {
    tokenizer_json(GgufFile(folder / "model.gguf"));
    FAIL() << "a space in front and pieces that begin with one";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("add_space_prefix"), std::string::npos) << error.what();
  }
}

TEST(TokenizerJson, PiecesOfSentencepieceGiveTheSameIdsAndText) {
  const TemporaryFolder folder;
  const Json corpus = read_json(golden("text/tokenizers.json"))["model_corpus"];
  for (const bool prefixed : {true, false}) {
    write_pieces(folder / "model.gguf", prefixed, prefixed ? kNormal : kUserDefined);
    const Json json = tokenizer_json(GgufFile(folder / "model.gguf"));
    auto pipeline = std::make_shared<Tokenizer::Pipeline>();
    read_tokenizer_json(JsonView(json, "tokenizer.json"), {}, *pipeline);
    const Tokenizer written(pipeline), own = load_tokenizer(folder / "model.gguf");
    for (const Json& text : corpus) {
      const auto ids = own.encode(text.get<std::string>(), SpecialTokens::kAdd).ids;
      EXPECT_EQ(written.encode(text.get<std::string>(), SpecialTokens::kAdd).ids, ids) << text;
      EXPECT_EQ(written.decode(ids), own.decode(ids)) << text;
    }
  }
}

}  // namespace
}  // namespace graft
