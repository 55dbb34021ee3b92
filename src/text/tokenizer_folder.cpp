#include <algorithm>
#include <charconv>
#include <filesystem>
#include <span>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "text/pipeline.h"
#include "text/tokenizer_json.h"

namespace graft {
namespace {

constexpr std::uint64_t kMaxTemplateBytes = 1 << 20;
constexpr std::uint64_t kMaxModelBytes = 64 << 20;

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

  bool flag(std::string_view key, bool otherwise) const { return flag_of(config(), key, otherwise); }

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
  check(id.has_value(), view->where(), ": `", printable(*name), "` is not in the vocabulary");
  if (pipeline.vocabulary.kind(*id) == TokenKind::kWord)
    pipeline.add_tokens({{{{.content = *name, .id = *id, .special = true}, view->where()}}});
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

// The spellings by role, as transformers hands them to a chat template.
void read_special_tokens(const Settings& settings, Tokenizer::Pipeline& pipeline) {
  for (const char* role :
       {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}) {
    const auto view = settings.find(role);
    if (const auto name = view ? read_token_name(*view) : std::nullopt)
      pipeline.special_tokens.emplace_back(role, *name);
  }
  const auto more = settings.find("extra_special_tokens");
  if (!more || !more->is_object()) return;
  more->each_member([&](const std::string& role, const JsonView& view) {
    if (const auto name = read_token_name(view)) pipeline.special_tokens.emplace_back(role, *name);
  });
}

// As in transformers the files stand before tokenizer_config.json.
std::vector<NamedChatTemplate> read_chat_templates(const Path& folder, const Settings& settings) {
  std::vector<NamedChatTemplate> found;
  if (const Path file = folder / "chat_template.jinja"; std::filesystem::exists(file))
    found.push_back({"default", read_file(file, kMaxTemplateBytes)});
  if (const Path more = folder / "additional_chat_templates"; std::filesystem::is_directory(more)) {
    for (const auto& entry : std::filesystem::directory_iterator(more))
      if (entry.path().extension() == ".jinja")
        found.push_back({entry.path().stem().string(), read_file(entry.path(), kMaxTemplateBytes)});
    std::ranges::sort(found, {}, &NamedChatTemplate::name);
  }
  const auto view = settings.config().find("chat_template");
  if (!found.empty() || !view) return found;
  if (view->is_string()) return {{"default", view->as_string()}};
  view->each_element([&](const JsonView& entry) {  // several: a list of {name, template}
    found.push_back({entry.at("name").as_string(), entry.at("template").as_string()});
  });
  return found;
}

// A file of tiktoken ranks has lines of base64 and a number.
void refuse_ranks(const Path& file, std::string_view content) {
  const std::string_view line = content.substr(0, std::min(content.find('\n'), std::size_t{400}));
  const std::size_t space = line.find(' ');
  const bool ranks = space != std::string_view::npos && decode_base64(line.substr(0, space)).has_value();
  check(!ranks, file.string(), ": is a list of tiktoken ranks, without its pattern and special tokens",
        Hint{"use the folder that transformers made of it, with a tokenizer.json"});
}

// Tokens that older folders add to a sentencepiece model: {"<tool>": 32000}.
std::vector<PlacedToken> read_added_tokens_json(const Path& folder) {
  const Path file = folder / "added_tokens.json";
  std::vector<PlacedToken> tokens;
  const Json json = read_optional(file);
  JsonView(json, file.string()).each_member([&](const std::string& content, const JsonView& id) {
    const AddedToken token{.content = content, .id = static_cast<std::int32_t>(id.as_int(0, kMaxTokenId))};
    tokens.push_back({token, id.where()});
  });
  return tokens;
}

// As transformers' tokenizers of Llama: a prefix before every stretch of text, unless `legacy` is off.
PrependScheme prefix_of(const Settings& settings, const SentencepieceProto& proto) {
  if (!settings.flag("add_prefix_space", proto.add_dummy_prefix)) return PrependScheme::kNever;
  return settings.flag("legacy", true) ? PrependScheme::kAlways : PrependScheme::kFirst;
}

// What the tokenizer's files leave open: which tokens have which role, and which are put around a text where
// tokenizer_config.json does not say.
struct Roles {
  std::optional<std::int32_t> bos, eos, pad;
  bool adds_bos = false;
};

Roles read_sentencepiece(const Path& file, const Settings& settings, Tokenizer::Pipeline& pipeline) {
  const std::string content = read_file(file, kMaxModelBytes);
  refuse_ranks(file, content);
  const std::string where = file.string();
  const SentencepieceProto proto = parse_sentencepiece(std::as_bytes(std::span(content)), where);
  use_sentencepiece(proto, prefix_of(settings, proto), where, pipeline);
  std::vector<PlacedToken> tokens = read_config_tokens(settings.config());
  if (tokens.empty()) tokens = read_added_tokens_json(file.parent_path());
  pipeline.add_tokens(tokens);
  add_control_pieces(proto, where, pipeline);
  for (std::int32_t id = 0; id < pipeline.vocabulary.size(); ++id)
    if (!pipeline.vocabulary.has(id))
      fail(where, ": no token has id ", id, ", but added tokens go on behind it");
  const auto role = [](std::int64_t id) {
    return id < 0 ? std::nullopt : std::optional(static_cast<std::int32_t>(id));
  };
  return {role(proto.bos), role(proto.eos), role(proto.pad), true};
}

Roles read_tekken(const Path& file, Tokenizer::Pipeline& pipeline) {
  const Json json = read_json(file);
  read_tekken_json(JsonView(json, file.string()), pipeline);
  const Vocabulary& vocabulary = pipeline.vocabulary;
  return {vocabulary.find("<s>"), vocabulary.find("</s>"), vocabulary.find("<pad>"), true};
}

Roles read_tokenizer_file(const Path& folder, const Settings& settings, Tokenizer::Pipeline& pipeline) {
  if (std::filesystem::exists(folder / "tokenizer.json")) {
    const Path file = folder / "tokenizer.json";
    const Json json = read_json(file);
    read_tokenizer_json(JsonView(json, file.string()), read_config_tokens(settings.config()), pipeline);
    return {};
  }
  if (std::filesystem::exists(folder / "tekken.json")) return read_tekken(folder / "tekken.json", pipeline);
  if (std::filesystem::exists(folder / "tokenizer.model"))
    return read_sentencepiece(folder / "tokenizer.model", settings, pipeline);
  check(!std::filesystem::exists(folder / "vocab.json"), folder.string(),
        ": has vocab.json but no tokenizer.json",
        Hint{"write one with transformers: AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"});
  fail(folder.string(), ": has no tokenizer.json", Hint{"nor tekken.json, nor tokenizer.model"});
}

}  // namespace

std::shared_ptr<const Tokenizer::Pipeline> load_tokenizer_folder(const Path& folder) {
  auto pipeline = std::make_shared<Tokenizer::Pipeline>();
  const Settings settings(folder);
  const Roles roles = read_tokenizer_file(folder, settings, *pipeline);
  const auto named = [&](std::string_view key, std::optional<std::int32_t> otherwise) {
    const auto id = named_token(settings, key, *pipeline);
    return id ? id : otherwise;
  };
  pipeline->bos = named("bos_token", roles.bos);
  pipeline->eos = named("eos_token", roles.eos);
  pipeline->pad = named("pad_token", roles.pad);
  named_token(settings, "unk_token", *pipeline);
  add_surrounding(*pipeline, settings.flag("add_bos_token", roles.adds_bos) ? pipeline->bos : std::nullopt,
                  settings.flag("add_eos_token", false) ? pipeline->eos : std::nullopt);
  read_special_tokens(settings, *pipeline);
  pipeline->chat_templates = read_chat_templates(folder, settings);
  return pipeline;
}

}  // namespace graft
