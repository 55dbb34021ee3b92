#include "data/dataset.h"

#include <gtest/gtest.h>

#include <set>

#include "data/preview.h"
#include "row_file.h"
#include "tiny_text.h"

namespace graft {
namespace {

DataOptions options_of(const RowFile& file) {
  DataOptions options;
  options.train = {file.source()};
  return options;
}

Dataset load(const DataOptions& options, std::uint64_t seed = 42) {
  return load_dataset(options, tiny_tokenizer(), tiny_chat(), seed);
}

std::string text_of(const Example& example) {
  return preview_text(example, tiny_tokenizer(), PreviewMarks::kBrackets);
}

std::string numbered_rows(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += "{\"text\":\"row number " + std::to_string(i) + "\"}\n";
  return text;
}

const std::string kChatRow =
    R"({"messages":[{"role":"system","content":"sys"},{"role":"user","content":"one two three four five six"},)"
    R"({"role":"assistant","content":"seven eight nine ten"}]})";

TEST(LoadDataset, TargetsAreTheLabelsOfTheNextTokens) {
  const RowFile file(R"({"input_ids":[5,6,7,8],"labels":[5,-100,9,8]})");
  const Dataset data = load(options_of(file));
  ASSERT_EQ(data.train.size(), 1U);
  EXPECT_EQ(data.train[0].tokens, (std::vector<std::int32_t>{5, 6, 7, 8}));
  EXPECT_EQ(data.train[0].targets, (std::vector<std::int32_t>{kNoTarget, 9, 8, kNoTarget}));
  EXPECT_EQ(labels_of(data.train[0]), (std::vector<std::int32_t>{5, -100, 9, 8}));
  EXPECT_EQ(data.train_report.target_tokens, 2);
}

TEST(LoadDataset, RowsWithoutATargetAreDroppedCountedAndNamed) {
  const RowFile file(
      "{\"input_ids\":[5,6]}\n{\"input_ids\":[5,6],\"labels\":[5,-100]}\n{\"input_ids\":[]}\n");
  const Dataset data = load(options_of(file));
  EXPECT_EQ(data.train.size(), 1U);
  EXPECT_EQ(data.train_report.rows, 3);
  EXPECT_EQ(data.train_report.dropped_without_target, 2);
  EXPECT_EQ(data.train_report.dropped_at[0], file.path() + ":2: no token to learn");
}

TEST(LoadDataset, LongRowsAreDroppedAndNamedByDefault) {
  const RowFile file("{\"input_ids\":[1,2,3,4]}\n{\"input_ids\":[1,2]}\n");
  DataOptions options = options_of(file);
  options.max_seq_len = 3;
  const Dataset data = load(options);
  EXPECT_EQ(data.train_report.dropped_long, 1);
  EXPECT_EQ(data.train_report.dropped_at.at(0), file.path() + ":1: 4 tokens, over max_seq_len 3");
  options.over_length = OverLength::kError;
  EXPECT_EQ(message_of(file, [&] { load(options); }), "FILE:1: 4 tokens, over max_seq_len 3");
}

TEST(LoadDataset, TruncatedTokenRowsKeepTheirLeft) {
  const RowFile file("{\"input_ids\":[1,2,3,4]}\n");
  DataOptions options = options_of(file);
  options.max_seq_len = 3;
  options.over_length = OverLength::kTruncate;
  const Dataset data = load(options);
  EXPECT_EQ(data.train[0].tokens, (std::vector<std::int32_t>{1, 2, 3}));
  EXPECT_EQ(data.train_report.truncated, 1);
  EXPECT_EQ(data.train_report.truncated_at.at(0), file.path() + ":1: 4 tokens cut to 3");
}

TEST(LoadDataset, TruncatedChatKeepsSystemAndEndOfTurnAndLosesThePromptFromTheLeft) {
  const RowFile file(kChatRow);
  DataOptions options = options_of(file);
  options.over_length = OverLength::kTruncate;
  const auto whole = static_cast<std::int64_t>(load(options).train[0].tokens.size());
  const std::string system = "<|im_start|>system\nsys<|im_end|>\n", header = "<|im_start|>assistant\n";
  const std::string answer = "[[seven eight nine ten<|im_end|>]]\n";
  bool answer_cut = false;
  for (std::int64_t size = whole - 1; size >= 2; --size) {
    options.max_seq_len = size;
    Dataset data;
    try {
      data = load(options);
    } catch (const Error&) {
      EXPECT_TRUE(answer_cut);  // nothing of the answer would be left
      return;
    }
    const std::string text = text_of(data.train.at(0));
    EXPECT_EQ(static_cast<std::int64_t>(data.train[0].tokens.size()), size);
    EXPECT_TRUE(text.starts_with(system)) << text;
    EXPECT_TRUE(text.ends_with("<|im_end|>]]\n")) << text;
    EXPECT_NE(text.find(header + "[[s"), std::string::npos) << text;
    answer_cut = answer_cut || !text.ends_with(answer);
    if (answer_cut) {
      EXPECT_TRUE(text.starts_with(system + header)) << text;
    }
  }
  ADD_FAILURE() << "the smallest row was not refused";
}

TEST(LoadDataset, TheTemplatesOwnSystemPromptIsKeptToo) {
  const RowFile file(
      R"({"messages":[{"role":"user","content":"one two three four five six"},{"role":"assistant","content":"ok"}]})");
  DataOptions options = options_of(file);
  options.over_length = OverLength::kTruncate;
  options.max_seq_len = static_cast<std::int64_t>(load(options).train[0].tokens.size()) - 5;
  const std::string text = text_of(load(options).train.at(0));
  EXPECT_TRUE(text.starts_with(
      "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
      "<|im_end|>\n"));
  EXPECT_TRUE(text.ends_with("six<|im_end|>\n<|im_start|>assistant\n[[ok<|im_end|>]]\n")) << text;
}

TEST(LoadDataset, NoRowLeftSaysWhichFilterTookThem) {
  const RowFile file("{\"input_ids\":[1,2,3,4]}\n{\"input_ids\":[1,2],\"labels\":[-100,-100]}\n");
  DataOptions options = options_of(file);
  options.max_seq_len = 3;
  const Error error = error_of([&] { load(options); });
  EXPECT_EQ(error.code(), ExitCode::kBadInput);
  EXPECT_EQ(
      std::string(error.what()),
      file.path() +
          ": no row left for the training set (of 2 rows 1 are longer than max_seq_len 3, 1 have no token "
          "to learn, 0 are held out)");
}

TEST(LoadDataset, AFileWithoutRowsIsAnError) {
  const RowFile file("\n\n");
  EXPECT_EQ(message_of(file, [&] { load(options_of(file)); }), "FILE: holds no rows");
}

TEST(LoadDataset, ControlTokensInTextsAreCountedWithTheirLine) {
  const RowFile file(
      R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]})"
      "\n"
      R"({"messages":[{"role":"user","content":"x<|im_end|>y<|im_start|>"},{"role":"assistant","content":"b"}]})");
  const DataReport report = load(options_of(file)).train_report;
  EXPECT_EQ(report.control_tokens, 2);
  EXPECT_EQ(report.control_at,
            (std::vector<std::string>{file.path() + ":2: <|im_end|>", file.path() + ":2: <|im_start|>"}));
}

TEST(LoadDataset, WhatIsHeldOutDependsOnSeedAndRowAlone) {
  const std::string text = numbered_rows(400);
  const auto held_texts = [](const std::string& rows, std::uint64_t seed) {
    const RowFile file(rows);
    DataOptions options = options_of(file);
    options.eval_fraction = 0.1;
    const Dataset data = load(options, seed);
    EXPECT_EQ(data.train.size() + data.eval.size(), static_cast<std::size_t>(data.train_report.rows));
    EXPECT_EQ(data.train_report.held_out, static_cast<std::int64_t>(data.eval.size()));
    std::multiset<std::string> texts;
    for (const Example& example : data.eval) texts.insert(text_of(example));
    return texts;
  };
  const auto once = held_texts(text, 1);
  EXPECT_GT(once.size(), 15U);
  EXPECT_LT(once.size(), 80U);
  EXPECT_EQ(held_texts(text, 1), once);
  EXPECT_NE(held_texts(text, 2), once);
  EXPECT_EQ(held_texts("{\"text\":\"a row before\"}\n" + text, 1).size() / once.size(), 1U);
  EXPECT_EQ(held_texts(text + text, 1).size(), 2 * once.size());  // equal rows stay on one side
}

TEST(LoadDataset, ASmallSplitHasAtLeastOneRowOnEachSide) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    for (const double fraction : {0.001, 0.999}) {
      const RowFile file(numbered_rows(3));
      DataOptions options = options_of(file);
      options.eval_fraction = fraction;
      const Dataset data = load(options, seed);
      EXPECT_EQ(data.train.size(), fraction < 0.5 ? 2U : 1U);
      EXPECT_EQ(data.eval.size(), fraction < 0.5 ? 1U : 2U);
    }
  }
}

TEST(LoadDataset, EvalFilesAreReadBesideTheTrainingFiles) {
  const RowFile file(numbered_rows(3));
  DataOptions options = options_of(file);
  options.eval = {{.path = file.path(), .max_samples = 2}};
  const Dataset data = load(options);
  EXPECT_EQ(data.train.size(), 3U);
  EXPECT_EQ(data.eval.size(), 2U);
  EXPECT_EQ(data.eval_report.files.at(0).format, "text");
  EXPECT_EQ(data.eval_report.files.at(0).sha256.size(), 64U);
  EXPECT_EQ(data.train[2].id, 2U);
}

TEST(LoadDataset, PretrainingRefusesRowsWithAPrompt) {
  const RowFile file(kChatRow);
  DataOptions options = options_of(file);
  options.raw_rows_only = true;
  EXPECT_EQ(error_of([&] { load(options); }).code(), ExitCode::kUsage);
}

TEST(CheckTokenIds, NamesTheRowOfAnIdBeyondTheVocabulary) {
  const RowFile file("{\"input_ids\":[1,2]}\n{\"input_ids\":[1,512]}\n");
  const Dataset data = load(options_of(file));
  EXPECT_EQ(message_of(file, [&] { check_token_ids(data.train, 512); }),
            "FILE:2: token id out of the vocabulary (got 512, want less than 512)");
  EXPECT_NO_THROW(check_token_ids(data.train, 513));
}

TEST(Preview, JsonHasTheLabelsThatHuggingFaceWouldWrite) {
  const RowFile file(R"({"input_ids":[5,6,7],"labels":[-100,6,-100]})");
  EXPECT_EQ(to_text(preview_json(load(options_of(file)).train.at(0))),
            "{\"source\":\"" + file.path() + ":1\",\"input_ids\":[5,6,7],\"labels\":[-100,6,-100]}");
}

TEST(Preview, ControlBytesOfARowDoNotReachTheTerminal) {
  const RowFile file(R"({"text":"a\u001b[31mb"})");
  const std::string text = text_of(load(options_of(file)).train.at(0));
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_NE(text.find("\\x1B"), std::string::npos) << text;
}

}  // namespace
}  // namespace graft
