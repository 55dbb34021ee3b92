#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace graft {

/// One kind of text, as documents.
struct TextPart {
  std::string name;
  std::vector<std::string> documents;
};

/// Some `bytes` of text of four kinds, the same on every machine: English (the shipped data sets), Chinese (common
/// words in random order), code (random programs in three languages' manner) and noise (characters of many blocks,
/// marks, emoji, spaces, long words).
std::vector<TextPart> mixed_text(std::size_t bytes);

}  // namespace graft
