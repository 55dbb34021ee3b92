#pragma once

#include <string>

namespace graft {

/// Takes the whole characters from the front of `bytes` and returns them, each ill-formed sequence as U+FFFD
/// (the longest start of a character counts as one, as Rust and the WHATWG decoder do). What may still become
/// a character stays in `bytes`.
std::string take_characters(std::string& bytes);
/// take_characters, then U+FFFD for what is left. `bytes` is empty afterwards.
std::string take_all_characters(std::string& bytes);

/// The same with U+FFFD for each byte that is part of no character, as sentencepiece does.
std::string take_characters_bytewise(std::string& bytes);
std::string take_all_characters_bytewise(std::string& bytes);

}  // namespace graft
