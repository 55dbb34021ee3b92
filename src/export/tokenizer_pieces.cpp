#include "export/tokenizer_pieces.h"

#include <algorithm>
#include <string_view>
#include <tuple>
#include <unordered_map>

#include "base/console.h"
#include "base/error.h"
#include "base/text.h"
#include "text/space_words.h"

// Source: transformers, convert_slow_tokenizer.py, LlamaConverter and generate_merges.

namespace graft {
namespace {

constexpr std::int64_t kNormal = 1, kUnknown = 2, kByte = 6;

/// A piece as tokenizers spells it: a space of the user's own pieces is a mark too.
std::string with_marks(const std::string& token) {
  std::string text;
  for (const char c : token) text += c == ' ' ? std::string(kSpaceMark) : std::string(1, c);
  return text;
}

struct Merge {
  double score;
  std::size_t cut;          ///< bytes of the left piece
  std::size_t left, right;  ///< ids
};

/// Every way in which two pieces make a third, best score first; of one piece's ways the longest left part
/// first, which is nearest to sentencepiece where runs of spaces are merged.
std::vector<Merge> merges_of(const std::vector<std::string>& pieces, const std::vector<double>& scores,
                             const std::vector<std::int64_t>& types) {
  std::unordered_map<std::string_view, std::size_t> ids;
  for (std::size_t id = 0; id < pieces.size(); ++id)
    if (types[id] == kNormal) ids.emplace(pieces[id], id);
  std::vector<Merge> merges;
  for (const auto& [piece, id] : ids) {
    for (std::size_t cut = 1; cut < piece.size(); ++cut) {
      const auto left = ids.find(piece.substr(0, cut)), right = ids.find(piece.substr(cut));
      if (left != ids.end() && right != ids.end())
        merges.push_back({scores[id], cut, left->second, right->second});
    }
  }
  std::ranges::sort(merges, [](const Merge& a, const Merge& b) {
    return std::tuple(-a.score, b.cut, a.left, a.right) < std::tuple(-b.score, a.cut, b.left, b.right);
  });
  return merges;
}

Json model_json(const GgufFile& file, const std::vector<std::string>& pieces) {
  const auto& types = file.integers("tokenizer.ggml.token_type");
  const auto& scores = file.numbers("tokenizer.ggml.scores");
  check(scores.size() >= pieces.size(), file.path().string(), ": tokenizer.ggml.scores: got ", scores.size(),
        " entries, want one per token, ", pieces.size());
  Json::object_t vocabulary;
  vocabulary.reserve(pieces.size());
  Json unknown = nullptr;
  bool has_bytes = false;
  for (std::size_t id = 0; id < pieces.size(); ++id) {
    vocabulary.emplace_back(pieces[id], id);
    if (types[id] == kUnknown) unknown = pieces[id];
    has_bytes = has_bytes || types[id] == kByte;
  }
  Json merges = Json::array();
  for (const Merge& merge : merges_of(pieces, scores, types))
    merges.push_back(Json::array({pieces[merge.left], pieces[merge.right]}));
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", unknown},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", true},
          {"byte_fallback", has_bytes},
          {"ignore_merges", false},
          {"vocab", std::move(vocabulary)},
          {"merges", std::move(merges)}};
}

Json replace(const char* from, const std::string& to) {
  return {{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
}

}  // namespace

Json pieces_json(const GgufFile& file, const std::vector<std::string>& tokens, Json added_tokens) {
  const auto flag_or = [&](const char* key, bool otherwise) {
    return file.has(key) ? file.boolean(key) : otherwise;
  };
  check(!flag_or("tokenizer.ggml.remove_extra_whitespaces", false) &&
            !file.has("tokenizer.ggml.precompiled_charsmap"),
        file.path().string(), ": tokenizer.ggml: rules of normalization cannot be written as tokenizer.json");
  std::vector<std::string> pieces;
  for (const std::string& token : tokens) pieces.push_back(with_marks(token));
  const bool prefixed = flag_or("tokenizer.ggml.add_space_prefix", true);
  // The user's own pieces are found in text whose spaces are marks already. Behind a prefix they could not
  // be: it would be put before each of them too.
  for (Json& added : added_tokens) {
    if (added["special"]) continue;
    const std::string piece = with_marks(added["content"]);
    check(!prefixed || !piece.starts_with(kSpaceMark), file.path().string(),
          ": tokenizer.ggml.tokens: a piece of the user's own that begins with a space (", printable(piece),
          ") cannot be written as tokenizer.json beside add_space_prefix");
    if (prefixed)
      warn(file.path().string() + ": text behind " + printable(piece) +
           " begins with a space in tokenizer.json, as in transformers' own, and does not in the GGUF file");
    added["content"] = piece;
    added["normalized"] = !prefixed;
  }
  const std::string mark(kSpaceMark);
  Json normalizers = Json::array(), decoders = Json::array({replace("\xE2\x96\x81", " ")});
  if (prefixed) normalizers.push_back({{"type", "Prepend"}, {"prepend", mark}});
  normalizers.push_back(replace(" ", mark));
  decoders.push_back({{"type", "ByteFallback"}});
  decoders.push_back({{"type", "Fuse"}});
  if (prefixed) decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  return {{"added_tokens", std::move(added_tokens)},
          {"normalizer", {{"type", "Sequence"}, {"normalizers", normalizers}}},
          {"pre_tokenizer", nullptr},
          {"decoder", {{"type", "Sequence"}, {"decoders", decoders}}},
          {"model", model_json(file, pieces)}};
}

}  // namespace graft
