#include "export/tokenizer_json.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "model/golden.h"

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

}  // namespace
}  // namespace graft
