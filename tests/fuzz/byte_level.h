#pragma once

#include <string_view>

#include "base/text.h"
#include "text/tokenizer_json.h"

namespace graft {

/// The tokenizer of a tokenizer.json.
inline Tokenizer tokenizer_of(std::string_view text) {
  const Json file = parse_json(text, "fuzz");
  auto pipeline = std::make_shared<Tokenizer::Pipeline>();
  read_tokenizer_json(JsonView(file, "fuzz"), {}, *pipeline);
  return Tokenizer(pipeline);
}

/// A tokenizer.json: every byte a token, GPT-2's words, a few merges, ChatML's marks.
inline std::string byte_level_json() {
  Json vocab = Json::object();
  std::int32_t id = 0;
  for (std::uint32_t c = 0x21; c < 0x144; ++c) {
    if ((c > 0x7E && c < 0xA1) || c == 0xAD) continue;
    std::string spelling;
    append_utf8(spelling, c);
    vocab[spelling] = id++;
  }
  for (const char* merged : {"th", "the", "Ġthe", "ab", "ä½"}) vocab[merged] = id++;
  Json added = Json::array();
  for (const char* mark : {"<|im_start|>", "<|im_end|>"})
    added.push_back({{"id", id++}, {"content", mark}, {"special", true}});
  const Json merges = {"t h", "th e", "Ġ the", "a b", "ä ½"};  // lists of two words would be an object
  const Json step = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}};
  return to_text(Json{{"added_tokens", added},
                      {"pre_tokenizer", step},
                      {"decoder", step},
                      {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}}}});
}

}  // namespace graft
