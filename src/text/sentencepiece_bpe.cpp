#include <algorithm>
#include <queue>
#include <string>
#include <unordered_map>

#include "base/text.h"
#include "text/double_array.h"
#include "text/sentencepiece_search.h"

namespace graft {
namespace {

using Type = SentencepieceProto::Type;
using Node = DoubleArray::Node;
constexpr std::int32_t kEnd = -1;
constexpr Node kNoNode = DoubleArray::kRoot;  // no piece starts with the symbol

// A stretch of the text; empty where it has become part of the one before.
struct Symbol {
  std::int32_t previous = kEnd, next = kEnd;
  std::uint32_t begin = 0, size = 0;
  Node node = kNoNode;
  bool frozen = false;  // never merged
};

struct Pair {
  float score = 0;
  std::int32_t left = 0, right = 0;
  std::uint32_t size = 0;  // what both had
  Node node = kNoNode;     // of their text
  bool operator<(const Pair& other) const {
    return score < other.score || (score == other.score && left > other.left);
  }
};

// What merging looks up.
struct Model {
  DoubleArray trie, user_defined;
  std::vector<float> scores = {};
  std::vector<bool> unused = {};                                // by id
  std::unordered_map<std::string, std::int32_t> reserved = {};  // control, unknown and byte pieces
  std::int32_t unknown = 0;

  std::int32_t id_of(std::string_view word) const {
    const std::int32_t id = trie.find(word);
    if (id != DoubleArray::kNone) return id;
    const auto found = reserved.find(std::string(word));
    return found == reserved.end() ? unknown : found->second;
  }
};

Model model_of(const SentencepieceProto& proto) {
  Model model{
      .trie = DoubleArray(pieces_of(proto, SentencepieceProto::is_in_text)),
      .user_defined = DoubleArray(pieces_of(proto, [](Type type) { return type == Type::kUserDefined; }))};
  for (std::size_t id = 0; id < proto.pieces.size(); ++id) {
    const auto& [text, score, type] = proto.pieces[id];
    model.scores.push_back(score);
    model.unused.push_back(type == Type::kUnused);
    if (type == Type::kUnknown) model.unknown = static_cast<std::int32_t>(id);
    if (!SentencepieceProto::is_in_text(type)) model.reserved.emplace(text, static_cast<std::int32_t>(id));
  }
  return model;
}

// One call of segment.
struct Merging {
  using Part = SentencepieceSearch::Part;
  const Model& model;
  std::string_view text;
  std::vector<Symbol> symbols = {};
  std::priority_queue<Pair> pairs = {};
  std::unordered_map<std::string_view, std::uint32_t> cuts = {};  // an unused piece -> bytes of its left part

  void cut() {
    symbols.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t own = user_defined_at(at), size = own > 0 ? own : code_point_at(text, at).length;
      const auto index = static_cast<std::int32_t>(symbols.size());
      Symbol symbol{.previous = index - 1,
                    .next = at + size < text.size() ? index + 1 : kEnd,
                    .begin = static_cast<std::uint32_t>(at),
                    .size = static_cast<std::uint32_t>(size),
                    .frozen = own > 0};
      if (!walk(symbol.node, symbol)) symbol.node = kNoNode;
      symbols.push_back(symbol);
      at += size;
    }
  }

  // Bytes of the longest piece of the users' that the text has there, or 0.
  std::size_t user_defined_at(std::size_t at) const {
    std::size_t longest = 0;
    Node node = DoubleArray::kRoot;
    for (std::size_t i = at; i < text.size() && model.user_defined.step(node, text[i]); ++i)
      if (model.user_defined.value(node) != DoubleArray::kNone) longest = i + 1 - at;
    return longest;
  }

  bool walk(Node& node, const Symbol& symbol) const {
    const std::string_view own = text.substr(symbol.begin, symbol.size);
    return std::all_of(own.begin(), own.end(), [&](char c) { return model.trie.step(node, c); });
  }

  void offer(std::int32_t left_index, std::int32_t right_index) {
    if (left_index == kEnd || right_index == kEnd) return;
    const Symbol &left = symbols[static_cast<std::size_t>(left_index)],
                 &right = symbols[static_cast<std::size_t>(right_index)];
    Node node = left.node;
    if (left.frozen || right.frozen || node == kNoNode || !walk(node, right)) return;
    const std::int32_t id = model.trie.value(node);
    if (id == DoubleArray::kNone) return;
    pairs.push(
        {model.scores[static_cast<std::size_t>(id)], left_index, right_index, left.size + right.size, node});
    if (model.unused[static_cast<std::size_t>(id)])
      cuts[text.substr(left.begin, left.size + right.size)] = left.size;
  }

  void merge() {
    for (std::size_t i = 1; i < symbols.size(); ++i)
      offer(static_cast<std::int32_t>(i) - 1, static_cast<std::int32_t>(i));
    while (!pairs.empty()) {
      const Pair pair = pairs.top();
      pairs.pop();
      Symbol &left = symbols[static_cast<std::size_t>(pair.left)],
             &right = symbols[static_cast<std::size_t>(pair.right)];
      if (left.size == 0 || right.size == 0 || left.size + right.size != pair.size) continue;
      left.size = pair.size;
      left.node = pair.node;
      left.next = right.next;
      if (right.next != kEnd) symbols[static_cast<std::size_t>(right.next)].previous = pair.left;
      right.size = 0;
      offer(left.previous, pair.left);
      offer(pair.left, left.next);
    }
  }

  // Left parts are shorter than the whole: the stack of parts to come is as deep as a piece is long.
  void append(std::string_view piece, std::vector<Part>& parts) const {
    std::vector<std::string_view> open = {piece};
    while (!open.empty()) {
      const std::string_view word = open.back();
      open.pop_back();
      const std::int32_t id = model.id_of(word);
      const auto found = model.unused[static_cast<std::size_t>(id)] ? cuts.find(word) : cuts.end();
      if (found == cuts.end()) {
        parts.push_back({id, static_cast<std::uint32_t>(word.size())});
        continue;
      }
      open.push_back(word.substr(found->second));
      open.push_back(word.substr(0, found->second));
    }
  }
};

class SentencepieceBpe : public SentencepieceSearch {
 public:
  explicit SentencepieceBpe(const SentencepieceProto& proto) : model_(model_of(proto)) {}

  std::vector<Part> segment(std::string_view normalized) const override {
    Merging merging{.model = model_, .text = normalized};
    merging.cut();
    merging.merge();
    std::vector<Part> parts;
    for (const Symbol& symbol : merging.symbols) {
      if (symbol.size == 0) continue;
      const std::int32_t id = symbol.node == kNoNode ? DoubleArray::kNone : model_.trie.value(symbol.node);
      if (id != DoubleArray::kNone && !model_.unused[static_cast<std::size_t>(id)])
        parts.push_back({id, symbol.size});
      else
        merging.append(normalized.substr(symbol.begin, symbol.size), parts);
    }
    return parts;
  }

 private:
  Model model_;
};

}  // namespace

std::unique_ptr<const SentencepieceSearch> make_sentencepiece_bpe(const SentencepieceProto& proto) {
  return std::make_unique<SentencepieceBpe>(proto);
}

}  // namespace graft
