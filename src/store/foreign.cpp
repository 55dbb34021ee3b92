#include "store/foreign.h"

#include <array>
#include <string_view>

#include "base/text.h"

namespace graft {
namespace {

using namespace std::string_view_literals;

struct Format {
  std::string_view magic;
  std::string_view name;
  std::string_view hint;
};

constexpr std::string_view kConvert =
    "graft never runs code from a model file: convert the weights to safetensors with the tool that made "
    "them";

constexpr std::array<Format, 9> kFormats{{
    {"PK\x03\x04"sv, "a zip archive, perhaps a PyTorch .bin or .pt file (pickle)", kConvert},
    {"\x80\x02"sv, "a pickle, perhaps a PyTorch .bin file", kConvert},
    {"\x80\x03"sv, "a pickle", kConvert},
    {"\x80\x04"sv, "a pickle", kConvert},
    {"\x80\x05"sv, "a pickle", kConvert},
    {"version https://git-lfs"sv, "a git-LFS pointer, not the file itself",
     "fetch the file with `git lfs pull`"},
    {"GGUF"sv, "a GGUF file", "name it where a model is asked for, as model.path"},
    {"\x89HDF"sv, "an HDF5 file (Keras)", ""},
    {"{"sv, "JSON text, perhaps the error message of a server", "download the file again"},
}};

constexpr Format kHtml{"<"sv, "an HTML page, perhaps the error page of a server", "download the file again"};

const Format* find_format(std::span<const std::byte> bytes) {
  const auto head = bytes.first(std::min<std::size_t>(bytes.size(), 512));
  const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
  for (const Format& format : kFormats) {
    if (text.starts_with(format.magic)) return &format;
  }
  return trim(text).starts_with(kHtml.magic) ? &kHtml : nullptr;
}

}  // namespace

std::string foreign_format(std::span<const std::byte> bytes) {
  const Format* format = find_format(bytes);
  return format == nullptr ? "" : " (it looks like " + std::string(format->name) + ")";
}

std::string foreign_hint(std::span<const std::byte> bytes) {
  const Format* format = find_format(bytes);
  return format == nullptr ? "" : std::string(format->hint);
}

}  // namespace graft
