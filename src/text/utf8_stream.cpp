#include "text/utf8_stream.h"

#include <cstddef>
#include <string_view>

namespace graft {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

enum class Form { kWhole, kIllFormed, kUnfinished };
struct Sequence {
  Form form;
  std::size_t length;
};

// The sequence at the start of `bytes` (not empty). Unicode standard, table 3-7 and section 3.9 on maximal
// subparts.
Sequence first_sequence(std::string_view bytes) {
  const auto first = static_cast<unsigned char>(bytes[0]);
  if (first < 0x80) return {Form::kWhole, 1};
  const std::size_t length = first >= 0xC2 && first <= 0xDF ? 2 : first >= 0xE0 && first <= 0xEF ? 3 : 4;
  if (first < 0xC2 || first > 0xF4) return {Form::kIllFormed, 1};
  unsigned low = first == 0xE0 ? 0xA0U : first == 0xF0 ? 0x90U : 0x80U;
  unsigned high = first == 0xED ? 0x9FU : first == 0xF4 ? 0x8FU : 0xBFU;
  for (std::size_t i = 1; i < length; ++i) {
    if (i == bytes.size()) return {Form::kUnfinished, i};
    const auto byte = static_cast<unsigned char>(bytes[i]);
    if (byte < low || byte > high) return {Form::kIllFormed, i};
    low = 0x80;
    high = 0xBF;
  }
  return {Form::kWhole, length};
}

enum class Replace { kSequence, kByte };

std::string take(std::string& bytes, Replace replace) {
  std::string text;
  std::string_view rest = bytes;
  while (!rest.empty()) {
    const Sequence sequence = first_sequence(rest);
    if (sequence.form == Form::kUnfinished) break;
    const bool whole = sequence.form == Form::kWhole;
    text += whole ? rest.substr(0, sequence.length) : kReplacement;
    rest.remove_prefix(whole || replace == Replace::kSequence ? sequence.length : 1);
  }
  bytes.erase(0, bytes.size() - rest.size());
  return text;
}

}  // namespace

std::string take_characters(std::string& bytes) { return take(bytes, Replace::kSequence); }

std::string take_all_characters(std::string& bytes) {
  std::string text = take_characters(bytes);
  if (!bytes.empty()) text += kReplacement;
  bytes.clear();
  return text;
}

std::string take_characters_bytewise(std::string& bytes) { return take(bytes, Replace::kByte); }

std::string take_all_characters_bytewise(std::string& bytes) {
  std::string text = take_characters_bytewise(bytes);
  while (!bytes.empty()) {
    bytes.erase(0, 1);
    text += kReplacement;
    text += take_characters_bytewise(bytes);
  }
  return text;
}

}  // namespace graft
