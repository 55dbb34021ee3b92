#include <array>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "base/text.h"
#include "fuzz/byte_level.h"
#include "fuzz/require.h"

// Any text under three tokenizers: byte level (whose decoding gives the text back), byte pieces, unigram.
// Ranges lie inside the text, and streaming gives the decoded text.

namespace graft {
namespace {

constexpr std::string_view kCharacters = R"({"added_tokens": [{"id": 0, "content": "<unk>", "special": true},
  {"id": 1, "content": "<s>", "special": true, "lstrip": true}, {"id": 2, "content": "the", "single_word": true}],
  "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}, {"type": "StripAccents"},
    {"type": "Strip", "strip_left": true, "strip_right": false}, {"type": "Prepend", "prepend": "▁"},
    {"type": "Replace", "pattern": {"Regex": "\\s"}, "content": "▁"}]},
  "pre_tokenizer": {"type": "Digits", "individual_digits": true}, "post_processor": null,
  "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
    {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
  "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
    "vocab": {"<unk>": 0, "<s>": 1, "the": 2, "▁": 3, "a": 4, "b": 5, "▁a": 6, "ab": 7, "▁▁": 8, "<0xE4>": 9, "<0xBD>": 10, "<0xA0>": 11},
    "merges": [["▁", "a"], ["a", "b"], ["▁", "▁"]]}})";

constexpr std::string_view kUnigram = R"({"added_tokens": [{"id": 0, "content": "<unk>", "special": true}],
  "normalizer": {"type": "NFD"}, "post_processor": null,
  "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true},
  "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first"},
  "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0], ["▁", -2], ["a", -3], ["▁a", -2.5], ["aa", -4], ["e", -3], ["́", -5]]}})";

void check_encoding(const Tokenizer& tokenizer, std::string_view text) {
  const Encoding encoding = tokenizer.encode(text, SpecialTokens::kAdd);
  require(encoding.ids.size() == encoding.offsets.size());
  StreamDecoder stream(tokenizer);
  std::string streamed;
  for (std::size_t i = 0; i < encoding.ids.size(); ++i) {
    require(encoding.offsets[i].begin <= encoding.offsets[i].end && encoding.offsets[i].end <= text.size());
    streamed += stream.put(encoding.ids[i]);
  }
  require(streamed + stream.finish() == tokenizer.decode(encoding.ids));
}

}  // namespace
}  // namespace graft

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace graft;
  static const std::array<Tokenizer, 3> tokenizers = {tokenizer_of(byte_level_json()),
                                                      tokenizer_of(kCharacters), tokenizer_of(kUnigram)};
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (find_invalid_utf8(text)) {
    try {
      tokenizers[0].encode(text, SpecialTokens::kNone);
      require(false);
    } catch (const Error&) {
    }
    return 0;
  }
  for (const Tokenizer& tokenizer : tokenizers) check_encoding(tokenizer, text);
  require(tokenizers[0].decode(tokenizers[0].encode(text, SpecialTokens::kNone).ids, true) == text);
  return 0;
}
