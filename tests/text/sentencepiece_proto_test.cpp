#include "text/sentencepiece_proto.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "text/fixture.h"

// Hostile tokenizer.model files. The wire format is written by hand here: protobuf.dev, encoding.

namespace graft {
namespace {

std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>((value & 0x7FU) | 0x80U);
  return bytes + static_cast<char>(value);
}
std::string number(std::uint64_t field, std::uint64_t value) { return varint(field << 3) + varint(value); }
std::string message(std::uint64_t field, const std::string& bytes) {
  return varint(field << 3 | 2U) + varint(bytes.size()) + bytes;
}
std::string real(std::uint64_t field, float value) {
  std::string bytes(4, '\0');
  std::memcpy(bytes.data(), &value, 4);
  return varint(field << 3 | 5U) + bytes;
}
std::string piece(const std::string& text, float score = -1.0F, std::uint64_t type = 1) {
  return message(1, message(1, text) + real(2, score) + number(3, type));
}
std::string unknown() { return piece("<unk>", 0, 2); }

SentencepieceProto parse(const std::string& bytes) {
  return parse_sentencepiece(std::as_bytes(std::span(bytes)), "t.model");
}

std::string refusal(const std::string& bytes) {
  try {
    parse(bytes);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kBadInput);
    EXPECT_TRUE(std::string_view(error.what()).starts_with("t.model: ")) << error.what();
    return error.what();
  }
  return "no error";
}

void expect_refused(const std::string& bytes, const std::string& why) {
  EXPECT_NE(refusal(bytes).find(why), std::string::npos) << refusal(bytes) << "\nwant: " << why;
}

// Special ids stand at 1, 2 and none where the file does not say.
std::string small() { return unknown() + piece("a") + piece("b"); }

TEST(SentencepieceProto, ASmallModelIsTaken) {
  const SentencepieceProto proto = parse(small());
  ASSERT_EQ(proto.pieces.size(), 3U);
  EXPECT_EQ(proto.pieces[1].text, "a");
  EXPECT_EQ(proto.pieces[1].score, -1.0F);
  EXPECT_EQ(proto.pieces[0].type, SentencepieceProto::Type::kUnknown);
}

TEST(SentencepieceProto, NoPrefixOfAModelIsTakenForMoreThanItIs) {
  const std::string whole = read_file(golden("unigram/tokenizer.model"), 1 << 20);
  const std::size_t pieces = parse(whole).pieces.size();
  std::size_t refused = 0;
  for (std::size_t size = 0; size < whole.size(); size += 1 + size / 50) {
    try {
      EXPECT_LE(parse(whole.substr(0, size)).pieces.size(), pieces);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kBadInput);
      ++refused;
    }
  }
  EXPECT_GT(refused, 100U);
}

TEST(SentencepieceProto, BrokenNumbersAreRefusedWithTheirPlace) {
  expect_refused("\x0A", "@1: the file ends in the middle of a number");
  expect_refused(small() + "\x80", "the file ends in the middle of a number");
  expect_refused(small() + std::string(10, '\xFF') + "\x01", "a number of more than 64 bits");
  expect_refused(small() + std::string(9, '\xFF') + "\x02", "a number of more than 64 bits");
  expect_refused(std::string(1, '\0'), "a field without a valid number");
  expect_refused(varint(std::uint64_t{0x20000000} << 3) + varint(0), "a field without a valid number");
  expect_refused(small() + varint(9 << 3 | 5) + "abc", "the file ends in the middle of a number");
  expect_refused(small() + varint(9 << 3 | 1) + "abcdefg", "the file ends in the middle of a number");
  for (const std::uint64_t wire : {3, 4, 6, 7})
    expect_refused(small() + varint(9 << 3 | wire) + "a", "unknown wire type");
}

TEST(SentencepieceProto, LengthsAreCheckedBeforeTheyAreUsed) {
  for (const std::uint64_t size :
       {std::uint64_t{1} << 20, std::uint64_t{1} << 40, std::numeric_limits<std::uint64_t>::max()}) {
    expect_refused("\x0A" + varint(size) + "abc", "a field that reaches behind its end");
    expect_refused(message(1, "\x0A" + varint(size) + "abc"), "a field that reaches behind its end");
    expect_refused(small() + message(3, "\x12" + varint(size)), "a field that reaches behind its end");
  }
}

TEST(SentencepieceProto, FieldsOfAnotherKindAreRefused) {
  expect_refused(number(1, 5), "a number where a message should be");
  expect_refused(small() + number(2, 5), "a number where a message should be");
  expect_refused(message(1, number(1, 5)), "field 1 has the wrong wire type");
  expect_refused(message(1, message(1, "a") + number(2, 5)), "field 2 has the wrong wire type");
  expect_refused(message(1, message(1, "a") + message(3, "x")), "field 3 has the wrong wire type");
  expect_refused(small() + message(2, message(3, "x")), "field 3 has the wrong wire type");
  expect_refused(small() + message(3, number(2, 1)), "field 2 has the wrong wire type");
  expect_refused(piece("a", 0, 7) + small(), "a piece of an unknown type");
  expect_refused(piece("a", 0, 0) + small(), "a piece of an unknown type");
  expect_refused(small() + message(2, number(3, 9)), "a model of an unknown type");
}

// Unknown fields are passed over, whatever they nest: nothing recurses.
TEST(SentencepieceProto, UnknownFieldsOfAnyDepthArePassedOver) {
  std::string nested;
  for (int depth = 0; depth < 3000; ++depth) nested = message(99, nested);
  EXPECT_EQ(parse(nested + small()).pieces.size(), 3U);
  EXPECT_EQ(parse(message(2, nested) + small()).pieces.size(), 3U);
  EXPECT_EQ(parse(message(4, std::string(100, '\xFF')) + small()).pieces.size(), 3U);
}

TEST(SentencepieceProto, PiecesThatNoTokenizerCanHaveAreRefused) {
  expect_refused("", "got 0 pieces of type unknown, want 1");
  expect_refused(unknown(), "no piece that text could become");
  expect_refused(piece("a") + piece("b") + piece("c"), "got 0 pieces of type unknown, want 1");
  expect_refused(small() + piece("<unk2>", 0, 2), "got 2 pieces of type unknown, want 1");
  expect_refused(small() + piece("a"), "the piece `a` stands twice, as id 1 and 3");
  expect_refused(small() + piece(""), "piece 3 (``): is empty");
  expect_refused(small() + message(1, ""), "piece 3 (``): is empty");
  expect_refused(small() + piece("\xFF"), "is not valid UTF-8");
  expect_refused(small() + piece(std::string("a\0b", 3)), "holds a zero byte");
  expect_refused(small() + piece(std::string(1025, 'x')), "is longer than 1024 bytes");
  for (const float score : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity()})
    expect_refused(small() + piece("c", score), "its score is not finite");
}

TEST(SentencepieceProto, BytePiecesAreAllThereOrNone) {
  const auto bytes = [](int count) {
    std::string all;
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    for (std::size_t b = 0; b < static_cast<std::size_t>(count); ++b)
      all += piece(std::string("<0x") + kDigits[b / 16] + kDigits[b % 16] + ">", 0, 6);
    return all;
  };
  const std::string fallback = message(2, number(35, 1));
  EXPECT_EQ(parse(small() + bytes(256) + fallback).pieces.size(), 259U);
  expect_refused(small() + bytes(255) + fallback, "got 255 pieces of type byte, want 256");
  expect_refused(small() + bytes(256), "want 0 where byte_fallback is off");
  expect_refused(small() + piece("<0xG0>", 0, 6), "is of type byte, but not spelled <0xNN>");
  expect_refused(small() + piece("x", 0, 6), "is of type byte, but not spelled <0xNN>");
}

TEST(SentencepieceProto, IdsRulesAndSurfacesAreChecked) {
  expect_refused(small() + message(2, number(41, 3)), "a special id is 3, but there are 3 pieces");
  expect_refused(small() + message(2, number(43, INT32_MAX)), "a special id is 2147483647");
  EXPECT_EQ(parse(small() + message(2, number(43, ~std::uint64_t{0}))).pad, -1);
  expect_refused(small() + message(2, message(44, "\xC3")), "unk_surface is not valid UTF-8");
  expect_refused(small() + message(5, message(2, "rules")), "denormalizer_spec");
  for (const std::string& charsmap :
       {std::string("x"), std::string(4, '\xFF'), std::string("\x08\0\0\0abcdefgh", 12)})
    EXPECT_NE(refusal(small() + message(3, message(2, charsmap))), "no error");
  std::string nested;
  for (std::size_t size = 1; size <= 80; ++size) nested += piece(std::string(size + 2, 'u'), 0, 4);
  expect_refused(small() + nested, "other user-defined pieces, want at most 64");
}

TEST(SentencepieceProto, WhatIsWrittenIsReadBack) {
  const std::string whole = read_file(golden("unigram_bytes/tokenizer.model"), 1 << 20);
  const std::string written = serialize_sentencepiece(parse(whole));
  EXPECT_EQ(serialize_sentencepiece(parse(written)), written);
  EXPECT_EQ(parse(written).pieces.size(), parse(whole).pieces.size());
}

}  // namespace
}  // namespace graft
