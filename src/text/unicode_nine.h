#pragma once

#include <cstdint>

namespace graft {

/// Whether a mark keeps its place among other marks and a character its composition, because Hugging Face's
/// tokenizers normalize by Unicode 9, which did not have it yet. Letters and numbers are of other versions.
bool is_later_mark(std::uint32_t c);
/// The same for a character that a later Unicode decomposes.
bool is_later_composite(std::uint32_t c);

}  // namespace graft
