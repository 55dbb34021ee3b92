#include "cli/talker.h"

#include <filesystem>
#include <utility>

#include "base/console.h"
#include "base/error.h"
#include "base/text.h"
#include "generate/generation_config.h"
#include "generate/stop_tokens.h"
#include "peft/adapter_set.h"

namespace graft {
namespace {

constexpr std::uint64_t kMaxTemplateBytes = std::uint64_t{1} << 20;

ComputeDType compute_type(const std::string& word) {
  if (word == "bf16") return ComputeDType::kBF16;
  check(word == "fp32" || word == "f32", ExitCode::kUsage, "--dtype: unknown (got ", printable(word),
        ", want bf16 | fp32)");
  return ComputeDType::kF32;
}

std::map<std::string, std::optional<ChatTemplate>> templates_for(const std::vector<AdapterArgument>& adapters,
                                                                 const std::string& name,
                                                                 const Tokenizer& tokenizer) {
  std::map<std::string, std::optional<ChatTemplate>> chats;
  chats.emplace(AdapterShelf::kNone, template_for("", name, tokenizer));
  for (const AdapterArgument& adapter : adapters)
    chats.emplace(adapter.name, template_for(adapter.path, name, tokenizer));
  return chats;
}

/// The program's own settings, the base's where they are asked for, then what the command line says.
SamplingOptions sampling_of(const TalkArguments& arguments) {
  SamplingOptions options;
  if (arguments.generation_config) options = read_generation_config(arguments.model).applied_to(options);
  options = arguments.sampling.applied_to(std::move(options));
  check_sampling(options);
  return options;
}

}  // namespace

std::optional<ChatTemplate> template_for(const std::string& adapter, const std::string& name,
                                         const Tokenizer& tokenizer) {
  const Path beside = Path(adapter) / "chat_template.jinja";
  const bool trained_with_another = name == "auto" && !adapter.empty() && std::filesystem::exists(beside) &&
                                    read_file(beside, kMaxTemplateBytes) != tokenizer.chat_template();
  if (trained_with_another) return choose_chat_template("auto", load_tokenizer(adapter));
  return choose_chat_template(name, tokenizer);
}

std::optional<ChatTemplate> trained_template(const Path& adapter, const Path& model) {
  if (!std::filesystem::exists(adapter / "chat_template.jinja")) return std::nullopt;
  const Tokenizer tokenizer = load_tokenizer(model);
  std::optional<ChatTemplate> chat = template_for(adapter.string(), "auto", tokenizer);
  return chat && chat->source() != tokenizer.chat_template() ? chat : std::nullopt;
}

void TalkArguments::declare(Arguments& parser) {
  parser.option("model", "M", model, "Hugging Face folder or .gguf file", Need::kRequired);
  adapters.declare(parser);
  parser.option("system", "S", system, "what the system turn says");
  parser.option("chat-template", "NAME", chat_template,
                "auto (the adapter's, else the model's own), one of the model's by name, chatml, llama3, "
                "gemma, phi3, qwen, mistral, mistral-tekken, or a .jinja file");
  parser.option("max-new-tokens", "N", sampling.max_new_tokens, "longest answer (256)");
  parser.option("temperature", "T", sampling.temperature, "0: always the likeliest token (0.2)");
  parser.option("top-k", "K", sampling.top_k, "choose among the K likeliest; 0: all (0)");
  parser.option("top-p", "P", sampling.top_p, "choose among the likeliest that together reach P (0.9)");
  parser.option("min-p", "P", sampling.min_p,
                "choose among those at least P times as likely as the likeliest (0)");
  parser.option("repetition-penalty", "R", sampling.repetition_penalty, "above 1: less repetition (1.1)");
  parser.option("seed", "S", sampling.seed, "of the draws (42)");
  parser.option("stop", "TEXT", sampling.stop, "end the answer before this text; may be given several times");
  parser.flag("generation-config", generation_config,
              "sample as the base's generation_config.json says; what is said here still wins");
  parser.option("dtype", "bf16|fp32", dtype, "compute type (bf16)");
  parser.flag("json", json, "one JSON document per answer instead of streamed text");
}

Wording::Wording(const TalkArguments& arguments)
    : adapters(arguments.adapters.list()),
      sampling(sampling_of(arguments)),
      config(load_config(arguments.model)),
      tokenizer(load_tokenizer(arguments.model)),
      chats(templates_for(adapters, arguments.chat_template, tokenizer)) {}

std::vector<std::string> Wording::names() const {
  std::vector<std::string> names = {AdapterShelf::kNone};
  for (const AdapterArgument& adapter : adapters)
    if (adapter.name != AdapterShelf::kNone) names.push_back(adapter.name);
  return names;
}

Request Wording::answer_to(std::span<const Message> messages, const RenderOptions& inputs,
                           const SamplingOptions& how, const std::string& adapter) const {
  const std::optional<ChatTemplate>& own = chat(adapter);
  check(own.has_value(), ExitCode::kUsage, "the base has no chat template",
        Hint{"name one (--chat-template chatml), or use generate --raw"});
  return {.prompt = chat_prompt(tokenizer, *own, messages, inputs),
          .sampling = how,
          .stop_ids = stop_tokens(config, tokenizer, own, how.stop)};
}

Request Wording::going_on_from(const std::string& text, const SamplingOptions& how) const {
  return {.prompt = tokenizer.encode(text, SpecialTokens::kAdd).ids,
          .sampling = how,
          .stop_ids = stop_tokens(config, tokenizer, std::nullopt, how.stop)};
}

AdapterShelf load_talking(const TalkArguments& arguments) {
  const std::vector<AdapterArgument> adapters = arguments.adapters.list();
  return load_shelf(load_model({.path = arguments.model, .dtype = compute_type(arguments.dtype)}), adapters);
}

Talker::Talker(const TalkArguments& arguments) : wording_(arguments), shelf_(load_talking(arguments)) {
  use(wording_.adapters.front().name);
}

void Talker::use(const std::string& adapter) {
  if (generator_ && adapter == adapter_) return;
  generator_.emplace(shelf_.with(adapter));
  adapter_ = adapter;
}

bool Talker::fits(const std::vector<Message>& messages) const {
  if (!has_template()) return true;
  const Request request = wording_.answer_to(messages, {}, wording_.sampling, adapter_);
  return std::ssize(request.prompt) < wording_.config.max_position_embeddings;
}

Answer Talker::answer(const std::vector<Message>& messages, const OnText& on_text) {
  return write_answer(*generator_, wording_.tokenizer,
                      wording_.answer_to(messages, {}, wording_.sampling, adapter_), on_text);
}

Answer Talker::go_on(const std::string& text, const OnText& on_text) {
  return write_answer(*generator_, wording_.tokenizer, wording_.going_on_from(text, wording_.sampling),
                      on_text);
}

Json Talker::json_of(const Answer& answer) const {
  Json json = Json::object();
  if (wording_.adapters.size() > 1) json["adapter"] = adapter_;
  json.update({{"text", answer.text}, {"tokens", answer.tokens}, {"stop", stop_name(answer.reason)}});
  return json;
}

void say_if_cut(const Answer& answer) {
  if (answer.reason == StopReason::kLength) say("(cut after --max-new-tokens)");
  if (answer.reason == StopReason::kContext) say("(cut: the model can read no more tokens)");
}

std::string stop_name(StopReason reason) {
  switch (reason) {
    case StopReason::kStopToken:
      return "stop_token";
    case StopReason::kStopString:
      return "stop_string";
    case StopReason::kLength:
      return "length";
    case StopReason::kContext:
      return "context";
    case StopReason::kCaller:
      return "interrupted";
  }
  return "";
}

}  // namespace graft
