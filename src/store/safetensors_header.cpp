#include "store/safetensors_header.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "store/foreign.h"

namespace graft {
namespace {

constexpr std::string_view kMetadata = "__metadata__";

// A tensor and the part of the data section that its header entry claims.
struct Entry {
  TensorView tensor;
  std::int64_t begin, end;
};

std::string range_text(const Entry& entry) {
  return "`" + printable(entry.tensor.name) + "` [" + std::to_string(entry.begin) + ", " +
         std::to_string(entry.end) + ")";
}

// The length of the JSON header, checked against the file.
std::size_t header_length(std::span<const std::byte> bytes, const std::string& source) {
  const auto refuse = [&](const auto&... parts) {
    fail(printable(source), ": is no safetensors file", foreign_format(bytes), ": ", parts...,
         Hint{foreign_hint(bytes)});
  };
  if (bytes.empty()) refuse("the file is empty");
  if (bytes.size() < 8) refuse("got ", bytes.size(), " bytes, want at least 8");
  std::uint64_t length;
  std::memcpy(&length, bytes.data(), sizeof length);
  if (length == 0) refuse("the length of the header at byte 0 is 0");
  if (length > kMaxHeaderBytes) {
    refuse("the length of the header at byte 0 is ", length, ", want at most ", kMaxHeaderBytes);
  }
  if (length > bytes.size() - 8) {
    refuse("the header ends after the file does (got ", length, " bytes of header in a file of ",
           bytes.size(), ")");
  }
  return static_cast<std::size_t>(length);
}

Json parse_header(std::span<const std::byte> bytes, const std::string& source) {
  const std::size_t length = header_length(bytes, source);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + 8, length);
  check(trim(text).starts_with("{"), printable(source), " @byte 8: the header is no JSON object");
  const std::string where = source + " @byte 8, header";
  return parse_json(text, where, {.max_bytes = kMaxHeaderBytes, .max_depth = 64});
}

std::map<std::string, std::string> parse_metadata(const JsonView& view) {
  std::map<std::string, std::string> metadata;
  view.each_member([&](const std::string& key, const JsonView& value) { metadata[key] = value.as_string(); });
  return metadata;
}

DType parse_dtype(const JsonView& view) {
  const std::string& name = view.as_string();
  const auto dtype = dtype_of_safetensors(name);
  if (!dtype) {
    fail(view, ": unknown or unsupported dtype `", printable(name),
         "` (want F64, F32, F16, BF16, I64, I32, I16, I8, U8 or BOOL)");
  }
  return *dtype;
}

std::vector<std::int64_t> parse_shape(const JsonView& view) {
  check(!view.is_array() || view.size() <= kMaxRank, view, ": too many dimensions, want at most ", kMaxRank);
  std::vector<std::int64_t> shape;
  view.each_element([&](const JsonView& dim) { shape.push_back(dim.as_int(0)); });
  return shape;
}

// Bytes that the tensor's shape and type need.
std::int64_t size_of(const TensorView& tensor, const JsonView& view) {
  auto size = static_cast<std::int64_t>(traits(tensor.dtype).bytes);
  std::int64_t elements = 1;
  bool fits = true;
  for (const std::int64_t dim : tensor.shape)
    fits = fits && !__builtin_mul_overflow(elements, dim, &elements);
  fits = fits && !__builtin_mul_overflow(elements, size, &size);
  if (!fits) fail(view, ": shape ", tensor.shape_text(), " is too large");
  return size;
}

Entry parse_entry(const std::string& name, const JsonView& view, std::int64_t data_bytes) {
  view.each_member([](const std::string& key, const JsonView& member) {
    check(key == "dtype" || key == "shape" || key == "data_offsets", member, ": unknown key");
  });
  const JsonView offsets = view.at("data_offsets");
  check(offsets.is_array() && offsets.size() == 2, offsets, ": want a list of two offsets");
  Entry entry{.tensor = {.name = name, .shape = {}, .bytes = {}},
              .begin = offsets.at(std::size_t{0}).as_int(0),
              .end = offsets.at(std::size_t{1}).as_int(0)};
  entry.tensor.dtype = parse_dtype(view.at("dtype"));
  entry.tensor.shape = parse_shape(view.at("shape"));
  check(entry.begin <= entry.end, offsets, ": ends before it begins (got [", entry.begin, ", ", entry.end,
        "))");
  check(entry.end <= data_bytes, offsets, ": is outside the file (got [", entry.begin, ", ", entry.end,
        "), the file has ", data_bytes, " bytes of data)");
  if (const std::int64_t size = size_of(entry.tensor, view); size != entry.end - entry.begin) {
    fail(view, ": shape ", entry.tensor.shape_text(), " of ", traits(entry.tensor.dtype).safetensors,
         " needs ", size, " bytes (got ", entry.end - entry.begin, ")");
  }
  return entry;
}

// The data section must be covered exactly: a hole or a rest could hide another file, an overlap another
// tensor.
void check_cover(const std::vector<Entry>& entries, std::int64_t data_bytes, const std::string& source) {
  std::int64_t position = 0;
  const Entry* previous = nullptr;
  for (const Entry& entry : entries) {
    if (entry.begin != position) {
      fail(printable(source), ": ", range_text(entry),
           entry.begin < position ? " overlaps " : " leaves a hole after ",
           previous == nullptr ? "the header" : range_text(*previous));
    }
    position = entry.end;
    previous = &entry;
  }
  check(position == data_bytes, printable(source), ": ", data_bytes - position,
        " bytes after the last tensor", " (the tensors end at ", position, " of ", data_bytes,
        " bytes of data)");
}

}  // namespace

void check_tensor_name(std::string_view name, std::string_view source) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
  const char* reason = nullptr;
  if (std::any_of(name.begin(), name.end(), is_control)) reason = "it has a control character";
  if (find_invalid_utf8(name)) reason = "it is not UTF-8";
  if (name == kMetadata) reason = "it is reserved";
  if (reason != nullptr) fail(printable(source), ": `", printable(name), "` cannot name a tensor: ", reason);
}

SafetensorsHeader parse_safetensors(std::span<const std::byte> bytes, const std::string& source) {
  const Json json = parse_header(bytes, source);
  const auto data = bytes.subspan(8 + header_length(bytes, source));
  const auto data_bytes = static_cast<std::int64_t>(data.size());
  SafetensorsHeader header;
  std::vector<Entry> entries;
  JsonView(json, source).each_member([&](const std::string& name, const JsonView& view) {
    if (name == kMetadata) {
      header.metadata = parse_metadata(view);
      return;
    }
    check_tensor_name(name, source);
    entries.push_back(parse_entry(name, view, data_bytes));
  });
  // By end too: a tensor without elements shares its offset with the one that follows.
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  check_cover(entries, data_bytes, source);
  header.tensors.reserve(entries.size());
  for (Entry& entry : entries) {
    entry.tensor.bytes = data.subspan(static_cast<std::size_t>(entry.begin),
                                      static_cast<std::size_t>(entry.end - entry.begin));
    header.tensors.push_back(std::move(entry.tensor));
  }
  return header;
}

}  // namespace graft
