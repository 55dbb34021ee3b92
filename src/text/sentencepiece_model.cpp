#include "text/sentencepiece_model.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/text.h"
#include "text/sentencepiece_search.h"

namespace graft {
namespace {

constexpr std::size_t kMaxTextBytes = std::size_t{1}
                                      << 28;  // the library counts in 32 bits, up to 3 for each byte

void mark_spaces(std::string_view text, std::string& marked, std::vector<std::size_t>& places) {
  marked.reserve(text.size() + 2 * kSpaceMark.size());
  places.reserve(text.size() + 2 * kSpaceMark.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view written = text[i] == ' ' ? kSpaceMark : text.substr(i, 1);
    marked += written;
    places.insert(places.end(), written.size(), i);
  }
  places.push_back(text.size());
}

// Whether each space becomes U+2581 and nothing else changes, so that words can be taken one by one.
bool changes_only_spaces(const SentencepieceProto& proto) {
  return proto.kind == SentencepieceProto::Kind::kBpe && proto.charsmap.empty() &&
         !proto.remove_extra_whitespaces && proto.escape_whitespaces && !proto.whitespace_as_suffix;
}

// Whether no word starts with an unknown space, which would be one with an unknown character before it.
bool knows_the_space(const SentencepieceProto& proto) {
  return proto.byte_fallback || std::ranges::any_of(proto.pieces, [](const auto& piece) {
           return piece.text == kSpaceMark && piece.type == SentencepieceProto::Type::kNormal;
         });
}

// Whether the pieces that users defined are the same before and after spaces are marked: the library gives
// all bytes of one that stands in the text its beginning. (A text with the mark itself has others.)
bool knows_users_pieces_by_characters(const SentencepieceProto& proto) {
  return std::ranges::all_of(proto.pieces, [](const auto& piece) {
    if (piece.type != SentencepieceProto::Type::kUserDefined) return true;
    std::string rest = piece.text;
    for (std::size_t at = rest.find(kSpaceMark); at != rest.npos; at = rest.find(kSpaceMark))
      rest.erase(at, kSpaceMark.size());
    return rest.empty() || (rest.size() == piece.text.size() && rest.find(' ') == rest.npos);
  });
}

std::unique_ptr<const SentencepieceSearch> make_search(const SentencepieceProto& proto) {
  if (proto.kind == SentencepieceProto::Kind::kUnigram) return make_sentencepiece_unigram(proto);
  if (proto.kind == SentencepieceProto::Kind::kBpe) return make_sentencepiece_bpe(proto);
  return nullptr;
}

// What the library has to know to normalize alone: the rules, and what users defined, which they leave as it
// is. Most of the time of loading a model goes to its other pieces.
SentencepieceProto rules_of(const SentencepieceProto& proto) {
  using Type = SentencepieceProto::Type;
  SentencepieceProto rules{.pieces = {},
                           .kind = SentencepieceProto::Kind::kBpe,
                           .whitespace_as_suffix = proto.whitespace_as_suffix,
                           .remove_extra_whitespaces = proto.remove_extra_whitespaces,
                           .escape_whitespaces = proto.escape_whitespaces,
                           .charsmap = proto.charsmap};
  for (const auto& piece : proto.pieces)
    if (piece.type == Type::kUnknown || piece.type == Type::kUserDefined) rules.pieces.push_back(piece);
  return rules;
}

}  // namespace

struct SentencepieceModel::Library {
  using Processor = sentencepiece::SentencePieceProcessor;
  Processor plain;                                    // puts no prefix
  std::unique_ptr<Processor> prefixed;                // where words are not taken one by one
  std::vector<bool> is_byte;                          // by id
  std::unique_ptr<const SentencepieceSearch> search;  // of words and characters the library's own
  bool only_spaces = false;                           // normalization writes U+2581 for each and nothing else
  std::vector<std::int32_t> byte_ids;                 // by byte, where it has them
  std::int32_t unknown = 0;

  void encode(const Processor& processor, std::string_view text, std::vector<Piece>& pieces) const {
    const std::size_t first = pieces.size();
    if (search) {
      search_in(processor, text, pieces);
    } else {
      const auto encoded = processor.EncodeAsImmutableProto(text);
      for (const auto& piece : encoded.pieces())
        pieces.push_back({static_cast<std::int32_t>(piece.id()), {piece.begin(), piece.end()}});
    }
    widen_bytes(first, pieces);
  }

  void prepare_search(const SentencepieceProto& proto) {
    search = make_search(proto);
    if (proto.byte_fallback) byte_ids.resize(256);
    for (std::size_t id = 0; id < proto.pieces.size(); ++id) {
      const auto& [text, score, type] = proto.pieces[id];
      if (type == SentencepieceProto::Type::kUnknown) unknown = static_cast<std::int32_t>(id);
      if (type == SentencepieceProto::Type::kByte)  // "<0x0A>"
        byte_ids.at(std::stoul(text.substr(3, 2), nullptr, 16)) = static_cast<std::int32_t>(id);
    }
  }

  // Source: sentencepiece_processor.cc, PopulateSentencePieceText.
  void search_in(const Processor& processor, std::string_view text, std::vector<Piece>& pieces) const {
    std::string normalized;
    std::vector<std::size_t> places;  // in `text`, of each byte of `normalized` and of its end
    if (only_spaces && &processor == &plain && text.find(kSpaceMark) == text.npos) {
      mark_spaces(text, normalized, places);
    } else {
      const auto status = processor.Normalize(text, &normalized, &places);
      check(status.ok(), "sentencepiece: ", printable(status.ToString()));
    }
    const auto parts = search->segment(normalized);
    bool after_unknown = false;
    std::size_t at = 0;
    for (const auto& [id, size] : parts) {
      const ByteSpan range{places[at], places[at + size]};
      const bool is_unknown = id == unknown;
      if (is_unknown && !byte_ids.empty()) {
        for (std::size_t i = at; i < at + size; ++i)
          pieces.push_back({byte_ids[static_cast<unsigned char>(normalized[i])], {range.begin, range.begin}});
        pieces.back().range = range;
      } else if (is_unknown && after_unknown) {
        pieces.back().range.end = range.end;
      } else {
        pieces.push_back({id, range});
      }
      after_unknown = is_unknown;
      at += size;
    }
  }

  // The library gives the last byte of a character its range, the others none.
  void widen_bytes(std::size_t first, std::vector<Piece>& pieces) const {
    for (std::size_t i = pieces.size(); i > first + 1; --i) {
      ByteSpan& range = pieces[i - 2].range;
      const bool starts_next = range.begin == range.end && range.begin == pieces[i - 1].range.begin;
      if (starts_next && is_byte[static_cast<std::size_t>(pieces[i - 2].id)]) range = pieces[i - 1].range;
    }
  }
};

SentencepieceModel::SentencepieceModel(const SentencepieceProto& proto, std::string_view where)
    : library_(std::make_unique<Library>()), cache_(std::make_unique<WordCache>()) {
  for (const auto& piece : proto.pieces) words_.add(piece.text);
  by_words_ = changes_only_spaces(proto) && words_.may_cut() && knows_the_space(proto);
  library_->prepare_search(proto);
  SentencepieceProto known = library_->search ? rules_of(proto) : proto;
  const auto load = [&](bool add_dummy_prefix, sentencepiece::SentencePieceProcessor& processor) {
    known.add_dummy_prefix = add_dummy_prefix;
    const auto status = processor.LoadFromSerializedProto(serialize_sentencepiece(known));
    check(status.ok(), where, ": sentencepiece refuses the model (", printable(status.ToString()), ")");
  };
  load(false, library_->plain);
  library_->only_spaces = changes_only_spaces(proto) && knows_users_pieces_by_characters(proto);
  for (const auto& piece : proto.pieces)
    library_->is_byte.push_back(piece.type == SentencepieceProto::Type::kByte);
  if (by_words_) return;
  library_->prefixed = std::make_unique<sentencepiece::SentencePieceProcessor>();
  load(true, *library_->prefixed);
}

SentencepieceModel::~SentencepieceModel() = default;

void SentencepieceModel::encode(std::string_view text, DummyPrefix prefix, std::vector<Piece>& pieces) const {
  if (text.empty()) return;
  check(text.size() <= kMaxTextBytes, "a text of ", text.size(), " bytes is too long for sentencepiece");
  if (by_words_) return encode_by_words(text, prefix, pieces);
  library_->encode(prefix == DummyPrefix::kAdd ? *library_->prefixed : library_->plain, text, pieces);
}

void SentencepieceModel::encode_by_words(std::string_view text, DummyPrefix prefix,
                                         std::vector<Piece>& pieces) const {
  std::size_t done = 0;
  if (prefix == DummyPrefix::kAdd) {
    done = words_.first_word(text, " ");
    const std::size_t first = pieces.size();
    encode_word(" " + std::string(text.substr(0, done)), 0, pieces);
    for (std::size_t i = first; i < pieces.size(); ++i) {
      ByteSpan& range = pieces[i].range;
      range = {range.begin == 0 ? 0 : range.begin - 1, range.end - 1};
    }
  }
  while (done < text.size()) {
    const std::size_t size = words_.first_word(text.substr(done), " ");
    encode_word(text.substr(done, size), done, pieces);
    done += size;
  }
}

void SentencepieceModel::encode_word(std::string_view word, std::size_t base,
                                     std::vector<Piece>& pieces) const {
  const std::size_t first = pieces.size();
  if (!cache_->find(word, pieces)) {
    library_->encode(library_->plain, word, pieces);
    cache_->put(word, std::span(pieces).subspan(first));
  }
  for (std::size_t i = first; i < pieces.size(); ++i) {
    pieces[i].range.begin += base;
    pieces[i].range.end += base;
  }
}

}  // namespace graft
