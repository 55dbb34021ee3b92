#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/text.h"

namespace graft {

/// Reads little-endian values one after the other and never past the end. Private to this room.
class ByteReader {
 public:
  ByteReader(std::span<const std::byte> bytes, std::string source)
      : bytes_(bytes), source_(std::move(source)) {}

  std::size_t position() const { return position_; }
  std::size_t remaining() const { return bytes_.size() - position_; }
  void skip_to(std::size_t position) { position_ = position; }

  /// The next number; `what` names it where the file ends too early.
  template <class Number>
  Number read(std::string_view what) {
    if (remaining() < sizeof(Number)) fail_here("the file ends inside ", what);
    Number value;
    std::memcpy(&value, bytes_.data() + position_, sizeof value);
    position_ += sizeof value;
    return value;
  }

  /// A 64-bit length and so many bytes.
  std::string_view read_string(std::string_view what) {
    const auto length = read<std::uint64_t>(what);
    if (length > remaining()) {
      fail_here("the file ends inside ", what, " (got a length of ", length, ", ", remaining(),
                " bytes are left)");
    }
    const auto* text = reinterpret_cast<const char*>(bytes_.data()) + position_;
    position_ += static_cast<std::size_t>(length);
    return {text, static_cast<std::size_t>(length)};
  }

  /// A 64-bit count of items of at least `item_bytes` each; refused where the rest of the file cannot hold
  /// them.
  std::size_t read_count(std::string_view what, std::size_t item_bytes, std::size_t most) {
    const auto count = read<std::uint64_t>(what);
    if (count > most) fail_here(what, ": got ", count, ", want at most ", most);
    if (count > remaining() / item_bytes) {
      fail_here(what, ": got ", count, ", but only ", remaining(), " bytes are left");
    }
    return static_cast<std::size_t>(count);
  }

  /// Throws `source @byte N: parts…`.
  template <class... Parts>
  [[noreturn]] void fail_here(const Parts&... parts) const {
    fail(printable(source_), " @byte ", position_, ": ", parts...);
  }

 private:
  std::span<const std::byte> bytes_;
  std::string source_;
  std::size_t position_ = 0;
};

}  // namespace graft
