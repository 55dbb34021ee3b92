#include <optional>

#include "base/error.h"
#include "base/text.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "text/chat.h"
#include "text/tokenizer.h"

namespace graft {
namespace {

/// The longest text that is encoded at once.
constexpr std::uint64_t kMaxTextBytes = std::uint64_t{256} << 20;

struct TokenizeArguments {
  std::string model, file, chat_template = "auto";
  std::optional<std::string> text;
  bool chat = false, json = false;
};

std::optional<TokenizeArguments> parse(const std::vector<std::string>& words) {
  TokenizeArguments arguments;
  Arguments parser(
      {.verb = "tokenize",
       .synopsis = "--model M (--text S | FILE) [--chat]",
       .about =
           "Prints the ids, tokens and byte offsets of a text as one JSON document. A file is one text, its "
           "final line break included; BOS is added as the tokenizer itself adds it. With --chat the file is "
           "{\"messages\": […]} (also tools, documents, add_generation_prompt, chat_template_kwargs), and "
           "only "
           "the template adds BOS; the rendered text that the offsets refer to is printed too.",
       .example = "graft tokenize --model models/SmolLM2-135M-Instruct --text 'Hello, world'"});
  parser.option("model", "M", arguments.model, "Hugging Face folder or .gguf file", Need::kRequired);
  parser.option("text", "S", arguments.text, "the text itself");
  parser.flag("chat", arguments.chat, "FILE is a conversation");
  parser.option("chat-template", "NAME", arguments.chat_template,
                "auto (the model's own), one of the model's by name, chatml, llama3, gemma, phi3, qwen, "
                "mistral, mistral-tekken, or a .jinja file");
  parser.flag("json", arguments.json, "accepted for symmetry: the result is JSON anyway");
  parser.operand("FILE", arguments.file, Need::kOptional);
  if (!parser.parse(words)) return std::nullopt;
  check(arguments.text.has_value() == arguments.file.empty(), ExitCode::kUsage,
        "tokenize: want either --text S or FILE");
  check(!arguments.chat || !arguments.text, ExitCode::kUsage, "tokenize: --chat reads a FILE, not --text");
  return arguments;
}

/// One turn; what graft does not know of it reaches the template unchanged.
Message read_message(const JsonView& turn) {
  const auto content = turn.find("content");
  return {.role = turn.at("role").as_string(),
          .content = content && content->is_string() ? content->as_string() : "",
          .train = true,
          .fields = turn.json()};
}

std::string render(const TokenizeArguments& arguments, const Tokenizer& tokenizer) {
  const Json document = read_json(arguments.file);
  const JsonView chat(document, arguments.file);
  std::vector<Message> messages;
  chat.at("messages").each_element([&](const JsonView& turn) { messages.push_back(read_message(turn)); });
  RenderOptions options;
  options.spans = AssistantSpans::kNone;
  if (const auto tools = chat.find("tools")) options.tools = tools->json();
  if (const auto documents = chat.find("documents")) options.documents = documents->json();
  if (const auto variables = chat.find("chat_template_kwargs")) options.variables = variables->json();
  if (const auto prompt = chat.find("add_generation_prompt"))
    options.add_generation_prompt = prompt->as_bool();
  const auto chat_template = choose_chat_template(arguments.chat_template, tokenizer);
  check(chat_template.has_value(), arguments.model, ": has no chat template",
        Hint{"name one: --chat-template chatml"});
  return chat_template->render(messages, options).text;
}

Json encoding_json(const Encoding& encoding, const Tokenizer& tokenizer) {
  Json tokens = Json::array(), offsets = Json::array();
  for (const std::int32_t id : encoding.ids) tokens.push_back(tokenizer.token(id));
  for (const ByteSpan& span : encoding.offsets) offsets.push_back({span.begin, span.end});
  return {{"ids", encoding.ids}, {"tokens", std::move(tokens)}, {"offsets", std::move(offsets)}};
}

}  // namespace

ExitCode run_tokenize(const std::vector<std::string>& words) {
  const std::optional<TokenizeArguments> arguments = parse(words);
  if (!arguments) return ExitCode::kDone;
  const Tokenizer tokenizer = load_tokenizer(arguments->model);
  if (arguments->chat) {
    const std::string text = render(*arguments, tokenizer);
    Json result = encoding_json(tokenizer.encode(text, SpecialTokens::kNone), tokenizer);
    result["text"] = text;
    print_json(result);
    return ExitCode::kDone;
  }
  const std::string text = arguments->text ? *arguments->text : read_file(arguments->file, kMaxTextBytes);
  const std::string source = arguments->text ? "--text" : arguments->file;
  const auto invalid = find_invalid_utf8(text);
  check(!invalid, source, " @", invalid.value_or(0), ": not valid UTF-8");
  print_json(encoding_json(tokenizer.encode(text, SpecialTokens::kAdd), tokenizer));
  return ExitCode::kDone;
}

}  // namespace graft
