#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace graft {

/// GPT-2's alphabet: each byte has one printable character, by which byte-level vocabularies spell it (" " is
/// "Ġ"). Source: openai/gpt-2 encoder.py, bytes_to_unicode.

/// The bytes that a vocabulary's spelling stands for, or nothing where a character is outside the alphabet.
std::optional<std::string> bytes_of_spelling(std::string_view spelling);
/// The spelling of bytes.
std::string spelling_of_bytes(std::string_view bytes);

}  // namespace graft
