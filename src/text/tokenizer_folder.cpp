#include <charconv>
#include <filesystem>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "text/pipeline.h"
#include "text/tokenizer_json.h"

namespace graft {
namespace {

constexpr std::uint64_t kMaxTemplateBytes = 1 << 20;

Json read_optional(const Path& path) {
  return std::filesystem::exists(path) ? read_json(path) : Json::object();
}

// A named token: a string, or an object with "content".
std::optional<std::string> read_token_name(const JsonView& view) {
  if (view.is_string()) return view.as_string();
  return view.at("content").as_string();
}

// tokenizer_config.json, and special_tokens_map.json, which older folders have beside it. As in transformers
// the map counts only where the config lists no added_tokens_decoder, and then before the config.
class Settings {
 public:
  explicit Settings(const Path& folder)
      : config_file_((folder / "tokenizer_config.json").string()),
        map_file_((folder / "special_tokens_map.json").string()),
        config_json_(read_optional(config_file_)),
        map_json_(config_json_.is_object() && config_json_.contains("added_tokens_decoder")
                      ? Json::object()
                      : read_optional(map_file_)) {}

  JsonView config() const { return {config_json_, config_file_}; }

  std::optional<JsonView> find(std::string_view key) const {
    const auto mapped = JsonView(map_json_, map_file_).find(key);
    return mapped ? mapped : config().find(key);
  }

  bool flag(std::string_view key) const {
    const auto member = config().find(key);
    return member && member->as_bool();
  }

 private:
  std::string config_file_, map_file_;
  Json config_json_, map_json_;
};

// The id of a token that the settings name. As in transformers it becomes a special token if it was a plain
// one.
std::optional<std::int32_t> named_token(const Settings& settings, std::string_view key,
                                        Tokenizer::Pipeline& pipeline) {
  const auto view = settings.find(key);
  const auto name = view ? read_token_name(*view) : std::nullopt;
  if (!name) return std::nullopt;
  const auto id = pipeline.vocabulary.find(*name);
  check(id.has_value(), view->where(), ": `", printable(*name),
        "` is not in the vocabulary of tokenizer.json");
  if (pipeline.vocabulary.kind(*id) == TokenKind::kWord)
    pipeline.add_token({.content = *name, .id = *id, .special = true}, view->where());
  return id;
}

// Tokens as older folders list them in tokenizer_config.json, by id.
std::vector<PlacedToken> read_config_tokens(const JsonView& config) {
  std::vector<PlacedToken> tokens;
  const auto view = config.find("added_tokens_decoder");
  if (!view) return tokens;
  view->each_member([&](const std::string& key, const JsonView& entry) {
    std::int32_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    check(error == std::errc() && end == key.data() + key.size() && id >= 0 && id <= kMaxTokenId,
          entry.where(), ": the key is no token id");
    tokens.push_back({read_added_token(entry, id), entry.where()});
  });
  return tokens;
}

std::optional<std::string> read_chat_template(const Path& folder, const Settings& settings) {
  const Path file = folder / "chat_template.jinja";
  if (std::filesystem::exists(file)) return read_file(file, kMaxTemplateBytes);
  const auto view = settings.config().find("chat_template");
  if (!view) return std::nullopt;
  if (view->is_string()) return view->as_string();
  std::optional<std::string> found;  // several named templates: a list of {name, template}
  view->each_element([&](const JsonView& entry) {
    if (entry.at("name").as_string() == "default") found = entry.at("template").as_string();
  });
  return found;
}

void check_tokenizer_file(const Path& folder) {
  if (std::filesystem::exists(folder / "tokenizer.json")) return;
  check(!std::filesystem::exists(folder / "tokenizer.model"), (folder / "tokenizer.model").string(),
        ": sentencepiece tokenizers are not supported yet", Hint{"use a base that has a tokenizer.json"});
  check(!std::filesystem::exists(folder / "vocab.json"), folder.string(),
        ": has vocab.json but no tokenizer.json",
        Hint{"write one with transformers: AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"});
  fail(folder.string(), ": has no tokenizer.json");
}

}  // namespace

std::shared_ptr<const Tokenizer::Pipeline> load_tokenizer_folder(const Path& folder) {
  check_tokenizer_file(folder);
  const Path file = folder / "tokenizer.json";
  const Json json = read_json(file);
  auto pipeline = std::make_shared<Tokenizer::Pipeline>();
  const Settings settings(folder);
  read_tokenizer_json(JsonView(json, file.string()), read_config_tokens(settings.config()), *pipeline);
  pipeline->bos = named_token(settings, "bos_token", *pipeline);
  pipeline->eos = named_token(settings, "eos_token", *pipeline);
  pipeline->pad = named_token(settings, "pad_token", *pipeline);
  named_token(settings, "unk_token", *pipeline);
  add_surrounding(*pipeline, settings.flag("add_bos_token") ? pipeline->bos : std::nullopt,
                  settings.flag("add_eos_token") ? pipeline->eos : std::nullopt);
  pipeline->chat_template = read_chat_template(folder, settings);
  return pipeline;
}

}  // namespace graft
