#include "text/chat.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "temporary_folder.h"
#include "text/golden.h"
#include "text/pipeline.h"
#include "text/tokenizer_json.h"

namespace graft {
namespace {

// The small tokenizer with the special tokens of SmolLM2 and the given template.
Tokenizer tokenizer_with(std::optional<std::string> chat_template) {
  auto pipeline = std::make_shared<Tokenizer::Pipeline>();
  const Json file = read_json(golden("gpt2/tokenizer.json"));
  read_tokenizer_json(JsonView(file, "tokenizer.json"), {}, *pipeline);
  pipeline->bos = pipeline->vocabulary.find("<|im_start|>");
  pipeline->eos = pipeline->vocabulary.find("<|im_end|>");
  if (chat_template) pipeline->chat_templates = {{"default", *chat_template}};
  return Tokenizer(pipeline);
}

std::vector<Message> messages_of(const Json& conversation) {
  std::vector<Message> messages;
  for (const Json& message : conversation) {
    messages.push_back(
        {message["role"].get<std::string>(), message["content"].get<std::string>(), true, message});
  }
  return messages;
}

const Json& golden_chat() {
  static const Json file = read_json(golden("chat.json"));
  return file;
}

ExitCode code_of(const std::function<void()>& action, std::string* message = nullptr) {
  try {
    action();
  } catch (const Error& error) {
    if (message != nullptr) *message = std::string(error.what()) + " | " + error.hint();
    return error.code();
  }
  return ExitCode::kDone;
}

TEST(Chat, EveryWayToWriteChatMlRendersAsTransformersDoesAndHasTheSpansOfChatMl) {
  ASSERT_GT(golden_chat()["templates"].size(), 8U);
  for (const Json& entry : golden_chat()["templates"]) {
    SCOPED_TRACE(entry["name"].get<std::string>());
    const auto chat = choose_chat_template("auto", tokenizer_with(entry["template"].get<std::string>()));
    ASSERT_TRUE(chat.has_value());
    EXPECT_EQ(chat->source(), entry["template"].get<std::string>());
    EXPECT_EQ(chat->name(), "default (of the model)");
    for (const Json& rendered : entry["rendered"]) {
      const auto messages =
          messages_of(golden_chat()["conversations"][rendered["conversation"].get<std::size_t>()]);
      RenderOptions options;
      options.add_generation_prompt = rendered["prompt"].get<bool>();
      const RenderedChat found = chat->render(messages, options);
      EXPECT_EQ(found.text, rendered["text"].get<std::string>());
      for (const auto& span : found.assistant) {
        EXPECT_EQ(found.text.substr(span.bytes.begin, span.bytes.end - span.bytes.begin),
                  messages[span.message].content + "<|im_end|>");
        EXPECT_TRUE(std::string_view(found.text).substr(0, span.bytes.begin).ends_with("assistant\n"));
      }
      EXPECT_EQ(found.assistant.size(), std::ranges::count(messages, "assistant", &Message::role));
    }
  }
}

TEST(Chat, TheModelsOwnTemplateGivesTheIdsOfTransformers) {
  if (!std::filesystem::exists(smollm2_gguf()))
    GTEST_SKIP() << "no " << smollm2_gguf() << ": run scripts/fetch_base.sh";
  const Tokenizer tokenizer = load_tokenizer(smollm2_gguf());
  const auto chat = choose_chat_template("auto", tokenizer);
  ASSERT_TRUE(chat.has_value());
  std::size_t compared = 0;
  for (const Json& entry : golden_chat()["templates"]) {
    for (const Json& rendered : entry["rendered"]) {
      if (!rendered.contains("ids")) continue;
      const auto messages =
          messages_of(golden_chat()["conversations"][rendered["conversation"].get<std::size_t>()]);
      RenderOptions options;
      options.add_generation_prompt = rendered["prompt"].get<bool>();
      const Encoding encoding = tokenizer.encode(chat->render(messages, options).text, SpecialTokens::kNone);
      EXPECT_EQ(encoding.ids, rendered["ids"].get<std::vector<std::int32_t>>());
      ++compared;
    }
  }
  EXPECT_GT(compared, 20U);
}

TEST(Chat, SpansHoldContentAndEndOfTurnOnly) {
  const auto chat = choose_chat_template("chatml", tokenizer_with(std::nullopt));
  for (const Json& conversation : golden_chat()["conversations"]) {
    const auto messages = messages_of(conversation);
    const RenderedChat rendered = chat->render(messages, {.add_generation_prompt = true});
    std::size_t next = 0;
    for (std::size_t i = 0; i < messages.size(); ++i) {
      if (messages[i].role != "assistant") continue;
      ASSERT_LT(next, rendered.assistant.size());
      const auto& span = rendered.assistant[next++];
      EXPECT_EQ(span.message, i);
      EXPECT_EQ(rendered.text.substr(span.bytes.begin, span.bytes.end - span.bytes.begin),
                messages[i].content + "<|im_end|>");
      EXPECT_TRUE(
          std::string_view(rendered.text).substr(0, span.bytes.begin).ends_with("<|im_start|>assistant\n"));
      EXPECT_EQ(rendered.text[span.bytes.end], '\n');
    }
    EXPECT_EQ(next, rendered.assistant.size());
  }
}

TEST(Chat, OnlyTheModelsOwnTemplateHasADefaultSystemPrompt) {
  const Json& own = golden_chat()["templates"][1]["template"];
  const Tokenizer tokenizer = tokenizer_with(own.get<std::string>());
  const std::vector<Message> messages = {{.role = "user", .content = "Hi"}};
  EXPECT_TRUE(choose_chat_template("auto", tokenizer)
                  ->render(messages)
                  .text.starts_with("<|im_start|>system\nYou are a helpful AI assistant named SmolLM"));
  EXPECT_EQ(choose_chat_template("chatml", tokenizer)->render(messages).text,
            "<|im_start|>user\nHi<|im_end|>\n");
}

TEST(Chat, OurOwnSourceWritesWhatItSays) {
  const Tokenizer tokenizer = tokenizer_with(std::nullopt);
  const auto named = choose_chat_template("chatml", tokenizer);
  const auto again = choose_chat_template("auto", tokenizer_with(named->source()));
  const std::vector<Message> messages = {{.role = "user", .content = "Hi"}};
  EXPECT_EQ(named->render(messages).text, again->render(messages).text);
}

TEST(Chat, AModelWithoutATemplateHasNone) {
  EXPECT_FALSE(choose_chat_template("auto", tokenizer_with(std::nullopt)).has_value());
}

TEST(Chat, ATemplateComesFromTheModelByNameOrFromAFile) {
  auto pipeline = std::make_shared<Tokenizer::Pipeline>();
  const Json file = read_json(golden("gpt2/tokenizer.json"));
  read_tokenizer_json(JsonView(file, "tokenizer.json"), {}, *pipeline);
  pipeline->chat_templates = {{"default", "d{{ messages[0].content }}"},
                              {"tool_use", "t{{ tools | length }}"},
                              {"rag", "r{{ documents | length }}"}};
  const Tokenizer tokenizer(pipeline);
  const std::vector<Message> messages = {{.role = "user", .content = "Hi"}};
  const auto text = [&](const std::string& name, const RenderOptions& options) {
    return choose_chat_template(name, tokenizer)->render(messages, options).text;
  };
  EXPECT_EQ(text("auto", {}), "dHi");
  EXPECT_EQ(text("auto", {.tools = Json::parse("[{}, {}]")}), "t2");  // as in transformers
  EXPECT_EQ(text("default", {.tools = Json::parse("[{}]")}), "dHi");
  EXPECT_EQ(text("rag", {.documents = Json::parse("[{}, {}]")}), "r2");
  EXPECT_EQ(text("rag", {.variables = Json::parse(R"({"documents": [{}]})")}), "r1");
  EXPECT_EQ(choose_chat_template("rag", tokenizer)->name(), "rag (of the model)");

  const TemporaryFolder folder;
  write_file(folder / "mine.jinja", "{{ messages[0].content }}{{ eos_token }}!");
  const std::string path = (folder / "mine.jinja").string();
  EXPECT_EQ(text(path, {}), "Hi!");
  EXPECT_EQ(choose_chat_template(path, tokenizer)->name(), path);
  write_file(folder / "mine.jinja", "a\n{% if %}");
  std::string message;
  EXPECT_EQ(code_of([&] { choose_chat_template(path, tokenizer); }, &message), ExitCode::kBadInput);
  EXPECT_NE(message.find("mine.jinja:2:7: expected an expression"), std::string::npos) << message;
  EXPECT_EQ(code_of([&] { choose_chat_template((folder / "none.jinja").string(), tokenizer); }),
            ExitCode::kBadInput);
}

TEST(Chat, TheEndOfTurnIsTheSpecialTokenAfterAnAnswer) {
  const auto end_of = [](const std::string& source) {
    return choose_chat_template("auto", tokenizer_with(source))->end_of_turn();
  };
  EXPECT_EQ(end_of("{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>\n{% endfor %}"),
            "<|im_end|>");
  EXPECT_EQ(end_of("{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}"), "<|im_end|>");
  EXPECT_EQ(end_of("{% for m in messages %}{{ m.content }}</turn>{% endfor %}"), std::nullopt);
  EXPECT_EQ(end_of("{{ raise_exception('no') }}"), std::nullopt);
}

TEST(Chat, UnknownNamesAreUsageErrorsThatListTheKnownOnes) {
  for (const char* name : {"llama33", "ChatML", ""}) {
    std::string message;
    EXPECT_EQ(code_of([&] { choose_chat_template(name, tokenizer_with(std::nullopt)); }, &message),
              ExitCode::kUsage);
    EXPECT_NE(message.find("known: auto, chatml, llama3, gemma"), std::string::npos) << message;
  }
}

TEST(Chat, BadMessagesAreErrorsThatNameTheMessage) {
  const auto chat = choose_chat_template("chatml", tokenizer_with(std::nullopt));
  std::string message;
  const std::vector<Message> typo = {{.role = "user", .content = "a"}, {.role = "asistant", .content = "b"}};
  EXPECT_EQ(code_of([&] { chat->render(typo); }, &message), ExitCode::kBadInput);
  EXPECT_NE(message.find("message 2: unknown role `asistant`"), std::string::npos) << message;
  EXPECT_NE(message.find("did you mean `assistant`"), std::string::npos) << message;
  const std::vector<Message> listed = {{.role = "user",
                                        .content = "",
                                        .train = true,
                                        .fields = Json{{"role", "user"}, {"content", Json::array()}}}};
  EXPECT_EQ(code_of([&] { chat->render(listed); }, &message), ExitCode::kBadInput);
  EXPECT_NE(message.find("message 1 (user): content: got array, want a string"), std::string::npos)
      << message;
  EXPECT_EQ(code_of([&] { chat->render({}); }), ExitCode::kBadInput);
}

}  // namespace
}  // namespace graft
