#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace graft {

/// The types of a GGUF file's metadata values: enum gguf_metadata_value_type of ggml.
enum class GgufType : std::uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64
};

/// A metadata value in the type that the file shall have: readers of one key want one type.
using GgufTyped =
    std::variant<std::uint8_t, std::int8_t, std::uint16_t, std::int16_t, std::uint32_t, std::int32_t, float,
                 bool, std::string, std::uint64_t, std::int64_t, double, std::vector<std::uint8_t>,
                 std::vector<std::int8_t>, std::vector<std::uint16_t>, std::vector<std::int16_t>,
                 std::vector<std::uint32_t>, std::vector<std::int32_t>, std::vector<float>, std::vector<bool>,
                 std::vector<std::string>, std::vector<std::uint64_t>, std::vector<std::int64_t>,
                 std::vector<double>>;

/// A key and its value as a file holds it: the type, then the value.
struct GgufPair {
  std::string key;
  std::span<const std::byte> value;  ///< of the mapped file
};

/// Metadata on its way into a GGUF file, in the order in which keys were first set.
class GgufMetadata {
 public:
  /// Adds the key, or replaces its value.
  void set(std::string_view key, const GgufTyped& value);
  /// The same with a value copied from another file, in its own type.
  void set(const GgufPair& pair);
  void remove(std::string_view key);
  bool has(std::string_view key) const;

  std::size_t size() const { return pairs_.size(); }
  /// All pairs as the file holds them.
  std::string encoded() const;
  /// general.alignment where it is set, else 32. Error: no power of two up to 2^30.
  std::size_t alignment() const;

 private:
  std::string& value_of(std::string_view key);
  std::vector<std::pair<std::string, std::string>> pairs_;  // key, encoded type and value
};

}  // namespace graft
