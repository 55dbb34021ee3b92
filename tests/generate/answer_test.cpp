#include "generate/answer.h"

#include <gtest/gtest.h>

#include "generate/stop_tokens.h"
#include "model/golden.h"

namespace graft {
namespace {

/// Answers of transformers' generate on the tiny model in fp32.
class TinyAnswers : public testing::Test {
 protected:
  static SamplingOptions options(const Json& want) {
    return {.max_new_tokens = std::ssize(want), .temperature = 0.0, .repetition_penalty = 1.0};
  }
  static SamplingOptions penalised(const Json& row) {
    SamplingOptions how = options(row["penalised"]);
    how.repetition_penalty = 1.3;
    return how;
  }

  const Json rows_ = read_json(golden("generate/tiny.json"));
  const Decoder model_ = load_fp32(golden("tiny_llama"));
  const Tokenizer tokenizer_ = load_tokenizer(golden("tiny_llama"));
  Generator generator_{model_};
};

TEST_F(TinyAnswers, AreTransformersGreedyAndWithARepetitionPenalty) {
  ASSERT_GE(rows_.size(), 5U);
  for (const Json& row : rows_) {
    EXPECT_EQ(Json(generator_.run({row["ids"], options(row["greedy"])}).tokens), row["greedy"]);
    EXPECT_EQ(Json(generator_.run({row["ids"], penalised(row)}).tokens), row["penalised"]);
    EXPECT_NE(row["greedy"], row["penalised"]);
  }
}

TEST_F(TinyAnswers, EndAtTheFirstOfSeveralEndsAsTransformers) {
  for (const Json& row : rows_) {
    auto want = row["ended"].get<std::vector<std::int32_t>>();
    want.pop_back();  // transformers keeps the end
    const Generated got = generator_.run({row["ids"], penalised(row), row["ends"]});
    EXPECT_EQ(got.tokens, want);
    EXPECT_EQ(got.reason, StopReason::kStopToken);
  }
}

TEST_F(TinyAnswers, EndBeforeAStopStringThatSpansTokensAndNeverShowAPartOfIt) {
  for (const Json& row : rows_) {
    SamplingOptions how = penalised(row);
    how.stop = row["stop"].get<std::vector<std::string>>();
    std::string streamed;
    const Answer answer =
        write_answer(generator_, tokenizer_, {row["ids"], how}, [&](std::string_view piece) {
          streamed += piece;
          return true;
        });
    EXPECT_EQ(answer.text, row["before_stop"]);
    EXPECT_EQ(streamed, answer.text);
    EXPECT_EQ(answer.reason, StopReason::kStopString);
    EXPECT_LT(answer.tokens, row["penalised"].size());
  }
}

TEST_F(TinyAnswers, WithoutAStopStringTheTextIsWholeThoughItsEndWasHeldBack) {
  const Json& row = rows_[0];
  SamplingOptions how = penalised(row);
  const std::string text = row["text"];
  how.stop = {text.substr(text.size() - 2) + "never"};
  EXPECT_EQ(write_answer(generator_, tokenizer_, {row["ids"], how}).text, text);
}

TEST(StopTokens, AreThoseOfTheConfigTheTokenizerTheTemplateAndTheStopStrings) {
  const ModelConfig config = load_config(golden("tiny_llama"));
  const Tokenizer tokenizer = load_tokenizer(golden("tiny_llama"));
  const auto chat = choose_chat_template("auto", tokenizer);
  ModelConfig other = config;
  other.eos_token_ids = {7, 9, 7};
  const auto ids = stop_tokens(other, tokenizer, chat);
  for (const std::int32_t id : {std::int32_t{7}, std::int32_t{9}, *tokenizer.eos()})
    EXPECT_EQ(std::ranges::count(ids, id) > 0, true) << id;
  ASSERT_TRUE(chat && chat->end_of_turn());
  EXPECT_EQ(std::ranges::count(ids, *tokenizer.id(*chat->end_of_turn())), 1);
  EXPECT_EQ(std::ranges::count(stop_tokens(other, tokenizer, std::nullopt), 355), 0);
}

TEST(StopTokens, KnownEndsOfATurnCountWhereTheyAreSpecial) {
  const TemporaryFolder folder;
  // One special end and one that is an ordinary piece of text.
  write_text(folder.path() / "tokenizer.json", R"({"version":"1.0","added_tokens":[
      {"id":2,"content":"<|eot_id|>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},
      {"id":3,"content":"<|end|>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":false},
      {"id":4,"content":"<|mine|>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],
      "normalizer":null,"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true},
      "post_processor":null,"decoder":{"type":"ByteLevel"},
      "model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":[]}})");
  const Tokenizer tokenizer = load_tokenizer(folder.path());
  const ModelConfig config;
  EXPECT_EQ(stop_tokens(config, tokenizer, std::nullopt), std::vector<std::int32_t>{2});
  const std::vector<std::string> stop = {"<|mine|>", "a"};
  EXPECT_EQ(stop_tokens(config, tokenizer, std::nullopt, stop), (std::vector<std::int32_t>{2, 4}))
      << "a stop string that spells a special token is that token, one of text is not";
}

}  // namespace
}  // namespace graft
