#include <gtest/gtest.h>

#include <map>

#include "base/date.h"
#include "base/error.h"
#include "base/sha256.h"
#include "temporary_folder.h"
#include "text/chat_engine.h"
#include "text/golden.h"
#include "text/golden_time.h"
#include "text/jinja/template.h"
#include "text/pipeline.h"
#include "text/tokenizer_json.h"

namespace graft {
namespace {

Path folder() { return Path(GRAFT_SOURCE_DIR) / "tests/golden/chat_templates"; }

const Json& file() {
  static const Json json = read_json(folder() / "golden.json");
  return json;
}

std::string source_of(const std::string& name) { return read_file(folder() / (name + ".jinja"), 1 << 20); }

Tokenizer tokenizer_with_specials() {
  auto pipeline = std::make_shared<Tokenizer::Pipeline>();
  const Json tokenizer = read_json(golden("gpt2/tokenizer.json"));
  read_tokenizer_json(JsonView(tokenizer, "tokenizer.json"), {}, *pipeline);
  for (const auto& [role, token] : file()["special"].items())
    pipeline->special_tokens.emplace_back(role, token.get<std::string>());
  return Tokenizer(pipeline);
}

std::shared_ptr<const ChatTemplate::Engine> engine_of(const std::string& name) {
  return make_jinja_engine({name, source_of(name), std::nullopt}, tokenizer_with_specials(), golden_time());
}

std::vector<Message> messages_of(const Json& conversation) {
  std::vector<Message> messages;
  for (const Json& message : conversation["messages"]) {
    const bool text = message.contains("content") && message["content"].is_string();
    messages.push_back({.role = message["role"].get<std::string>(),
                        .content = text ? message["content"].get<std::string>() : "",
                        .train = true,
                        .fields = message});
  }
  return messages;
}

RenderOptions options_of(const Json& conversation, bool prompt, AssistantSpans spans) {
  RenderOptions options;
  options.add_generation_prompt = prompt;
  options.spans = spans;
  options.tools = conversation.value("tools", Json());
  options.documents = conversation.value("documents", Json());
  options.variables = conversation.value("kwargs", Json());
  return options;
}

// Content in parts goes to templates that do not know of parts as one text, unlike in transformers.
bool has_parts(const Json& conversation) { return conversation["messages"][0]["content"].is_array(); }

// A case is null (raises), a digest, or [digest, begin, end, begin, end …] with the bytes of generation
// blocks.
std::string digest_of(const Json& entry) {
  return entry.is_array() ? entry[0].get<std::string>() : entry.get<std::string>();
}

TEST(ChatTemplates, RealTemplatesRenderAsTransformersDoesOrRaiseAlike) {
  std::size_t equal = 0, raised = 0;
  for (const auto& [name, cases] : file()["templates"].items()) {
    SCOPED_TRACE(name);
    const auto engine = engine_of(name);
    std::size_t next = 0;
    for (const Json& conversation : file()["conversations"]) {
      for (const bool prompt : {false, true}) {
        const Json& expected = cases[next++];
        if (has_parts(conversation)) continue;
        SCOPED_TRACE(next - 1);
        try {
          const std::string text =
              engine
                  ->render(messages_of(conversation), options_of(conversation, prompt, AssistantSpans::kNone))
                  .text;
          ASSERT_FALSE(expected.is_null()) << text;
          EXPECT_EQ(sha256_hex(std::as_bytes(std::span(text))).substr(0, 16), digest_of(expected)) << text;
          ++equal;
        } catch (const Error& error) {
          EXPECT_TRUE(expected.is_null()) << error.what();
          ++raised;
        }
      }
    }
  }
  EXPECT_GE(file()["templates"].size(), 60U);
  EXPECT_GT(equal, 2000U);
  EXPECT_GT(raised, 100U);
}

// Built-in templates and the models' own that they stand for.
const std::vector<std::pair<std::string, std::string>> kStandFor = {
    {"llama3", "trl/llama3"},
    {"gemma", "trl/gemma"},
    {"phi3", "trl/phi3"},
    {"qwen", "trl/qwen2_5"},
    {"mistral-tekken", "llama.cpp/mistralai-Mistral-Nemo-Instruct-2407"}};

TEST(ChatTemplates, NamedOnesWriteWhatTheModelsOwnWrite) {
  const Tokenizer tokenizer = tokenizer_with_specials();
  for (const auto& [name, own] : kStandFor) {
    SCOPED_TRACE(name);
    const ChatTemplate named = choose_chat_template(name, tokenizer).value();
    EXPECT_EQ(named.name(), name);
    std::size_t next = 0, equal = 0;
    for (const Json& conversation : file()["conversations"]) {
      for (const bool prompt : {false, true}) {
        const Json& expected = file()["templates"][own][next++];
        if (has_parts(conversation)) continue;
        SCOPED_TRACE(next - 1);
        try {
          const std::string text =
              named.render(messages_of(conversation), options_of(conversation, prompt, AssistantSpans::kNone))
                  .text;
          ASSERT_FALSE(expected.is_null()) << text;
          EXPECT_EQ(sha256_hex(std::as_bytes(std::span(text))).substr(0, 16), digest_of(expected)) << text;
          ++equal;
        } catch (const Error& error) {
          EXPECT_TRUE(expected.is_null()) << error.what();
        }
      }
    }
    EXPECT_GT(equal, 10U);
  }
}

TEST(ChatTemplates, NamedOnesSayWhatTheAssistantWrote) {
  const Tokenizer tokenizer = tokenizer_with_specials();
  const std::vector<Message> messages = {{.role = "user", .content = "Hi"},
                                         {.role = "assistant", .content = "Hello."},
                                         {.role = "user", .content = "More"},
                                         {.role = "assistant", .content = "Yes."}};
  const std::map<std::string, std::string> ends = {{"llama3", "<|eot_id|>"},   {"gemma", "<end_of_turn>"},
                                                   {"phi3", "<|end|>"},        {"qwen", "<|im_end|>"},
                                                   {"mistral-tekken", "</s>"}, {"mistral", "</s>"}};
  for (const auto& [name, end] : ends) {
    SCOPED_TRACE(name);
    const RenderedChat chat = choose_chat_template(name, tokenizer)->render(messages);
    ASSERT_EQ(chat.assistant.size(), 2U) << chat.text;
    const auto written = [&](std::size_t i) {
      const ByteSpan span = chat.assistant[i].bytes;
      return chat.text.substr(span.begin, span.end - span.begin);
    };
    const std::string space = name == "mistral" ? " " : "";
    EXPECT_EQ(written(0), space + "Hello." + end) << chat.text;
    EXPECT_EQ(written(1).substr(0, space.size() + 4 + end.size()), space + "Yes." + end) << chat.text;
  }
}

TEST(ChatTemplates, MistralPutsSpacesWhereSentencepieceModelsHaveThem) {
  const std::vector<Message> messages = {{.role = "system", .content = "S"},
                                         {.role = "user", .content = "Hi"},
                                         {.role = "assistant", .content = "Hello."},
                                         {.role = "user", .content = "More"}};
  EXPECT_EQ(choose_chat_template("mistral", tokenizer_with_specials())->render(messages).text,
            "<s>[INST] Hi[/INST] Hello.</s>[INST] S\n\nMore[/INST]");
}

TEST(ChatTemplates, ADateIsTheOneGiven) {
  const auto day = [](const std::tm& now) {
    const TemporaryFolder folder;
    write_file(folder / "day.jinja", "{{ strftime_now('%d %b %Y, %A') }}");
    const Tokenizer tokenizer = tokenizer_with_specials();
    const Message message{.role = "user", .content = "x"};
    return choose_chat_template((folder / "day.jinja").string(), tokenizer, now)->render({&message, 1}).text;
  };
  EXPECT_EQ(day(parse_date("2026-03-09").value()), "09 Mar 2026, Monday");
  EXPECT_EQ(day(parse_date("2024-02-29").value()), "29 Feb 2024, Thursday");
}

TEST(ChatTemplates, MarkedSpansAreThoseOfTransformers) {
  std::size_t compared = 0;
  for (const auto& [name, cases] : file()["templates"].items()) {
    SCOPED_TRACE(name);
    const auto engine = engine_of(name);
    std::size_t next = 0;
    for (const Json& conversation : file()["conversations"]) {
      const Json& expected = cases[next];
      next += 2;
      if (has_parts(conversation) || !expected.is_array()) continue;
      const RenderedChat chat =
          engine->render(messages_of(conversation), options_of(conversation, false, AssistantSpans::kFind));
      Json bytes = Json::array({expected[0]});
      for (const auto& span : chat.assistant) {
        bytes.push_back(span.bytes.begin);
        bytes.push_back(span.bytes.end);
        EXPECT_EQ(conversation["messages"][span.message]["role"], "assistant");
      }
      EXPECT_EQ(bytes, expected) << chat.text;
      ++compared;
    }
  }
  EXPECT_GT(compared, 150U);
}

std::vector<std::string> spans_of(const std::string& name, std::size_t conversation) {
  const Json& chosen = file()["conversations"][conversation];
  const RenderedChat chat =
      engine_of(name)->render(messages_of(chosen), options_of(chosen, false, AssistantSpans::kFind));
  std::vector<std::string> texts;
  for (const auto& span : chat.assistant)
    texts.push_back(chat.text.substr(span.bytes.begin, span.bytes.end - span.bytes.begin));
  return texts;
}

using Texts = std::vector<std::string>;

// By hand: what an assistant of each family wrote in "one", "two", "three", "four\n\nfive ", "six", "seven".
TEST(ChatTemplates, SpansOfUnmarkedTemplatesHoldTheAnswerAndTheEndOfTurn) {
  struct Expected {
    const char* name;
    std::string end, last_end;
    bool trims = false;
  };
  const std::vector<Expected> expected = {
      {"trl/qwen2_5", "<|im_end|>", "<|im_end|>"},
      {"trl/qwen3_instruct_2507", "<|im_end|>", "<|im_end|>"},
      {"trl/llama3", "<|eot_id|>", "<|eot_id|>", true},
      {"trl/llama3_1", "<|eot_id|>", "<|eot_id|>", true},
      {"trl/llama3_2", "<|eot_id|>", "<|eot_id|>", true},
      {"trl/gemma", "<end_of_turn>", "<end_of_turn>", true},
      {"trl/gemma3", "<end_of_turn>", "<end_of_turn>", true},
      {"trl/phi3", "<|end|>", "<|end|>\n</s>"},
      {"trl/phi3_5", "<|end|>", "<|end|>\n</s>"},
      {"trl/cohere", "<|END_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", true},
      {"trl/deepseekv3", "<｜end▁of▁sentence｜>", "<｜end▁of▁sentence｜>"},
      {"trl/deepseek_r1_distill", "<｜end▁of▁sentence｜>", "<｜end▁of▁sentence｜>"},
      {"llama.cpp/mistralai-Mistral-Nemo-Instruct-2407", "</s>", "</s>"},
      {"llama.cpp/Mistral-Small-3.2-24B-Instruct-2506", "</s>", "</s>"},
      {"llama.cpp/HuggingFaceTB-SmolLM3-3B", "<|im_end|>", "<|im_end|>"},
      {"llama.cpp/ibm-granite-granite-3.3-2B-Instruct", "<|end_of_text|>", "<|end_of_text|>"},
      {"llama.cpp/ByteDance-Seed-OSS", "<seed:eos>", "<seed:eos>", true},
      {"llama.cpp/Kimi-K2-Instruct", "<|im_end|>", "<|im_end|>"},
      {"llama.cpp/Apertus-8B-Instruct", "", ""},
  };
  for (const Expected& family : expected) {
    const std::string second = family.trims ? "four\n\nfive" : "four\n\nfive ";
    EXPECT_EQ(spans_of(family.name, 3),
              (Texts{"two" + family.end, second + family.end, "seven" + family.last_end}))
        << family.name;
  }
}

TEST(ChatTemplates, SpansOfThinkingAndToolCallsHoldWhatTheModelMustWrite) {
  // Turns that are over lose their thoughts; the last keeps them.
  EXPECT_EQ(spans_of("trl/qwen3", 10), (Texts{"2<|im_end|>", "<think>\nEasy.\n</think>\n\n4<|im_end|>"}));
  EXPECT_EQ(spans_of("trl/qwen3", 3)[2], "<think>\n\n</think>\n\nseven<|im_end|>");
  // What the generation prompt opens is not the model's.
  EXPECT_EQ(spans_of("trl/qwen3_5_think", 10)[1], "Easy.\n</think>\n\n4<|im_end|>");
  EXPECT_EQ(
      spans_of("trl/qwen2_5", 8),
      (Texts{"<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"北京\", \"days\": 2, "
             "\"exact\": true, \"none\": null, \"share\": 0.5}}\n</tool_call><|im_end|>",
             "21.5 °C, 晴。<|im_end|>"}));
  EXPECT_EQ(
      spans_of("llama.cpp/Mistral-Small-3.2-24B-Instruct-2506", 8)[0],
      "[TOOL_CALLS]get_weather[CALL_ID]abcdef123[ARGS]{\"city\": \"北京\", \"days\": 2, \"exact\": true, "
      "\"none\": null, \"share\": 0.5}</s>");
  // A system prompt that moves to the last question changes what stands before the first answer.
  EXPECT_EQ(spans_of("llama.cpp/mistralai-Mistral-Nemo-Instruct-2407", 4),
            (Texts{"吃饺子吧。\n🥟</s>", "再见 👋🏽</s>"}));
}

std::string refusal(const std::string& source, const std::vector<Message>& messages) {
  auto pipeline = std::make_shared<Tokenizer::Pipeline>();
  const Json tokenizer = read_json(golden("gpt2/tokenizer.json"));
  read_tokenizer_json(JsonView(tokenizer, "tokenizer.json"), {}, *pipeline);
  try {
    make_jinja_engine({"test", source, std::nullopt}, Tokenizer(pipeline), golden_time())
        ->render(messages, {});
  } catch (const Error& error) {
    return error.what();
  }
  return "found";
}

TEST(ChatTemplates, SpansThatCannotBeToldAreRefusedWithTheReason) {
  const std::vector<Message> talk = {{.role = "user", .content = "a"},
                                     {.role = "assistant", .content = "b"},
                                     {.role = "user", .content = "c"},
                                     {.role = "assistant", .content = "d"}};
  const std::string loop = "{% for m in messages %}<{{ m.role }}>";
  const std::string prompt = "{% if add_generation_prompt %}<assistant>{% endif %}";
  EXPECT_EQ(refusal(loop + "{{ m.content }}</s>{% endfor %}" + prompt, talk), "found");
  EXPECT_NE(
      refusal(loop + "{{ m.content if m.role == 'user' }}{% endfor %}" + prompt, talk)
          .find("message 2 (assistant): what it wrote cannot be told from the rendered text: the template "
                "leaves it out"),
      std::string::npos);
  // Said twice: at the top, too.
  EXPECT_NE(refusal("{{ messages[1].content }}" + loop + "{{ m.content }}{% endfor %}" + prompt, talk)
                .find("message 2 (assistant)"),
            std::string::npos);
  EXPECT_NE(refusal("{{ messages | map(attribute='content') | sort | join(' ') }}" + prompt, talk)
                .find("message 2 (assistant)"),
            std::string::npos);
}

// A template that wants parts gets them; any other gets their text.
TEST(ChatTemplates, PartsOfContentReachTemplatesThatKnowThem) {
  const std::vector<Message> parts = {
      {.role = "user",
       .content = "",
       .train = true,
       .fields = Json::parse(
           R"({"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]})")}};
  const RenderOptions options{.spans = AssistantSpans::kNone};
  EXPECT_EQ(engine_of("trl/llama3")->render(parts, options).text,
            "<s><|start_header_id|>user<|end_header_id|>\n\nab<|eot_id|>");
  EXPECT_NE(engine_of("trl/smolvlm")->render(parts, options).text.find("ab"), std::string::npos);
  std::vector<Message> image = parts;
  image[0].fields["content"].push_back(Json{{"type", "image"}});
  EXPECT_THROW(engine_of("trl/llama3")->render(image, options), Error);
}

TEST(ChatTemplates, VariablesOfTheRowReachTheTemplateButDoNotReplaceItsOwn) {
  const std::vector<Message> question = {{.role = "user", .content = "q"}};
  RenderOptions options{.add_generation_prompt = true, .spans = AssistantSpans::kNone};
  const auto engine = engine_of("trl/qwen3");
  EXPECT_TRUE(engine->render(question, options).text.ends_with("<|im_start|>assistant\n"));
  options.variables = Json{{"enable_thinking", false}};
  EXPECT_TRUE(engine->render(question, options).text.ends_with("<think>\n\n</think>\n\n"));
  options.variables = Json{{"messages", Json::array()}};
  EXPECT_THROW(engine->render(question, options), Error);
}

}  // namespace
}  // namespace graft
