#include <zlib.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "base/error.h"
#include "data/raw_rows.h"

namespace graft {
namespace {

constexpr std::size_t kMaxInflated = std::size_t{4} << 30;  // beyond it a gzip file is taken for a bomb

struct Foreign {
  std::string_view start, what, hint;
};
using namespace std::string_view_literals;
constexpr std::array kForeign = {
    Foreign{"\xFF\xFE"sv, "UTF-16 text", "convert it: iconv -f UTF-16 -t UTF-8"},
    Foreign{"\xFE\xFF"sv, "UTF-16 text", "convert it: iconv -f UTF-16 -t UTF-8"},
    Foreign{"PAR1"sv, "a Parquet file", "write its rows as jsonl"},
    Foreign{"ARROW1"sv, "an Arrow file", "write its rows as jsonl"},
    Foreign{"PK\x03\x04"sv, "a zip archive", "unpack it first"},
    Foreign{"\x80\x02"sv, "a Python pickle", "write its rows as jsonl; graft never loads pickles"},
    Foreign{"\x80\x04"sv, "a Python pickle", "write its rows as jsonl; graft never loads pickles"},
    Foreign{"\x28\xB5\x2F\xFD"sv, "zstd data", "decompress it first"},
    Foreign{"version https://git-lfs"sv, "a git-lfs pointer", "fetch the file itself: git lfs pull"},
    Foreign{"<!DOCTYPE"sv, "an HTML page", "the download went wrong"},
    Foreign{"<html"sv, "an HTML page", "the download went wrong"},
};

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string inflate_gzip(std::string_view packed, const std::string& name) {
  z_stream stream{};
  check(inflateInit2(&stream, 16 + MAX_WBITS) == Z_OK, ExitCode::kResource, name,
        ": no memory to inflate it");
  std::string text;
  std::array<char, 1 << 16> block;
  int status = Z_OK;
  std::size_t taken = 0;
  // Members follow one another in a gzip file, so its end is the end of the bytes and not of the first
  // member.
  while (status == Z_OK || (status == Z_STREAM_END && taken < packed.size())) {
    if (status == Z_STREAM_END) inflateReset(&stream);
    const std::size_t piece = std::min<std::size_t>(packed.size() - taken, 1U << 30);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data() + taken));
    stream.avail_in = static_cast<uInt>(piece);
    stream.next_out = reinterpret_cast<Bytef*>(block.data());
    stream.avail_out = block.size();
    status = inflate(&stream, Z_NO_FLUSH);
    taken += piece - stream.avail_in;
    text.append(block.data(), block.size() - stream.avail_out);
    if (text.size() > kMaxInflated) break;
  }
  inflateEnd(&stream);
  check(text.size() <= kMaxInflated, name, ": inflates to more than 4 GiB", Hint{"unpack it and split it"});
  check(status == Z_STREAM_END, name, " @", taken, ": gzip data is cut or damaged");
  return text;
}

std::string lower_extension(Path path, std::string_view text) {
  const bool gzip = text.starts_with("\x1F\x8B");
  if (gzip && path.extension() == ".gz") path.replace_extension();
  std::string extension = path.extension().string();
  std::ranges::transform(extension, extension.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension;
}

}  // namespace

DataFile::DataFile(const Path& path) : name_(path.string()), mapped_(std::make_shared<MappedFile>(path)) {
  text_ = as_text(mapped_->bytes());
  extension_ = lower_extension(path, text_);
  if (text_.starts_with("\x1F\x8B")) {
    inflated_ = std::make_shared<const std::string>(inflate_gzip(text_, name_));
    text_ = *inflated_;
  }
  for (const Foreign& foreign : kForeign) {
    check(!text_.starts_with(foreign.start), name_, ": looks like ", foreign.what,
          ", want JSON lines or text", Hint{std::string(foreign.hint)});
  }
  if (text_.starts_with("\xEF\xBB\xBF")) text_.remove_prefix(3);
}

}  // namespace graft
