#include "export/tokenizer_json.h"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "base/error.h"
#include "base/text.h"

namespace graft {
namespace {

/// token_type of tokenizer.ggml.token_type.
constexpr std::int64_t kControl = 3, kUserDefined = 4, kUnused = 5;

constexpr const char* kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

/// What stands for a name in tokenizer.ggml.pre in Hugging Face's words.
struct PreTokenizer {
  std::string_view name;
  const char* split = nullptr;  ///< pattern before the byte level; nullptr: the byte level's own (GPT-2's)
  bool single_digits = false;
  bool nfc = false;
  bool whole_words_first = false;  ///< a word that is a token needs no merges ("ignore_merges")
  bool adds_bos = false;           ///< where add_bos_token is absent
};

constexpr std::array kPreTokenizers = {
    PreTokenizer{.name = "gpt-2"},
    PreTokenizer{.name = "smollm", .single_digits = true},
    PreTokenizer{.name = "llama-bpe", .split = kLlama3Pattern, .whole_words_first = true, .adds_bos = true},
    PreTokenizer{.name = "llama3", .split = kLlama3Pattern, .whole_words_first = true, .adds_bos = true},
    PreTokenizer{.name = "llama-v3", .split = kLlama3Pattern, .whole_words_first = true, .adds_bos = true},
    PreTokenizer{.name = "qwen2", .split = kQwen2Pattern, .nfc = true},
};

const PreTokenizer& pre_tokenizer_of(const GgufFile& file) {
  const std::string& model = file.string("tokenizer.ggml.model");
  check(model == "gpt2", file.path().string(),
        ": tokenizer.ggml.model: cannot be written as tokenizer.json yet (got ", printable(model),
        ", want gpt2: byte-level BPE)");
  const std::string& name = file.string("tokenizer.ggml.pre");
  const auto found = std::find_if(kPreTokenizers.begin(), kPreTokenizers.end(),
                                  [&](const PreTokenizer& row) { return row.name == name; });
  if (found == kPreTokenizers.end()) {
    std::string known;
    for (const PreTokenizer& row : kPreTokenizers)
      known += (known.empty() ? "" : ", ") + std::string(row.name);
    fail(file.path().string(), ": tokenizer.ggml.pre: graft does not know this pre-tokenizer (got ",
         printable(name), ", want one of ", known, ")");
  }
  return *found;
}

Json byte_level(bool use_regex, bool trim_offsets) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", trim_offsets},
          {"use_regex", use_regex}};
}

Json pre_tokenizer_json(const PreTokenizer& row) {
  if (row.split != nullptr) {
    const Json split = {
        {"type", "Split"}, {"pattern", {{"Regex", row.split}}}, {"behavior", "Isolated"}, {"invert", false}};
    return {{"type", "Sequence"}, {"pretokenizers", Json::array({split, byte_level(false, true)})}};
  }
  if (row.single_digits) {
    const Json digits = {{"type", "Digits"}, {"individual_digits", true}};
    return {{"type", "Sequence"}, {"pretokenizers", Json::array({digits, byte_level(true, true)})}};
  }
  return byte_level(true, true);
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
    if (types[id] != kControl && types[id] != kUserDefined) continue;
    added.push_back({{"id", id},
                     {"content", tokens[id]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", types[id] == kControl}});
  }
  return added;
}

Json model_json(const GgufFile& file, const std::vector<std::string>& tokens, const PreTokenizer& row) {
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
          {"ignore_merges", row.whole_words_first},
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

/// Beginning and end as the metadata ask for them; where neither is, the byte level alone (it changes
/// nothing).
Json post_processor_json(const GgufFile& file, const std::vector<std::string>& tokens,
                         const PreTokenizer& row) {
  const auto bos = flag_or(file, "tokenizer.ggml.add_bos_token", row.adds_bos)
                       ? token_id(file, "bos", tokens.size())
                       : std::nullopt;
  const auto eos = flag_or(file, "tokenizer.ggml.add_eos_token", false) ? token_id(file, "eos", tokens.size())
                                                                        : std::nullopt;
  if (!bos && !eos) return byte_level(true, false);
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
  const Json templating = {
      {"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", specials}};
  return {{"type", "Sequence"}, {"processors", Json::array({byte_level(true, false), templating})}};
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

Json generation_config_json(const ModelConfig& config) {
  Json json = Json::object();
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
    if (config.source.contains(key) && !config.source[key].is_null()) json[key] = config.source[key];
  }
  return json;
}

}  // namespace

Json tokenizer_json(const GgufFile& file) {
  const PreTokenizer& row = pre_tokenizer_of(file);
  const std::vector<std::string> tokens = vocabulary_of(file);
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added_tokens_json(tokens, file.integers("tokenizer.ggml.token_type"))},
          {"normalizer", row.nfc ? Json{{"type", "NFC"}} : Json(nullptr)},
          {"pre_tokenizer", pre_tokenizer_json(row)},
          {"post_processor", post_processor_json(file, tokens, row)},
          {"decoder",
           {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}}},
          {"model", model_json(file, tokens, row)}};
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
