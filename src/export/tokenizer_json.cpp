#include "export/tokenizer_json.h"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "base/error.h"
#include "base/text.h"
#include "export/tokenizer_pieces.h"
#include "text/pre_kind.h"

namespace graft {
namespace {

/// token_type of tokenizer.ggml.token_type.
constexpr std::int64_t kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5;

const PreKind& pre_kind_of(const GgufFile& file) {
  return find_pre_kind(file.string("tokenizer.ggml.pre"), file.path().string() + ": tokenizer.ggml.pre");
}

Json byte_level(bool trim_offsets) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", trim_offsets},
          {"use_regex", true}};
}

/// The vocabulary without the "[PADn]" fillers that converters put at its end to reach the model's rows.
std::vector<std::string> vocabulary_of(const GgufFile& file) {
  std::vector<std::string> tokens = file.strings("tokenizer.ggml.tokens");
  const auto& types = file.integers("tokenizer.ggml.token_type");
  check(types.size() == tokens.size(), file.path().string(), ": tokenizer.ggml.token_type: got ",
        types.size(), " entries, want one per token, ", tokens.size());
  while (!tokens.empty() && types[tokens.size() - 1] == kUnused && tokens.back().starts_with("[PAD"))
    tokens.pop_back();
  std::unordered_set<std::string_view> seen;
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    const std::string where = file.path().string() + ": tokenizer.ggml.tokens: token " + std::to_string(id);
    check(!find_invalid_utf8(tokens[id]), where, " is not valid UTF-8");
    check(seen.insert(tokens[id]).second, where, " is there twice: ", printable(tokens[id]));
  }
  return tokens;
}

Json added_tokens_json(const std::vector<std::string>& tokens, const std::vector<std::int64_t>& types) {
  Json added = Json::array();
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    if (types[id] != kUnknown && types[id] != kControl && types[id] != kUserDefined) continue;
    added.push_back({{"id", id},
                     {"content", tokens[id]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", types[id] != kUserDefined}});
  }
  return added;
}

Json model_json(const GgufFile& file, const std::vector<std::string>& tokens, const PreKind& kind) {
  // Filled as the vector that it is: the map's own insertion searches all earlier keys each time.
  Json::object_t vocabulary;
  vocabulary.reserve(tokens.size());
  for (std::size_t id = 0; id < tokens.size(); ++id) vocabulary.emplace_back(tokens[id], id);
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", nullptr},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", false},
          {"byte_fallback", false},
          {"ignore_merges", kind.ignore_merges},
          {"vocab", std::move(vocabulary)},
          {"merges", file.strings("tokenizer.ggml.merges")}};
}

std::optional<std::size_t> token_id(const GgufFile& file, std::string_view name, std::size_t vocabulary) {
  const std::string key = "tokenizer.ggml." + std::string(name) + "_token_id";
  if (!file.has(key)) return {};
  const std::int64_t id = file.integer(key);
  if (id < 0 || id == UINT32_MAX) return {};
  check(id < static_cast<std::int64_t>(vocabulary), file.path().string(), ": ", key,
        ": not in the vocabulary (got ", id, ", want less than ", vocabulary, ")");
  return static_cast<std::size_t>(id);
}

bool flag_or(const GgufFile& file, std::string_view key, bool otherwise) {
  return file.has(key) ? file.boolean(key) : otherwise;
}

Json special(const std::string& token, int type) {
  return {{"SpecialToken", {{"id", token}, {"type_id", type}}}};
}
Json sequence(const char* id, int type) { return {{"Sequence", {{"id", id}, {"type_id", type}}}}; }

/// Beginning and end as the metadata ask for them, or null; `adds_bos` where they do not say.
Json template_json(const GgufFile& file, const std::vector<std::string>& tokens, bool adds_bos) {
  const auto bos = flag_or(file, "tokenizer.ggml.add_bos_token", adds_bos)
                       ? token_id(file, "bos", tokens.size())
                       : std::nullopt;
  const auto eos = flag_or(file, "tokenizer.ggml.add_eos_token", false) ? token_id(file, "eos", tokens.size())
                                                                        : std::nullopt;
  if (!bos && !eos) return nullptr;
  Json single = Json::array(), pair = Json::array(), specials = Json::object();
  for (int part = 0; part < 2; ++part) {
    const auto put = [&](const Json& piece) {
      if (part == 0) single.push_back(piece);
      pair.push_back(piece);
    };
    if (bos) put(special(tokens[*bos], part));
    put(sequence(part == 0 ? "A" : "B", part));
    if (eos) put(special(tokens[*eos], part));
  }
  for (const auto& id : {bos, eos}) {
    if (id) specials[tokens[*id]] = {{"id", tokens[*id]}, {"ids", {*id}}, {"tokens", {tokens[*id]}}};
  }
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", specials}};
}

/// bos_token, eos_token, unk_token, pad_token, as far as the file has them.
Json special_tokens_json(const GgufFile& file, const std::vector<std::string>& tokens) {
  Json map = Json::object();
  for (const auto& [name, key] : {std::pair{"bos_token", "bos"},
                                  {"eos_token", "eos"},
                                  {"unk_token", "unknown"},
                                  {"pad_token", "padding"}}) {
    if (const auto id = token_id(file, key, tokens.size())) map[name] = tokens[*id];
  }
  return map;
}

void add_byte_level(const GgufFile& file, const std::vector<std::string>& tokens, Json& json) {
  const PreKind& kind = pre_kind_of(file);
  json["normalizer"] = kind.normalizer();
  json["pre_tokenizer"] = kind.pre_tokenizer();
  // The byte level changes nothing here, but must be there where the template is not.
  const Json marks = template_json(file, tokens, kind.adds_bos);
  json["post_processor"] =
      marks.is_null() ? byte_level(false)
                      : Json{{"type", "Sequence"}, {"processors", Json::array({byte_level(false), marks})}};
  json["decoder"] = {
      {"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}};
  json["model"] = model_json(file, tokens, kind);
}

Json generation_config_json(const ModelConfig& config) {
  Json json = Json::object();
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
    if (config.source.contains(key) && !config.source[key].is_null()) json[key] = config.source[key];
  }
  return json;
}

}  // namespace

Json tokenizer_json(const GgufFile& file) {
  const std::vector<std::string> tokens = vocabulary_of(file);
  Json json = {{"version", "1.0"},
               {"truncation", nullptr},
               {"padding", nullptr},
               {"added_tokens", added_tokens_json(tokens, file.integers("tokenizer.ggml.token_type"))}};
  const std::string& model = file.string("tokenizer.ggml.model");
  if (model == "gpt2") {
    add_byte_level(file, tokens, json);
  } else {
    check(model == "llama", file.path().string(),
          ": tokenizer.ggml.model: cannot be written as tokenizer.json (got ", printable(model),
          ", want gpt2 or llama)");
    json.update(pieces_json(file, tokens, json["added_tokens"]));
    json["post_processor"] = template_json(file, tokens, true);
  }
  return json;
}

void write_tokenizer_files(const GgufFile& file, const ModelConfig& config, const Path& folder) {
  write_file(folder / "tokenizer.json", to_text(tokenizer_json(file), 2) + "\n");
  const Json specials = special_tokens_json(file, vocabulary_of(file));
  write_file(folder / "special_tokens_map.json", to_text(specials, 2) + "\n");
  Json settings = specials;
  settings["clean_up_tokenization_spaces"] = false;
  settings["model_max_length"] = config.max_position_embeddings;
  settings["tokenizer_class"] = "PreTrainedTokenizerFast";
  if (file.has("tokenizer.chat_template")) {
    // In both places: transformers 5 writes the file, other tools look for the key.
    settings["chat_template"] = file.string("tokenizer.chat_template");
    write_file(folder / "chat_template.jinja", file.string("tokenizer.chat_template"));
  }
  write_file(folder / "tokenizer_config.json", to_text(settings, 2) + "\n");
  write_file(folder / "generation_config.json", to_text(generation_config_json(config), 2) + "\n");
}

}  // namespace graft
