#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "text/tokenizer_json.h"

// Normalizers and decoders: what is done to text before and after everything else.

namespace graft {
namespace {

void append_normalizer(const JsonView& view, std::vector<NormalizerStep>& steps) {
  const std::string& type = view.at("type").as_string();
  if (type == "Sequence") {
    view.at("normalizers").each_element([&](const JsonView& part) { append_normalizer(part, steps); });
  } else if (type == "NFC") {
    steps.emplace_back(UnicodeForm::kNfc);
  } else if (type == "NFD") {
    steps.emplace_back(UnicodeForm::kNfd);
  } else if (type == "NFKC") {
    steps.emplace_back(UnicodeForm::kNfkc);
  } else if (type == "NFKD") {
    steps.emplace_back(UnicodeForm::kNfkd);
  } else if (type == "Lowercase") {
    steps.emplace_back(Lowercase{});
  } else if (type == "Strip") {
    steps.emplace_back(StripSpace{flag_of(view, "strip_left", true), flag_of(view, "strip_right", true)});
  } else if (type == "StripAccents") {
    steps.emplace_back(StripAccents{});
  } else if (type == "Prepend") {
    steps.emplace_back(Prepend{view.at("prepend").as_string()});
  } else if (type == "Replace") {
    steps.emplace_back(Replace{read_pattern(view.at("pattern")), view.at("content").as_string()});
  } else if (type == "Precompiled") {
    const JsonView map = view.at("precompiled_charsmap");
    const auto blob = decode_base64(map.as_string());
    check(blob.has_value(), map.where(), ": malformed base64");
    steps.emplace_back(PrecompiledRules{std::make_shared<Charsmap>(*blob, map.where())});
  } else {
    fail(
        view.where(), ": the normalizer ", printable(type), " is not supported",
        Hint{
            "supported: NFC, NFD, NFKC, NFKD, Lowercase, Precompiled, Prepend, Replace, Strip, StripAccents, "
            "Sequence"});
  }
}

DecodeReplace read_replace(const JsonView& view) {
  const JsonView pattern = view.at("pattern");
  const auto text = pattern.find("String");
  check(text.has_value(), pattern.where(), ": only a String is supported in a decoder");
  check(!text->as_string().empty(), pattern.where(), ": an empty pattern");
  return {text->as_string(), view.at("content").as_string()};
}

DecoderStep read_step(const std::string& type, const JsonView& view) {
  constexpr std::int64_t kMostStripped = 1 << 16;
  if (type == "ByteLevel") return DecodeByteLevel{};
  if (type == "ByteFallback") return DecodeBytes{};
  if (type == "Fuse") return DecodeFuse{};
  if (type == "Replace") return read_replace(view);
  if (type == "Metaspace")
    return DecodeMetaspace{read_character(view.at("replacement")),
                           read_prepend_scheme(view) != PrependScheme::kNever};
  if (type == "Strip") {
    return DecodeStrip{.content = read_character(view.at("content")),
                       .start = static_cast<std::size_t>(view.at("start").as_int(0, kMostStripped)),
                       .stop = static_cast<std::size_t>(view.at("stop").as_int(0, kMostStripped))};
  }
  fail(view.where(), ": the decoder ", printable(type), " is not supported",
       Hint{"supported: ByteFallback, ByteLevel, Fuse, Metaspace, Replace, Strip, Sequence"});
}

void append_decoder(const JsonView& view, std::vector<DecoderStep>& steps) {
  const std::string& type = view.at("type").as_string();
  if (type == "Sequence") {
    view.at("decoders").each_element([&](const JsonView& part) { append_decoder(part, steps); });
    return;
  }
  DecoderStep step = read_step(type, view);
  const bool after_bytes = !steps.empty() && std::holds_alternative<DecodeByteLevel>(steps.front());
  check(steps.empty() || (!after_bytes && type != "ByteLevel"), view.where(),
        ": the decoder ByteLevel stands alone");
  const bool fused =
      std::ranges::any_of(steps, [](const DecoderStep& s) { return std::holds_alternative<DecodeFuse>(s); });
  check(!fused || type == "Strip" || type == "Fuse", view.where(), ": the decoder ", type,
        " after Fuse is not supported");
  steps.push_back(std::move(step));
}

}  // namespace

Normalizer read_normalizer(const std::optional<JsonView>& view) {
  std::vector<NormalizerStep> steps;
  if (view) append_normalizer(*view, steps);
  return Normalizer(std::move(steps));
}

TokenDecoder read_decoder(const std::optional<JsonView>& view) {
  std::vector<DecoderStep> steps;
  if (view)
    append_decoder(*view, steps);
  else
    steps.emplace_back(DecodeSpaces{});
  return TokenDecoder(std::move(steps));
}

std::optional<std::string> decode_base64(std::string_view text) {
  const auto value_of = [](char c) -> int {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
  };
  if (text.size() % 4 != 0) return std::nullopt;
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  std::string bytes;
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : text) {
    const int value = value_of(c);
    if (value < 0) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += static_cast<char>(bits >> count & 0xFFU);
  }
  return bytes;
}

}  // namespace graft
