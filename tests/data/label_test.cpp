#include "data/label.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "data/dataset.h"
#include "data/preview.h"
#include "data/readers.h"
#include "row_file.h"
#include "tiny_text.h"

namespace graft {
namespace {

const std::string kSystem =
    "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n";

/// The row as `data preview` shows it, learned tokens in [[ ]].
std::string marked(std::string_view text, TrainOn train_on = TrainOn::kAssistant,
                   const std::optional<ChatTemplate>& chat = tiny_chat()) {
  const RowFile file(text);
  const PromptForm form = chat ? PromptForm::kChat : PromptForm::kPlain;
  const ReadRows rows = read_rows(file.source(), {.prompt_form = form});
  const Row& row = rows.rows.at(0);
  const auto example = make_example(Labeller{tiny_tokenizer(), chat, train_on}.label(row), row.source, 0);
  return example ? preview_text(*example, tiny_tokenizer(), PreviewMarks::kBrackets) : "";
}

constexpr std::string_view kTwoRounds =
    R"({"messages":[{"role":"system","content":"S"},{"role":"user","content":"u1"},{"role":"assistant","content":"a1"},)"
    R"({"role":"user","content":"u2"},{"role":"assistant","content":"a2"}]})";

TEST(Label, TheAssistantsWordsAndTheEndOfItsTurnAreLearned) {
  EXPECT_EQ(marked(kTwoRounds),
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nu1<|im_end|>\n<|im_start|>assistant\n[[a1<|"
            "im_end|>]]\n"
            "<|im_start|>user\nu2<|im_end|>\n<|im_start|>assistant\n[[a2<|im_end|>]]\n");
}

TEST(Label, LastTurnLearnsTheLastAnswerOnly) {
  EXPECT_EQ(
      marked(kTwoRounds, TrainOn::kLastTurn),
      "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nu1<|im_end|>\n<|im_start|>assistant\na1<|im_end|>\n"
      "<|im_start|>user\nu2<|im_end|>\n<|im_start|>assistant\n[[a2<|im_end|>]]\n");
}

TEST(Label, AllLearnsEveryTokenThatHasOneBeforeIt) {
  EXPECT_EQ(marked(R"({"messages":[{"role":"system","content":"S"},{"role":"assistant","content":"a"}]})",
                   TrainOn::kAll),
            "<|im_start|>[[system\nS<|im_end|>\n<|im_start|>assistant\na<|im_end|>\n]]");
}

TEST(Label, ATurnThatIsFlaggedIsNotLearned) {
  const std::string_view row =
      R"({"messages":[{"role":"user","content":"u"},{"role":"assistant","content":"a","train":false},)"
      R"({"role":"assistant","content":"b"}]})";
  EXPECT_EQ(marked(row), kSystem +
                             "<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\na<|im_end|>\n"
                             "<|im_start|>assistant\n[[b<|im_end|>]]\n");
  EXPECT_NE(marked(row, TrainOn::kAll).find("assistant\n]]a<|im_end|>[[\n<|im_start|>"), std::string::npos);
}

TEST(Label, AFlagThatCannotBeFollowedIsAnError) {
  const RowFile file(
      R"({"messages":[{"role":"user","content":"u","train":true},{"role":"assistant","content":"a"}]})");
  const Row row = read_rows(file.source(), {}).rows.at(0);
  EXPECT_EQ(message_of(file,
                       [&] {
                         Labeller{tiny_tokenizer(), tiny_chat()}.label(row);
                       }),
            "FILE:1: /messages/0: train: true on a turn of the user cannot be done");
  EXPECT_NO_THROW((Labeller{tiny_tokenizer(), tiny_chat(), TrainOn::kAll}.label(row)));
}

TEST(Label, ATokenThatCrossesTheEdgeOfTheCompletionIsNotLearned) {
  // " is" is one token.
  EXPECT_EQ(marked(R"({"prompt":"Sea i","completion":"s blue"})", TrainOn::kAssistant, kNoChat),
            "Sea is[[ blue<|im_end|>]]");
}

TEST(Label, WithoutATemplatePromptAndCompletionAreJoinedAsTheyAre) {
  EXPECT_EQ(marked(R"({"prompt":"Sea is","completion":" blue"})", TrainOn::kAssistant, kNoChat),
            "Sea is[[ blue<|im_end|>]]");
}

TEST(Label, TextIsLearnedWholeWithItsEnd) {
  EXPECT_EQ(marked(R"({"text":"42 mice"})"), "4[[2 mice<|im_end|>]]");
  EXPECT_EQ(marked(R"({"text":"42 mice<|im_end|>"})"), "4[[2 mice<|im_end|>]]");
}

TEST(Label, MessagesWithoutATemplateAreAnErrorWithAHint) {
  const RowFile file(R"({"messages":[{"role":"user","content":"u"}]})");
  const Row row = read_rows(file.source(), {}).rows.at(0);
  const Error error = error_of([&] { Labeller{tiny_tokenizer(), kNoChat}.label(row); });
  EXPECT_EQ(std::string(error.what()),
            file.path() + ":1: a row of messages, but the base has no chat template");
  EXPECT_NE(error.hint().find("data.chat_template"), std::string::npos);
}

/// The tiny tokenizer with another post-processor, from a folder that is gone when it is returned.
Tokenizer with_post_processor(const Json& post_processor) {
  const Path tiny = Path(GRAFT_SOURCE_DIR) / "tests/golden/tiny_llama";
  const RowFile folder(read_file(tiny / "tokenizer_config.json", 1 << 20), "tokenizer_config.json");
  Json json = read_json(tiny / "tokenizer.json");
  json["post_processor"] = post_processor;
  write_file(Path(folder.path()).parent_path() / "tokenizer.json", to_text(json));
  return load_tokenizer(Path(folder.path()).parent_path());
}

LabelledTokens label_with(const Tokenizer& tokenizer, const std::optional<ChatTemplate>& chat,
                          const RowValue& value) {
  return Labeller{tokenizer, chat}.label({.value = value, .source = {"rows.jsonl", 1}});
}

TEST(Label, SpacesAreLearnedWhereTheTokenizerTrimsThemFromItsOffsets) {
  const Json trimming = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  const Conversation row{
      .messages = {{.role = "user", .content = "u"}, {.role = "assistant", .content = "  a  "}}};
  const LabelledTokens trimmed = label_with(with_post_processor(trimming), tiny_chat(), row);
  const LabelledTokens whole = label_with(tiny_tokenizer(), tiny_chat(), row);
  EXPECT_EQ(trimmed.ids, whole.ids);
  EXPECT_EQ(trimmed.labels, whole.labels);
}

TEST(Label, BosStandsOnceWhereThePostProcessorAddsItAndIsNotLearned) {
  const Json bos = {{"SpecialToken", {{"id", "<|endoftext|>"}, {"type_id", 0}}}};
  const Json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  const Json token = {{"id", "<|endoftext|>"}, {"ids", {0}}, {"tokens", {"<|endoftext|>"}}};
  const Json adding = {{"type", "TemplateProcessing"},
                       {"single", Json::array({bos, text})},
                       {"pair", Json::array({bos, text, bos, text})},
                       {"special_tokens", {{"<|endoftext|>", token}}}};
  const Tokenizer tokenizer = with_post_processor(adding);

  const LabelledTokens plain = label_with(tokenizer, kNoChat, PromptCompletion{"", "Sea"});
  EXPECT_EQ(plain.ids.front(), 0);
  EXPECT_EQ(plain.labels.front(), kIgnoreLabel);
  EXPECT_EQ(std::ranges::count(plain.ids, 0), 1);
  EXPECT_EQ(std::ranges::count(plain.labels, kIgnoreLabel), 1);
  EXPECT_EQ(std::ranges::count(label_with(tokenizer, kNoChat, Text{"Sea"}).ids, 0), 1);

  // In a conversation only the template would add it.
  const Conversation chat{
      .messages = {{.role = "user", .content = "u"}, {.role = "assistant", .content = "a"}}};
  EXPECT_EQ(std::ranges::count(label_with(tokenizer, tiny_chat(), chat).ids, 0), 0);
}

// Golden: ids and labels of transformers for the same rows (scripts/golden/data.py).
TEST(Label, IdsAndLabelsAreThoseOfTransformers) {
  const Json cases = read_json(Path(GRAFT_SOURCE_DIR) / "tests/golden/data/rows.json");
  ASSERT_GE(cases.size(), 18U);
  for (const Json& golden : cases) {
    SCOPED_TRACE(golden["name"].get<std::string>());
    const std::string mode = golden["train_on"];
    const TrainOn train_on = mode == "all"         ? TrainOn::kAll
                             : mode == "last_turn" ? TrainOn::kLastTurn
                                                   : TrainOn::kAssistant;
    const auto& chat = golden["chat"].get<bool>() ? tiny_chat() : kNoChat;
    const RowFile file(to_text(golden["row"]));
    const PromptForm form = chat ? PromptForm::kChat : PromptForm::kPlain;
    const Row row = read_rows(file.source(), {.prompt_form = form}).rows.at(0);
    const LabelledTokens tokens = Labeller{tiny_tokenizer(), chat, train_on}.label(row);
    EXPECT_EQ(tokens.ids, golden["input_ids"].get<std::vector<std::int32_t>>());
    EXPECT_EQ(tokens.labels, golden["labels"].get<std::vector<std::int32_t>>());
  }
}

}  // namespace
}  // namespace graft
