#include <algorithm>
#include <limits>

#include "text/double_array.h"
#include "text/sentencepiece_search.h"

namespace graft {
namespace {

using Type = SentencepieceProto::Type;
constexpr float kUnknownPenalty = 10.0F;

// The best way to a place in the text.
struct Arrival {
  float score = 0;
  std::int32_t from = -1;  // nothing has arrived
  std::int32_t id = 0;
};

std::size_t character_size(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

class SentencepieceUnigram : public SentencepieceSearch {
 public:
  explicit SentencepieceUnigram(const SentencepieceProto& proto);
  std::vector<Part> segment(std::string_view text) const override;

 private:
  DoubleArray trie_;
  std::vector<float> scores_;
  std::vector<Type> types_;
  float unknown_score_ = 0, largest_score_ = 0;
  std::int32_t unknown_ = 0;
};

SentencepieceUnigram::SentencepieceUnigram(const SentencepieceProto& proto)
    : trie_(pieces_of(proto, SentencepieceProto::is_in_text)) {
  float smallest = std::numeric_limits<float>::max(), largest = std::numeric_limits<float>::min();
  for (std::size_t id = 0; id < proto.pieces.size(); ++id) {
    const auto& piece = proto.pieces[id];
    scores_.push_back(piece.score);
    types_.push_back(piece.type);
    if (piece.type == Type::kUnknown) unknown_ = static_cast<std::int32_t>(id);
    if (piece.type != Type::kNormal) continue;
    smallest = std::min(smallest, piece.score);
    largest = std::max(largest, piece.score);
  }
  unknown_score_ = smallest - kUnknownPenalty;
  largest_score_ = largest;
}

std::vector<SentencepieceSearch::Part> SentencepieceUnigram::segment(std::string_view text) const {
  std::vector<Arrival> best(text.size() + 1);
  for (std::size_t begin = 0; begin < text.size();) {
    const float so_far = best[begin].score;
    const std::size_t size = std::min(character_size(text[begin]), text.size() - begin);
    const auto from = static_cast<std::int32_t>(begin);
    bool alone = false;  // whether the character at `begin` is a piece
    DoubleArray::Node node = DoubleArray::kRoot;
    for (std::size_t end = begin; end < text.size() && trie_.step(node, text[end]);) {
      const std::int32_t id = trie_.value(node);
      ++end;
      if (id == DoubleArray::kNone) continue;
      const auto at = static_cast<std::size_t>(id);
      if (types_[at] == Type::kUnused) continue;
      // What users defined always wins; in double precision, as the library has it.
      const double own = types_[at] == Type::kUserDefined
                             ? static_cast<double>(static_cast<float>(end - begin) * largest_score_) - 0.1
                             : static_cast<double>(scores_[at]);
      const double score = own + static_cast<double>(so_far);
      Arrival& arrival = best[end];
      if (arrival.from == -1 || score > static_cast<double>(arrival.score))
        arrival = {static_cast<float>(score), from, id};
      alone = alone || end - begin == size;
    }
    if (!alone) {
      const float score = unknown_score_ + so_far;
      Arrival& arrival = best[begin + size];
      if (arrival.from == -1 || score > arrival.score) arrival = {score, from, unknown_};
    }
    begin += size;
  }
  std::vector<Part> parts;
  for (std::size_t end = text.size(); end > 0;) {
    const auto from = static_cast<std::size_t>(best[end].from);
    parts.push_back({best[end].id, static_cast<std::uint32_t>(end - from)});
    end = from;
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

}  // namespace

std::unique_ptr<const SentencepieceSearch> make_sentencepiece_unigram(const SentencepieceProto& proto) {
  return std::make_unique<SentencepieceUnigram>(proto);
}

}  // namespace graft
