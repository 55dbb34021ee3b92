#include "text/pre_kind.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "text/pre_tokenizer.h"

// Sources: llama.cpp, llama-vocab.cpp (names, and what each cuts); the tokenizer.json of the models.

namespace graft {
namespace {

constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen35 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kSeedCoder =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kBailing =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*)"
    R"(|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kExaoneMoe =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// Letters with a case in the Unicode version that DeepSeek's authors had.
constexpr std::string_view kCasedWords =
    R"(\s?[A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293}\x{295}-)"
    R"(\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C})"
    R"(\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5})"
    R"(\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B})"
    R"(\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45})"
    R"(\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4})"
    R"(\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-)"
    R"(\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113})"
    R"(\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139})"
    R"(\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4})"
    R"(\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771})"
    R"(-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-)"
    R"(\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-)"
    R"(\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\x{1E900}-\x{1E943}]+)";
constexpr std::string_view kLineBreak = R"([\r\n])";
constexpr std::string_view kChineseKorean = R"([\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+)";
constexpr std::string_view kChineseJapanese = R"([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)";
constexpr std::string_view kDeepseek3 =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
    R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kFalconMarks = R"([\p{P}$+<=>\^~|`]+)";
constexpr std::string_view kBloom = R"( ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C})]+)";

using Splits = std::array<std::string_view, 6>;
constexpr Splits kDeepseekLlm = {
    kLineBreak,
    kCasedWords,
    R"(\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+)",
    R"(\s+$)",
    kChineseKorean,
    R"(\p{N}+)"};
constexpr Splits kDeepseekCoder = {kLineBreak, R"(\s?\p{L}+)", R"(\s?\p{P}+)", kChineseKorean, R"(\p{N})"};
constexpr Splits kDeepseekV3 = {R"(\p{N}{1,3})", kChineseJapanese, kDeepseek3};

constexpr PreKind like_llama3(std::string_view name) {
  return {.name = name, .splits = {kLlama3}, .ignore_merges = true, .adds_bos = true};
}
constexpr PreKind like_gpt2(std::string_view name) { return {.name = name, .gpt2_words = true}; }
constexpr PreKind like_starcoder(std::string_view name) {
  return {.name = name, .digits = true, .gpt2_words = true};
}
constexpr PreKind like_qwen2(std::string_view name) {
  return {.name = name, .splits = {kQwen2}, .nfc = true};
}

constexpr PreKind kKinds[] = {
    like_llama3("llama-bpe"),
    like_llama3("llama3"),
    like_llama3("llama-v3"),
    like_llama3("falcon3"),
    like_llama3("falcon-h1"),
    like_llama3("pixtral"),
    like_llama3("midm-2.0"),
    like_llama3("lfm2"),
    {.name = "dbrx", .splits = {kLlama3}},
    {.name = "smaug-bpe", .splits = {kLlama3}},
    {.name = "chatglm-bpe", .splits = {kLlama3}},
    {.name = "glm4", .splits = {kLlama3}},
    like_qwen2("qwen2"),
    like_qwen2("deepseek-r1-qwen"),
    like_qwen2("kormo"),
    like_qwen2("megrez"),
    {.name = "qwen35", .splits = {kQwen35}, .nfc = true},
    {.name = "stablelm2", .splits = {kQwen2}},
    {.name = "hunyuan", .splits = {kQwen2}},
    {.name = "solar-open", .splits = {kQwen2}},
    {.name = "grok-2", .splits = {kQwen2}},
    {.name = "seed-coder", .splits = {kSeedCoder}},
    {.name = "bailingmoe", .splits = {kBailing}},
    {.name = "bailingmoe2", .splits = {kBailing}},
    {.name = "llada-moe", .splits = {kBailing}},
    {.name = "deepseek-llm", .splits = kDeepseekLlm},
    {.name = "deepseek-coder", .splits = kDeepseekCoder},
    {.name = "deepseek-v3", .splits = kDeepseekV3},
    {.name = "hunyuan-dense", .splits = kDeepseekV3},
    {.name = "joyai-llm", .splits = kDeepseekV3},
    // Falcon cuts three digits out of GPT-2's words, which therefore stand among the splits.
    {.name = "falcon", .splits = {kFalconMarks, kGpt2Pattern, "[0-9][0-9][0-9]"}},
    like_gpt2("gpt-2"),
    like_gpt2("phi-2"),
    like_gpt2("gigachat"),
    like_gpt2("a.x-4.0"),
    like_gpt2("mellum"),
    like_gpt2("exaone4"),
    like_gpt2("jais"),
    like_gpt2("trillion"),
    like_gpt2("granite-docling"),
    {.name = "mpt", .gpt2_words = true, .nfc = true},
    {.name = "olmo", .gpt2_words = true, .nfc = true},
    like_starcoder("smollm"),
    like_starcoder("starcoder"),
    like_starcoder("refact"),  // Granite 3, too
    like_starcoder("codeshell"),
    like_starcoder("exaone"),
    like_starcoder("minerva-7b"),
    {.name = "command-r", .digits = true, .gpt2_words = true, .nfc = true},
    {.name = "exaone-moe", .splits = {kExaoneMoe}},
    {.name = "tekken", .splits = {kTekken}, .ignore_merges = true, .adds_bos = true},
    {.name = "gpt-4o", .splits = {kGpt4o}},
    {.name = "llama4", .splits = {kGpt4o}},
    {.name = "kanana2", .splits = {kGpt4o}},
    {.name = "minimax-m2", .splits = {kGpt4o}},
    {.name = "poro-chat", .splits = {kBloom}},
    {.name = "bloom", .splits = {kBloom}},
    {.name = "gpt3-finnish", .splits = {kBloom}},
    {.name = "viking", .splits = {kBloom, R"(\p{N})"}},
};

Json split_json(std::string_view pattern) {
  return {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
}

Json byte_level_json(bool gpt2_words) {
  return {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", gpt2_words}};
}

// The steps of a pre_tokenizer, without what changes only spans.
Json steps_of(const Json& pre_tokenizer) {
  const Json* list = nullptr;
  if (pre_tokenizer.is_object() && pre_tokenizer.value("type", "") == "Sequence" &&
      pre_tokenizer.contains("pretokenizers"))
    list = &pre_tokenizer["pretokenizers"];
  Json steps = list != nullptr ? *list : Json::array({pre_tokenizer});
  for (Json& step : steps)
    if (step.is_object()) step.erase("trim_offsets");
  return steps;
}

// Same members in any order.
bool same_steps(const Json& left, const Json& right) {
  return nlohmann::json::parse(left.dump()) == nlohmann::json::parse(right.dump());
}

}  // namespace

const PreKind* matching_pre_kind(const Json& tokenizer) {
  if (!tokenizer.is_object() || !tokenizer.contains("pre_tokenizer")) return nullptr;
  const Json steps = steps_of(tokenizer["pre_tokenizer"]);
  const Json normalizer = tokenizer.value("normalizer", Json(nullptr));
  const bool nfc = normalizer.is_object() && normalizer.value("type", "") == "NFC";
  const Json model = tokenizer.value("model", Json::object());
  const bool ignores = model.is_object() && model.contains("ignore_merges") && model["ignore_merges"] == true;
  const PreKind* match = nullptr;
  for (const PreKind& kind : kKinds) {
    if (!same_steps(steps_of(kind.pre_tokenizer()), steps)) continue;
    if (kind.nfc == nfc && kind.ignore_merges == ignores) return &kind;
    if (match == nullptr) match = &kind;
  }
  return match;
}

Json PreKind::pre_tokenizer() const {
  Json steps = Json::array();
  if (digits) steps.push_back({{"type", "Digits"}, {"individual_digits", true}});
  for (const std::string_view pattern : splits)
    if (!pattern.empty()) steps.push_back(split_json(pattern));
  steps.push_back(byte_level_json(gpt2_words));
  return steps.size() == 1 ? steps.front() : Json{{"type", "Sequence"}, {"pretokenizers", steps}};
}

Json PreKind::normalizer() const { return nfc ? Json{{"type", "NFC"}} : Json(nullptr); }

const PreKind& find_pre_kind(std::string_view name, std::string_view where) {
  const auto* const found = std::ranges::find(kKinds, name, &PreKind::name);
  if (found != std::end(kKinds)) return *found;
  std::vector<std::string> known;
  for (const PreKind& kind : kKinds) known.emplace_back(kind.name);
  const auto near = nearest(name, known);
  fail(where, ": graft does not know this pre-tokenizer (got `", printable(name), "`)",
       Hint{(near ? "did you mean `" + *near + "`? " : "") +
            "the model's Hugging Face folder says itself how text is cut; known in GGUF files: " +
            join(known, ", ")});
}

}  // namespace graft
