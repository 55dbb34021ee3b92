#include "text/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "base/text.h"

namespace graft {
namespace {

constexpr std::uint32_t kAlphabetEnd = 256 + 68;  // 68 bytes have no printable character of their own

constexpr bool is_printable_latin1(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr std::array<std::uint16_t, 256> make_characters() {
  std::array<std::uint16_t, 256> characters{};
  std::uint16_t next = 256;
  for (unsigned byte = 0; byte < 256; ++byte)
    characters[byte] = is_printable_latin1(byte) ? static_cast<std::uint16_t>(byte) : next++;
  return characters;
}

constexpr std::array<std::uint16_t, 256> kCharacters = make_characters();

constexpr std::array<std::int16_t, kAlphabetEnd> make_bytes() {
  std::array<std::int16_t, kAlphabetEnd> bytes{};
  for (std::int16_t& byte : bytes) byte = -1;
  for (std::size_t byte = 0; byte < 256; ++byte) bytes[kCharacters[byte]] = static_cast<std::int16_t>(byte);
  return bytes;
}

constexpr std::array<std::int16_t, kAlphabetEnd> kBytes = make_bytes();

}  // namespace

std::optional<std::string> bytes_of_spelling(std::string_view spelling) {
  std::string bytes;
  bytes.reserve(spelling.size());
  for (std::size_t i = 0; i < spelling.size();) {
    const CodePoint character = code_point_at(spelling, i);
    if (character.value >= kAlphabetEnd || kBytes[character.value] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(kBytes[character.value]));
    i += character.length;
  }
  return bytes;
}

std::string spelling_of_bytes(std::string_view bytes) {
  std::string spelling;
  for (const char byte : bytes) append_utf8(spelling, kCharacters[static_cast<unsigned char>(byte)]);
  return spelling;
}

}  // namespace graft
