#include "data/raw_rows.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <zlib.h>

#include "row_file.h"

namespace graft {
namespace {

struct CutRow {
  std::string text;
  std::int64_t line, column;
  bool operator==(const CutRow&) const = default;
};

std::vector<CutRow> copy(const std::vector<RawRow>& rows) {
  std::vector<CutRow> result;
  for (const RawRow& row : rows) result.push_back({std::string(row.text), row.line, row.column});
  return result;
}

std::vector<CutRow> json_rows(std::string_view text) {
  const RowFile file(text);
  return copy(cut_json_rows(DataFile(file.path())));
}

std::vector<CutRow> paragraphs(std::string_view text, std::size_t max_bytes) {
  const RowFile file(text, "book.txt");
  return copy(cut_paragraphs(DataFile(file.path()), max_bytes));
}

std::string gzip(std::string_view text) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string packed(deflateBound(&stream, text.size()) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

TEST(CutJsonRows, LinesKeepTheirPhysicalNumbersOverBlankOnesCrlfAndAMissingFinalNewline) {
  const std::vector<CutRow> want = {{"{\"a\":1}", 1, 1}, {" {\"b\":2}", 4, 1}};
  EXPECT_EQ(json_rows("{\"a\":1}\r\n\r\n  \t\n {\"b\":2}"), want);
}

TEST(CutJsonRows, AByteOrderMarkIsNoPartOfTheFirstRow) {
  EXPECT_EQ(json_rows("\xEF\xBB\xBF{}\n"), (std::vector<CutRow>{{"{}", 1, 1}}));
}

TEST(CutJsonRows, AnEmptyOrBlankFileHoldsNoRow) {
  EXPECT_TRUE(json_rows("").empty());
  EXPECT_TRUE(json_rows("\n \r\n\n").empty());
  EXPECT_TRUE(json_rows(" [ ]\n").empty());
}

TEST(CutJsonRows, ElementsOfAnArrayKnowTheirPlaceAndBracketsInStringsDoNotCount) {
  const std::vector<CutRow> want = {
      {"{\"a\": \"]}, \\\" [\"}", 2, 2}, {"{\"b\": [1, {}]}\n ", 3, 1}, {"7", 5, 1}};
  EXPECT_EQ(json_rows("[\n {\"a\": \"]}, \\\" [\"},\n{\"b\": [1, {}]}\n ,\n7]\n"), want);
}

TEST(CutJsonRows, ArraysThatAreBrokenNameTheirPlace) {
  const auto message = [](std::string_view text) {
    const RowFile file(text);
    return message_of(file, [&] { cut_json_rows(DataFile(file.path())); });
  };
  EXPECT_EQ(message("[{},\n{}"), "FILE:2:3: the array does not end (want ])");
  EXPECT_EQ(message("[{}]\n x"), "FILE:2:2: text after the end of the array");
  EXPECT_EQ(message("[{},,{}]"), "FILE:1:5: got ,, want a row");
  EXPECT_EQ(message("[{},]"), "FILE:1:5: got ], want a row");
}

TEST(DataFile, GzipIsInflatedMembersAndAll) {
  const RowFile file(gzip("{\"a\":1}\n") + gzip("{\"b\":2}\n"), "rows.jsonl.gz");
  const DataFile data(file.path());
  EXPECT_EQ(data.text(), "{\"a\":1}\n{\"b\":2}\n");
  EXPECT_EQ(data.extension(), ".jsonl");
}

TEST(DataFile, CutOrDamagedGzipIsAnError) {
  std::string packed = gzip("{\"text\":\"a row of some length\"}\n");
  const RowFile cut(packed.substr(0, packed.size() - 5), "cut.jsonl.gz");
  EXPECT_NE(message_of(cut, [&] { DataFile{Path(cut.path())}; }).find("cut or damaged"), std::string::npos);
  packed[packed.size() / 2] = static_cast<char>(packed[packed.size() / 2] ^ 0x55);
  const RowFile damaged(packed, "bad.jsonl.gz");
  EXPECT_NE(message_of(damaged, [&] { DataFile{Path(damaged.path())}; }).find("cut or damaged"),
            std::string::npos);
}

TEST(DataFile, FilesOfAnotherKindAreNamed) {
  const auto message = [](std::string_view text) {
    const RowFile file(text);
    return message_of(file, [&] { DataFile{Path(file.path())}; });
  };
  EXPECT_EQ(message(std::string_view("\xFF\xFE{\0", 4)),
            "FILE: looks like UTF-16 text, want JSON lines or text");
  EXPECT_EQ(message("PAR1...."), "FILE: looks like a Parquet file, want JSON lines or text");
  EXPECT_EQ(message("version https://git-lfs.github.com/spec/v1\n"),
            "FILE: looks like a git-lfs pointer, want JSON lines or text");
}

TEST(CutParagraphs, WholeParagraphsAreJoinedUpToTheLimitAsTheyStand) {
  EXPECT_EQ(paragraphs("\none\ntwo\n\n\nthree\n\nfour four\n", 16),
            (std::vector<CutRow>{{"one\ntwo\n\n\nthree", 2, 1}, {"four four", 8, 1}}));
}

TEST(CutParagraphs, ALongParagraphIsCutAtASpaceAndNeverInsideACharacter) {
  EXPECT_EQ(paragraphs("aaaa bbbb cccc", 10), (std::vector<CutRow>{{"aaaa bbbb ", 1, 1}, {"cccc", 1, 1}}));
  EXPECT_EQ(paragraphs("\xE4\xB8\xAD\xE6\x96\x87\xE5\xAD\x97", 4),
            (std::vector<CutRow>{{"\xE4\xB8\xAD", 1, 1}, {"\xE6\x96\x87", 1, 1}, {"\xE5\xAD\x97", 1, 1}}));
}

TEST(CutParagraphs, InvalidUtf8IsAnErrorWithItsLine) {
  const RowFile file("fine\n\nbad \xC3( here", "book.txt");
  EXPECT_EQ(message_of(file, [&] { cut_paragraphs(DataFile(file.path()), 100); }),
            "FILE:3: invalid UTF-8 (byte 10)");
}

RC_GTEST_PROP(CutParagraphs, LoseNothingButBlankLinesAndKeepTheLimit, ()) {
  const auto text = *rc::gen::container<std::string>(rc::gen::element('a', 'b', ' ', '\n', '\r'));
  const auto limit = *rc::gen::inRange<std::size_t>(4, 40);
  const RowFile file(text, "book.txt");
  std::string joined, want;
  const DataFile data(file.path());
  for (const RawRow& row : cut_paragraphs(data, limit)) {
    RC_ASSERT(row.text.size() <= limit);
    joined += row.text;
  }
  const auto ink = [](std::string value) {
    std::erase_if(value, [](char c) { return c == '\n' || c == '\r' || c == ' '; });
    return value;
  };
  RC_ASSERT(ink(joined) == ink(text));
}

}  // namespace
}  // namespace graft
