#include "export/modelfile.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "model/config.h"
#include "store/gguf.h"

namespace graft {
namespace {

/// A named chat template (chat_named.h) as Ollama's Go template writes it.
struct GoTemplate {
  const char* name;
  const char* text;
};
constexpr std::array kGoTemplates = {
    GoTemplate{"chatml",
               "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}"
               "<|im_start|>assistant\n"},
    GoTemplate{
        "llama3",
        "{{- range .Messages }}<|start_header_id|>{{ .Role }}<|end_header_id|>\n\n{{ .Content }}<|eot_id|>"
        "{{ end }}<|start_header_id|>assistant<|end_header_id|>\n\n"},
    GoTemplate{
        "gemma",
        "{{- range .Messages }}<start_of_turn>{{ if eq .Role \"assistant\" }}model{{ else }}user{{ end }}\n"
        "{{ .Content }}<end_of_turn>\n{{ end }}<start_of_turn>model\n"},
    GoTemplate{"phi3",
               "{{- range .Messages }}<|{{ .Role }}|>\n{{ .Content }}<|end|>\n{{ end }}<|assistant|>\n"},
};

std::string rendered(const ChatTemplate& chat, const std::optional<std::string>& system) {
  std::vector<Message> messages;
  if (system) messages.push_back({.role = "system", .content = *system});
  messages.push_back({.role = "user", .content = "How?"});
  messages.push_back({.role = "assistant", .content = "So."});
  messages.push_back({.role = "user", .content = "Why?"});
  return chat.render(messages, {.add_generation_prompt = true, .spans = AssistantSpans::kNone}).text;
}

/// What stands before the first turn of `own` as the system text of `named`: empty where nothing does,
/// nothing where the two write another conversation. A BOS alone is the tokenizer's to add.
std::optional<std::string> default_system(const ChatTemplate& own, const ChatTemplate& named,
                                          const std::string& bos) {
  const std::string mark = "\x01";
  std::string want = rendered(own, std::nullopt), turns = rendered(named, std::nullopt);
  for (std::string* text : {&want, &turns})
    if (!bos.empty() && text->starts_with(bos)) text->erase(0, bos.size());
  if (want == turns) return "";
  std::string framed = rendered(named, mark);
  if (!bos.empty() && framed.starts_with(bos)) framed.erase(0, bos.size());
  const std::size_t at = framed.find(mark);
  if (at == std::string::npos) return std::nullopt;
  const std::string before = framed.substr(0, at), after = framed.substr(at + mark.size());
  const bool fits =
      want.size() >= before.size() + after.size() && want.starts_with(before) && want.ends_with(after);
  if (!fits) return std::nullopt;
  return want.substr(before.size(), want.size() - before.size() - after.size());
}

/// TEMPLATE and SYSTEM, or nothing.
std::string template_lines(const Tokenizer& tokenizer, const std::optional<ChatTemplate>& own) {
  if (!own) return "";
  const std::string bos = tokenizer.bos() ? tokenizer.token(*tokenizer.bos()) : "";
  for (const GoTemplate& entry : kGoTemplates) {
    try {
      const auto named = choose_chat_template(entry.name, tokenizer);
      const auto system = default_system(*own, *named, bos);
      if (!system) continue;
      const std::string quote = "\"\"\"";
      std::string lines = "TEMPLATE " + quote + entry.text + quote + "\n";
      if (!system->empty()) lines += "SYSTEM " + quote + *system + quote + "\n";
      return lines;
    } catch (const Error&) {
      continue;  // a template that refuses this conversation, or names tokens that the vocabulary has not
    }
  }
  return "";
}

/// The ids of the ends of an answer that the model names.
std::vector<std::int64_t> end_ids(const Path& model) {
  std::vector<std::int64_t> ids;
  if (std::filesystem::is_directory(model)) {
    for (const std::int32_t id : load_config(model).eos_token_ids) ids.push_back(id);
    return ids;
  }
  const GgufFile file(model);
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"})
    if (file.has(key)) ids.push_back(file.integer(key));
  return ids;
}

/// Those ends and the template's as texts, each once.
std::vector<std::string> ends_of(const Path& model, const Tokenizer& tokenizer,
                                 const std::optional<ChatTemplate>& chat) {
  std::vector<std::string> ends;
  const auto add = [&](const std::string& end) {
    if (std::ranges::find(ends, end) == ends.end()) ends.push_back(end);
  };
  for (const std::int64_t id : end_ids(model))
    if (id >= 0 && id < tokenizer.vocab_size()) add(tokenizer.token(static_cast<std::int32_t>(id)));
  if (chat && chat->end_of_turn()) add(*chat->end_of_turn());
  return ends;
}

}  // namespace

void write_modelfile(const Modelfile& modelfile, const Path& out) {
  const Tokenizer tokenizer = load_tokenizer(modelfile.model);
  const auto chat = modelfile.chat ? modelfile.chat : choose_chat_template("auto", tokenizer);
  std::string text = "FROM " + modelfile.from + "\n";
  if (!modelfile.adapter.empty()) text += "ADAPTER " + modelfile.adapter + "\n";
  text += template_lines(tokenizer, chat);
  for (const std::string& end : ends_of(modelfile.model, tokenizer, chat))
    text += "PARAMETER stop " + to_text(Json(end)) + "\n";
  write_file(out, text);
}

}  // namespace graft
