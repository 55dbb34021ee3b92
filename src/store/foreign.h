#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace graft {

/// What a file that is not of the expected format seems to be: " (it looks like …)", or "" where nothing is
/// recognised. For errors about the first bytes of a weights file. Private to this room.
std::string foreign_format(std::span<const std::byte> bytes);
/// What to do about it, or "".
std::string foreign_hint(std::span<const std::byte> bytes);

}  // namespace graft
