#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace graft {

/// The bytes of `value`, little-endian.
template <class Number>
std::string bytes_of(Number value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

/// A safetensors file of any header and data, right or wrong.
inline std::string safetensors_bytes(std::string_view header, std::string_view data) {
  return bytes_of(std::uint64_t{header.size()}).append(header).append(data);
}

/// A GGUF file put together piece by piece, right or wrong.
class GgufBuilder {
 public:
  explicit GgufBuilder(std::uint64_t tensors, std::uint64_t pairs, std::uint32_t version = 3) {
    bytes_ = "GGUF" + bytes_of(version) + bytes_of(tensors) + bytes_of(pairs);
  }
  static std::string string(std::string_view text) {
    return bytes_of(std::uint64_t{text.size()}).append(text);
  }
  /// A metadata pair: key, type number, the value's bytes.
  GgufBuilder& pair(std::string_view key, std::uint32_t type, std::string_view value) {
    bytes_ += string(key) + bytes_of(type);
    bytes_ += value;
    return *this;
  }
  /// A row of the tensor table; dims in GGUF order.
  GgufBuilder& tensor(std::string_view name, std::initializer_list<std::uint64_t> dims, std::uint32_t type,
                      std::uint64_t offset) {
    bytes_ += string(name) + bytes_of(static_cast<std::uint32_t>(dims.size()));
    for (const std::uint64_t dim : dims) bytes_ += bytes_of(dim);
    bytes_ += bytes_of(type) + bytes_of(offset);
    return *this;
  }
  GgufBuilder& raw(std::string_view bytes) {
    bytes_ += bytes;
    return *this;
  }
  /// Padding to 32 bytes, then the data.
  std::string with_data(std::string_view data) const {
    std::string bytes = bytes_;
    bytes.resize((bytes.size() + 31) / 32 * 32);
    return bytes.append(data);
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

}  // namespace graft
