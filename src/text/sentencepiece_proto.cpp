#include "text/sentencepiece_proto.h"

#include <array>
#include <bit>
#include <cmath>
#include <unordered_set>

#include "base/error.h"
#include "base/text.h"
#include "text/charsmap.h"
#include "text/string_ids.h"
#include "text/vocabulary.h"

namespace graft {
namespace {

constexpr std::size_t kMaxPieceBytes = 1024;
constexpr int kMaxNestedUserPieces = 64;  // sentencepiece: PrefixMatcher looks at so many

// Protocol buffers' wire format. Source: protobuf.dev, encoding.
enum class Wire : std::uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct Field {
  std::uint64_t number = 0;
  Wire wire = Wire::kVarint;
  std::uint64_t value = 0;  // of numbers
  std::string_view bytes;   // of kBytes
};

class WireReader {
 public:
  // `base` is where `bytes` start in the file.
  WireReader(std::string_view bytes, std::size_t base, std::string_view where)
      : bytes_(bytes), base_(base), where_(where) {}

  bool at_end() const { return position_ == bytes_.size(); }
  std::size_t position() const { return base_ + position_; }
  [[noreturn]] void refuse(std::string_view what) const {
    fail(where_, ": @", position(), ": ", what, Hint{"this is no sentencepiece model, or a damaged one"});
  }

  Field next() {
    const std::uint64_t tag = varint();
    Field field{.number = tag >> 3, .wire = static_cast<Wire>(tag & 7U), .value = 0, .bytes = {}};
    if (field.number == 0 || field.number > 0x1FFFFFFFU) refuse("a field without a valid number");
    switch (field.wire) {
      case Wire::kVarint:
        field.value = varint();
        return field;
      case Wire::kFixed64:
        field.value = fixed(8);
        return field;
      case Wire::kFixed32:
        field.value = fixed(4);
        return field;
      case Wire::kBytes: {
        const std::uint64_t size = varint();
        if (size > bytes_.size() - position_) refuse("a field that reaches behind its end");
        field.bytes = bytes_.substr(position_, size);
        position_ += size;
        return field;
      }
    }
    refuse("a field of an unknown wire type");
  }

  // A reader of a message inside; `field` must be the last one read.
  WireReader inside(const Field& field) const {
    if (field.wire != Wire::kBytes) refuse("a number where a message should be");
    return {field.bytes, position() - field.bytes.size(), where_};
  }

 private:
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (at_end()) refuse("the file ends in the middle of a number");
      const auto byte = static_cast<unsigned char>(bytes_[position_++]);
      if (shift == 63 && byte > 1) break;
      value |= std::uint64_t{byte & 0x7FU} << shift;
      if (byte < 0x80) return value;
    }
    refuse("a number of more than 64 bits");
  }
  std::uint64_t fixed(std::size_t size) {
    if (bytes_.size() - position_ < size) refuse("the file ends in the middle of a number");
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < size; ++i)
      value |= std::uint64_t{static_cast<unsigned char>(bytes_[position_ + i])} << 8 * i;
    position_ += size;
    return value;
  }

  std::string_view bytes_;
  std::size_t base_, position_ = 0;
  std::string_view where_;
};

void require_wire(const WireReader& reader, const Field& field, Wire wire) {
  if (field.wire != wire) reader.refuse("field " + std::to_string(field.number) + " has the wrong wire type");
}

bool read_flag(const WireReader& reader, const Field& field) {
  require_wire(reader, field, Wire::kVarint);
  return field.value != 0;
}

std::int64_t read_id(const WireReader& reader, const Field& field) {
  require_wire(reader, field, Wire::kVarint);
  return static_cast<std::int32_t>(field.value);
}

std::string read_string(const WireReader& reader, const Field& field) {
  require_wire(reader, field, Wire::kBytes);
  return std::string(field.bytes);
}

SentencepieceProto::Piece read_piece(WireReader reader) {
  SentencepieceProto::Piece piece;
  while (!reader.at_end()) {
    const Field field = reader.next();
    if (field.number == 1) piece.text = read_string(reader, field);
    if (field.number == 2) {
      require_wire(reader, field, Wire::kFixed32);
      piece.score = std::bit_cast<float>(static_cast<std::uint32_t>(field.value));
    }
    if (field.number == 3) {
      require_wire(reader, field, Wire::kVarint);
      if (field.value < 1 || field.value > 6) reader.refuse("a piece of an unknown type");
      piece.type = static_cast<SentencepieceProto::Type>(field.value);
    }
  }
  return piece;
}

void read_trainer_spec(WireReader reader, SentencepieceProto& proto) {
  while (!reader.at_end()) {
    const Field field = reader.next();
    switch (field.number) {
      case 3:
        require_wire(reader, field, Wire::kVarint);
        if (field.value < 1 || field.value > 4) reader.refuse("a model of an unknown type");
        proto.kind = static_cast<SentencepieceProto::Kind>(field.value);
        break;
      case 24:
        proto.whitespace_as_suffix = read_flag(reader, field);
        break;
      case 35:
        proto.byte_fallback = read_flag(reader, field);
        break;
      case 41:
        proto.bos = read_id(reader, field);
        break;
      case 42:
        proto.eos = read_id(reader, field);
        break;
      case 43:
        proto.pad = read_id(reader, field);
        break;
      case 44:
        proto.unknown_surface = read_string(reader, field);
        break;
      default:
        break;
    }
  }
}

void read_normalizer_spec(WireReader reader, SentencepieceProto& proto) {
  while (!reader.at_end()) {
    const Field field = reader.next();
    if (field.number == 2) proto.charsmap = read_string(reader, field);
    if (field.number == 3) proto.add_dummy_prefix = read_flag(reader, field);
    if (field.number == 4) proto.remove_extra_whitespaces = read_flag(reader, field);
    if (field.number == 5) proto.escape_whitespaces = read_flag(reader, field);
  }
}

void refuse_denormalizer(WireReader reader) {
  while (!reader.at_end()) {
    const Field field = reader.next();
    if (field.number == 2 && !field.bytes.empty())
      reader.refuse("rules for decoding (denormalizer_spec) are not supported");
  }
}

bool is_byte_piece(std::string_view text) {
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'); };
  return text.size() == 6 && text.starts_with("<0x") && text[5] == '>' && is_digit(text[3]) &&
         is_digit(text[4]);
}

// No more user-defined pieces may start one another than the library has room for.
void check_user_pieces(const SentencepieceProto& proto, std::string_view where) {
  std::unordered_set<std::string_view> user;
  for (const auto& piece : proto.pieces)
    if (piece.type == SentencepieceProto::Type::kUserDefined) user.insert(piece.text);
  for (const std::string_view text : user) {
    int nested = 0;
    for (std::size_t size = 1; size <= text.size(); ++size)
      nested += user.contains(text.substr(0, size)) ? 1 : 0;
    check(nested <= kMaxNestedUserPieces, where, ": the piece `", printable(text), "` starts with ", nested,
          " other user-defined pieces, want at most ", kMaxNestedUserPieces);
  }
}

void check_piece(const SentencepieceProto::Piece& piece, std::size_t id, std::string_view where) {
  // check() would build its message for each of the pieces.
  const auto refuse = [&](std::string_view what) {
    fail(where, ": piece ", id, " (`", printable(piece.text, 40), "`): ", what);
  };
  if (piece.text.empty()) refuse("is empty");
  if (piece.text.size() > kMaxPieceBytes) refuse("is longer than 1024 bytes");
  if (find_invalid_utf8(piece.text)) refuse("is not valid UTF-8");
  if (piece.text.find('\0') != std::string::npos) refuse("holds a zero byte");
  if (!std::isfinite(piece.score)) refuse("its score is not finite");
  if (piece.type == SentencepieceProto::Type::kByte && !is_byte_piece(piece.text))
    refuse("is of type byte, but not spelled <0xNN>");
}

class WireWriter {
 public:
  void number(std::uint64_t field, std::uint64_t value) {
    varint(field << 3);
    varint(value);
  }
  void bytes(std::uint64_t field, std::string_view value) {
    varint(field << 3 | 2U);
    varint(value.size());
    out_ += value;
  }
  void real(std::uint64_t field, float value) {
    varint(field << 3 | 5U);
    const auto bits = std::bit_cast<std::uint32_t>(value);
    for (unsigned i = 0; i < 4; ++i) out_ += static_cast<char>(bits >> 8 * i & 0xFFU);
  }
  std::string take() { return std::move(out_); }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_ += static_cast<char>((value & 0x7FU) | 0x80U);
    out_ += static_cast<char>(value);
  }
  std::string out_;
};

}  // namespace

bool SentencepieceProto::is_in_text(Type type) {
  return type == Type::kNormal || type == Type::kUserDefined || type == Type::kUnused;
}

SentencepieceProto parse_sentencepiece(std::span<const std::byte> bytes, std::string_view where) {
  SentencepieceProto proto;
  WireReader reader({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, 0, where);
  while (!reader.at_end()) {
    const Field field = reader.next();
    if (field.number == 1) {
      if (proto.pieces.size() > kMaxTokenId) reader.refuse("too many pieces");
      proto.pieces.push_back(read_piece(reader.inside(field)));
    }
    if (field.number == 2) read_trainer_spec(reader.inside(field), proto);
    if (field.number == 3) read_normalizer_spec(reader.inside(field), proto);
    if (field.number == 5) refuse_denormalizer(reader.inside(field));
  }
  check_sentencepiece(proto, where);
  return proto;
}

void check_sentencepiece(const SentencepieceProto& proto, std::string_view where) {
  using Type = SentencepieceProto::Type;
  StringIds ids;
  ids.reserve(proto.pieces.size());
  std::size_t unknown = 0, byte_pieces = 0, matched = 0;
  for (std::size_t id = 0; id < proto.pieces.size(); ++id) {
    const auto& piece = proto.pieces[id];
    check_piece(piece, id, where);
    if (!ids.add(piece.text, static_cast<std::int32_t>(id)))
      fail(where, ": the piece `", printable(piece.text), "` stands twice, as id ", ids.find(piece.text),
           " and ", id);
    unknown += piece.type == Type::kUnknown ? 1 : 0;
    byte_pieces += piece.type == Type::kByte ? 1 : 0;
    matched += SentencepieceProto::is_in_text(piece.type) ? 1 : 0;
  }
  check(unknown == 1, where, ": got ", unknown, " pieces of type unknown, want 1",
        Hint{proto.pieces.empty() ? "this is no sentencepiece model" : ""});
  check(matched > 0, where, ": no piece that text could become");
  const std::size_t wanted = proto.byte_fallback ? 256 : 0;
  check(byte_pieces == wanted, where, ": got ", byte_pieces, " pieces of type byte, want ", wanted,
        proto.byte_fallback ? "" : " where byte_fallback is off");
  const std::array<std::int64_t, 3> named = {proto.bos, proto.eos, proto.pad};
  for (const std::int64_t id : named)
    check(id < static_cast<std::int64_t>(proto.pieces.size()), where, ": a special id is ", id,
          ", but there are ", proto.pieces.size(), " pieces");
  check(!find_invalid_utf8(proto.unknown_surface), where, ": unk_surface is not valid UTF-8");
  check_user_pieces(proto, where);
  if (!proto.charsmap.empty()) Charsmap(proto.charsmap, where);
}

std::vector<std::pair<std::string_view, std::int32_t>> pieces_of(
    const SentencepieceProto& proto, bool (*wanted)(SentencepieceProto::Type type)) {
  std::vector<std::pair<std::string_view, std::int32_t>> found;
  for (std::size_t id = 0; id < proto.pieces.size(); ++id)
    if (wanted(proto.pieces[id].type))
      found.emplace_back(proto.pieces[id].text, static_cast<std::int32_t>(id));
  return found;
}

std::string serialize_sentencepiece(const SentencepieceProto& proto) {
  WireWriter model, trainer, normalizer;
  for (const auto& piece : proto.pieces) {
    WireWriter entry;
    entry.bytes(1, piece.text);
    entry.real(2, piece.score);
    entry.number(3, static_cast<std::uint64_t>(piece.type));
    model.bytes(1, entry.take());
  }
  trainer.number(3, static_cast<std::uint64_t>(proto.kind));
  trainer.number(24, proto.whitespace_as_suffix ? 1 : 0);
  trainer.number(35, proto.byte_fallback ? 1 : 0);
  trainer.number(41, static_cast<std::uint64_t>(proto.bos));
  trainer.number(42, static_cast<std::uint64_t>(proto.eos));
  trainer.number(43, static_cast<std::uint64_t>(proto.pad));
  trainer.bytes(44, proto.unknown_surface);
  model.bytes(2, trainer.take());
  if (!proto.charsmap.empty()) normalizer.bytes(2, proto.charsmap);
  normalizer.number(3, proto.add_dummy_prefix ? 1 : 0);
  normalizer.number(4, proto.remove_extra_whitespaces ? 1 : 0);
  normalizer.number(5, proto.escape_whitespaces ? 1 : 0);
  model.bytes(3, normalizer.take());
  return model.take();
}

}  // namespace graft
