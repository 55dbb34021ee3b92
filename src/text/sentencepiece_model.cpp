#include "text/sentencepiece_model.h"

#include <sentencepiece_processor.h>

#include "base/error.h"
#include "base/text.h"

namespace graft {
namespace {

constexpr std::size_t kMaxTextBytes = std::size_t{1}
                                      << 28;  // the library counts in 32 bits, up to 3 for each byte

// Whether each space becomes U+2581 and nothing else changes, so that words can be taken one by one.
bool changes_only_spaces(const SentencepieceProto& proto) {
  return proto.kind == SentencepieceProto::Kind::kBpe && proto.charsmap.empty() &&
         !proto.remove_extra_whitespaces && proto.escape_whitespaces && !proto.whitespace_as_suffix;
}

}  // namespace

struct SentencepieceModel::Library {
  using Processor = sentencepiece::SentencePieceProcessor;
  Processor plain;                      // puts no prefix
  std::unique_ptr<Processor> prefixed;  // where words are not taken one by one
  std::vector<bool> is_byte;            // by id

  // The library gives the last byte of a character its range, the others none.
  void encode(const Processor& processor, std::string_view text, std::vector<Piece>& pieces) const {
    const std::size_t first = pieces.size();
    const auto encoded = processor.EncodeAsImmutableProto(text);
    for (const auto& piece : encoded.pieces())
      pieces.push_back({static_cast<std::int32_t>(piece.id()), {piece.begin(), piece.end()}});
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
  by_words_ = changes_only_spaces(proto) && words_.may_cut();
  const auto load = [&](bool add_dummy_prefix, sentencepiece::SentencePieceProcessor& processor) {
    SentencepieceProto changed = proto;
    changed.add_dummy_prefix = add_dummy_prefix;
    const auto status = processor.LoadFromSerializedProto(serialize_sentencepiece(changed));
    check(status.ok(), where, ": sentencepiece refuses the model (", printable(status.ToString()), ")");
  };
  load(false, library_->plain);
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
