#pragma once

#include <memory>
#include <string_view>

#include "text/segment.h"

namespace graft {

/// What is done to text before it is cut into words.
enum class Normalizer { kNone, kNfc };

/// `text`, which starts at byte `base` of the original, normalized, with the original bytes behind each byte
/// as Hugging Face's tokenizers count them: a composed character stands for the first of its parts only.
/// `text` must outlive the result.
std::unique_ptr<Segment> normalize(Normalizer normalizer, std::string_view text, std::size_t base);

/// `text` in Unicode's normalization form C.
std::string to_nfc(std::string_view text);

}  // namespace graft
