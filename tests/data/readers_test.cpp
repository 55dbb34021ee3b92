#include "data/readers.h"

#include <gtest/gtest.h>

#include "row_file.h"

namespace graft {
namespace {

ReadRows read(std::string_view text, PromptForm form = PromptForm::kChat,
              const std::string& format = "auto") {
  const RowFile file(text);
  return read_rows(file.source(format), {.prompt_form = form});
}

template <class Value>
Value only(std::string_view text, PromptForm form = PromptForm::kChat) {
  const ReadRows rows = read(text, form);
  EXPECT_EQ(rows.rows.size(), 1U);
  return std::get<Value>(rows.rows.front().value);
}

std::string failure(std::string_view text, const std::string& format = "auto") {
  const RowFile file(text);
  return message_of(file, [&] { read_rows(file.source(format), {}); });
}

std::vector<std::string> turns(const Conversation& conversation) {
  std::vector<std::string> result;
  for (const Message& message : conversation.messages) {
    result.push_back(message.role + (message.train ? ": " : " (not learned): ") + message.content);
  }
  return result;
}

TEST(ReadRows, TheFirstRowsKeysChooseTheFormat) {
  EXPECT_EQ(read(R"({"messages":[{"role":"user","content":"a"}],"text":"b"})").format, "messages");
  EXPECT_EQ(read(R"({"conversations":[{"from":"human","value":"a"}]})").format, "sharegpt");
  EXPECT_EQ(read(R"({"instruction":"a","input":"","output":"b","text":"c"})").format, "alpaca");
  EXPECT_EQ(read(R"({"prompt":"a","completion":"b"})").format, "prompt_completion");
  EXPECT_EQ(read(R"({"input_ids":[1]})").format, "tokens");
  EXPECT_EQ(read(R"({"text":"b"})").format, "text");
}

TEST(ReadRows, MessagesKeepRolesFlagsAndForeignKeys) {
  const auto row = only<Conversation>(
      R"({"messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"u"},{"type":"text","text":"v"}]},)"
      R"({"role":"assistant","content":"a","train":false,"mood":"glad"},{"role":"assistant","content":"b","weight":1}]})");
  EXPECT_EQ(turns(row), (std::vector<std::string>{"system: s", "user: uv", "assistant (not learned): a",
                                                  "assistant: b"}));
  EXPECT_EQ(row.messages[2].fields["mood"], "glad");
}

TEST(ReadRows, ToolsAndTemplateVariablesAreReadAsTrlNamesThem) {
  const std::string messages = R"({"messages":[{"role":"user","content":"u"}])";
  const auto row = only<Conversation>(
      messages + R"(,"tools":[{"type":"function"}],"chat_template_kwargs":{"enable_thinking":false}})");
  EXPECT_EQ(row.tools[0]["type"], "function");
  EXPECT_EQ(row.variables["enable_thinking"], false);
  EXPECT_EQ(only<Conversation>(messages + R"(,"tools":"[{\"name\": \"f\"}]"})").tools[0]["name"], "f");
  EXPECT_TRUE(only<Conversation>(messages + R"(,"tools":[]})").tools.is_null());
  EXPECT_TRUE(only<Conversation>(messages + R"(,"tools":null})").tools.is_null());
  const auto pair = only<Conversation>(R"({"prompt":"a","completion":"b","tools":[1]})");
  EXPECT_EQ(pair.tools[0], 1);
  EXPECT_NE(failure(messages + R"(,"tools":"[{"})").find("/tools"), std::string::npos);
  EXPECT_NE(failure(messages + R"(,"tools":{}})").find("/tools: want a list"), std::string::npos);
  EXPECT_NE(failure(messages + R"(,"chat_template_kwargs":[]})").find("/chat_template_kwargs"),
            std::string::npos);
}

TEST(ReadRows, ShareGptTurnsGetTheRolesThatTemplatesKnow) {
  const auto row = only<Conversation>(
      R"({"system":"s","conversations":[{"from":"human","value":"u"},{"from":"gpt","value":"a"}]})");
  EXPECT_EQ(turns(row), (std::vector<std::string>{"system: s", "user: u", "assistant: a"}));
  EXPECT_EQ(row.messages[2].fields["role"], "assistant");
  EXPECT_EQ(row.messages[2].fields["content"], "a");
}

TEST(ReadRows, AlpacaIsAUserTurnOfInstructionAndInput) {
  const std::string_view text =
      R"({"instruction":"Add.","input":"1 2","output":"3","system":"s","history":[["q","r"]]})";
  EXPECT_EQ(turns(only<Conversation>(text)), (std::vector<std::string>{"system: s", "user: q", "assistant: r",
                                                                       "user: Add.\n1 2", "assistant: 3"}));
  const auto plain = only<PromptCompletion>(text, PromptForm::kPlain);
  EXPECT_EQ(plain.prompt, "s\nq\nr\nAdd.\n1 2");
  EXPECT_EQ(plain.completion, "3");
}

TEST(ReadRows, PromptAndCompletionAreTurnsOrPlainText) {
  EXPECT_EQ(turns(only<Conversation>(R"({"prompt":"p","completion":" c"})")),
            (std::vector<std::string>{"user: p", "assistant:  c"}));
  const auto plain = only<PromptCompletion>(R"({"prompt":"p","completion":" c"})", PromptForm::kPlain);
  EXPECT_EQ(plain.prompt + "|" + plain.completion, "p| c");
}

TEST(ReadRows, OfPromptsThatAreListsOfMessagesOnlyTheCompletionIsLearned) {
  EXPECT_EQ(turns(only<Conversation>(
                R"({"prompt":[{"role":"user","content":"u"},{"role":"assistant","content":"a"},)"
                R"({"role":"user","content":"v"}],"completion":[{"role":"assistant","content":"b"}]})")),
            (std::vector<std::string>{"user: u", "assistant (not learned): a", "user: v", "assistant: b"}));
}

TEST(ReadRows, TokenRowsAreVerbatimAndLabelsDefaultToTheIds) {
  const auto both = only<TokenRow>(R"({"input_ids":[5,6,7],"labels":[-100,9,7],"attention_mask":[1,1,1]})");
  EXPECT_EQ(both.ids, (std::vector<std::int32_t>{5, 6, 7}));
  EXPECT_EQ(both.labels, (std::vector<std::int32_t>{-100, 9, 7}));
  EXPECT_EQ(only<TokenRow>(R"({"input_ids":[5,6]})").labels, (std::vector<std::int32_t>{5, 6}));
}

TEST(ReadRows, MaxSamplesTakesTheFirstRowsAndNeverParsesTheRest) {
  const RowFile file("{\"text\":\"a\"}\n{\"text\":\"b\"}\nbroken\n");
  EXPECT_EQ(read_rows({.path = file.path(), .max_samples = 2}, {}).rows.size(), 2U);
}

TEST(ReadRows, EqualRowsHaveEqualFingerprintsWhereverTheyStand) {
  const ReadRows rows = read("{\"text\":\"a\"}\n{\"text\":\"b\"}\n\n{\"text\":\"a\"}\r\n");
  EXPECT_EQ(rows.rows[0].fingerprint, rows.rows[2].fingerprint);
  EXPECT_NE(rows.rows[0].fingerprint, rows.rows[1].fingerprint);
  EXPECT_EQ(rows.rows[2].source.line, 4);
}

TEST(ReadRows, AJsonArrayIsReadAndItsErrorsCountFromTheFile) {
  EXPECT_EQ(read("[{\"text\":\"a\"},\n{\"text\":\"b\"}]").rows[1].source.line, 2);
  EXPECT_EQ(failure("[{\"text\":\"a\"},\n {\"text\":\n  oops}]").substr(0, 10), "FILE:3:3: ");
  EXPECT_EQ(failure("[{\"text\":\"a\"}, {\"text\":oops}]").substr(0, 11), "FILE:1:24: ");
}

TEST(ReadRows, ATextFileBecomesRowsOfParagraphs) {
  const RowFile file("one\n\ntwo\n\nthree", "book.TXT");
  const ReadRows rows = read_rows(file.source(), {.paragraph_bytes = 9});
  ASSERT_EQ(rows.rows.size(), 2U);
  EXPECT_EQ(std::get<Text>(rows.rows[0].value).text, "one\n\ntwo");
  EXPECT_EQ(rows.format, "text");
}

TEST(ReadRows, RowsOfEachFormatMayBeMixedWhereTheCallerSaysSo) {
  const RowFile file("{\"text\":\"a\"}\n{\"input_ids\":[1]}\n");
  const ReadRows rows = read_rows(file.source(), {.scope = FormatScope::kRow});
  EXPECT_TRUE(std::holds_alternative<Text>(rows.rows[0].value));
  EXPECT_TRUE(std::holds_alternative<TokenRow>(rows.rows[1].value));
}

TEST(ReadRows, ABrokenLineIsNamedByItsPhysicalNumberAndColumn) {
  std::string text = "\n";
  for (int i = 2; i < 17; ++i) text += "{\"text\": \"row\"}\n";
  EXPECT_EQ(failure(text + "{\"text\": oops}\n{\"text\":\"x\"}\n").substr(0, 12), "FILE:17:10: ");
}

TEST(ReadRows, OfSeveralBrokenRowsTheFirstIsReportedInEveryRun) {
  std::string text;
  for (int i = 1; i <= 2000; ++i) text += i % 700 == 0 ? "{\n" : "{\"text\":\"row\"}\n";
  for (int run = 0; run < 20; ++run) EXPECT_EQ(failure(text).substr(0, 9), "FILE:700:");
}

TEST(ReadRows, HostileRowsAreErrorsWithAPlace) {
  const std::string first = "{\"text\":\"a\"}\n";
  EXPECT_EQ(failure(first + "[]\n"), "FILE:2: a row must be an object {…}");
  EXPECT_EQ(failure(first + "{\"txt\":\"a\"}\n"), "FILE:2: /text: missing");
  EXPECT_EQ(failure(first + "{\"text\":null}\n"), "FILE:2: /text: got null, want a string");
  EXPECT_EQ(failure(first + "{\"text\":\"a\"} {}\n").substr(0, 11), "FILE:2:14: ");
  EXPECT_EQ(failure(first + "{\"text\":\"\xFF\"}\n").substr(0, 11), "FILE:2:10: ");
  EXPECT_EQ(failure(first + "{\"text\":\"\\ud800\"}\n").substr(0, 11), "FILE:2:10: ");
  EXPECT_EQ(failure(first + "{\"text\":\"a\",\"text\":\"b\"}\n").substr(0, 11), "FILE:2:13: ");
  EXPECT_EQ(failure(first + "{\"text\":" + std::string(100000, '[') + "\n").substr(0, 7), "FILE:2:");
}

TEST(ReadRows, HostileMessagesAreErrorsWithAPointer) {
  const auto of = [](const std::string& messages) { return failure("{\"messages\":" + messages + "}"); };
  EXPECT_EQ(of("[]"), "FILE:1: /messages: want a list of at least one message");
  EXPECT_EQ(of("\"hello\""), "FILE:1: /messages: want a list of at least one message");
  EXPECT_EQ(of(R"([{"role":"user"}])"), "FILE:1: /messages/0/content: missing");
  EXPECT_EQ(of(R"([{"role":"usr","content":"a"}])"), "FILE:1: /messages/0/role: unknown role \"usr\"");
  EXPECT_EQ(of(R"([{"role":"user","content":7}])"),
            "FILE:1: /messages/0/content: got an integer, want a string");
  EXPECT_EQ(of(R"([{"role":"system","content":"a"},{"role":"system","content":"b"}])"),
            "FILE:1: /messages/1: a second system message in one conversation");
  EXPECT_EQ(of(R"([{"role":"assistant","content":"a","weight":0.5}])"),
            "FILE:1: /messages/0/weight: got 0.5, want 0 or 1");
  EXPECT_EQ(of(R"([{"role":"user","content":[{"type":"image_url"}]}])"),
            "FILE:1: /messages/0/content/0/type: got \"image_url\", want \"text\"");
}

TEST(ReadRows, HostileTokenRowsAreErrors) {
  EXPECT_EQ(failure(R"({"input_ids":[1,2],"labels":[1]})"),
            "FILE:1: /labels: got 1 labels for 2 input_ids, want as many");
  EXPECT_NE(failure(R"({"input_ids":[-1]})").find("/input_ids/0"), std::string::npos);
  EXPECT_NE(failure(R"({"input_ids":[4294967296]})").find("/input_ids/0"), std::string::npos);
  EXPECT_NE(failure(R"({"input_ids":[1.0]})").find("/input_ids/0"), std::string::npos);
  EXPECT_EQ(failure(R"({"input_ids":[1],"labels":[-1]})"),
            "FILE:1: /labels/0: got -1, want a token id or -100 (no loss)");
  EXPECT_EQ(failure(R"({"input_ids":[1],"attention_mask":[0]})"),
            "FILE:1: /attention_mask/0: padding is not supported");
}

TEST(ReadRows, UnknownFormatsListTheKnownOnes) {
  const RowFile file(R"({"question":"a","answer":"b"})");
  const Error error = error_of([&] { read_rows(file.source(), {}); });
  EXPECT_EQ(std::string(error.what()),
            file.path() + ":1: unknown format of row (got the keys question, answer)");
  EXPECT_NE(error.hint().find("prompt_completion: prompt, completion"), std::string::npos);
  const Error named = error_of([&] { read_rows(file.source("alpacca"), {}); });
  EXPECT_EQ(named.code(), ExitCode::kUsage);
  EXPECT_EQ(named.hint(), "did you mean \"alpaca\"?");
}

}  // namespace
}  // namespace graft
