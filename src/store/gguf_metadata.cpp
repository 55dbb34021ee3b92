#include "store/gguf_metadata.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/error.h"

static_assert(std::endian::native == std::endian::little, "numbers are written as they lie in memory");

namespace graft {
namespace {

constexpr std::size_t kDefaultAlignment = 32, kMaxAlignment = std::size_t{1} << 30;
constexpr const char* kAlignmentKey = "general.alignment";

template <class Number>
void put(std::string& bytes, Number number) {
  bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
}

// The type number of each C++ type.
template <class Value>
constexpr GgufType kTypeOf = GgufType::kArray;
template <>
constexpr GgufType kTypeOf<std::uint8_t> = GgufType::kU8;
template <>
constexpr GgufType kTypeOf<std::int8_t> = GgufType::kI8;
template <>
constexpr GgufType kTypeOf<std::uint16_t> = GgufType::kU16;
template <>
constexpr GgufType kTypeOf<std::int16_t> = GgufType::kI16;
template <>
constexpr GgufType kTypeOf<std::uint32_t> = GgufType::kU32;
template <>
constexpr GgufType kTypeOf<std::int32_t> = GgufType::kI32;
template <>
constexpr GgufType kTypeOf<float> = GgufType::kF32;
template <>
constexpr GgufType kTypeOf<bool> = GgufType::kBool;
template <>
constexpr GgufType kTypeOf<std::string> = GgufType::kString;
template <>
constexpr GgufType kTypeOf<std::uint64_t> = GgufType::kU64;
template <>
constexpr GgufType kTypeOf<std::int64_t> = GgufType::kI64;
template <>
constexpr GgufType kTypeOf<double> = GgufType::kF64;

void put_value(std::string& bytes, const std::string& text) {
  put(bytes, std::uint64_t{text.size()});
  bytes += text;
}
void put_value(std::string& bytes, bool value) { put(bytes, static_cast<std::uint8_t>(value ? 1 : 0)); }
template <class Number>
void put_value(std::string& bytes, Number number) {
  put(bytes, number);
}
template <class Element>
void put_value(std::string& bytes, const std::vector<Element>& elements) {
  put(bytes, kTypeOf<Element>);
  put(bytes, std::uint64_t{elements.size()});
  for (const auto& element : elements) put_value(bytes, static_cast<const Element&>(element));
}

}  // namespace

std::string& GgufMetadata::value_of(std::string_view key) {
  const auto place = std::ranges::find(pairs_, key, &std::pair<std::string, std::string>::first);
  return place != pairs_.end() ? place->second : pairs_.emplace_back(key, "").second;
}

void GgufMetadata::set(std::string_view key, const GgufTyped& value) {
  std::string bytes;
  std::visit(
      [&]<class Value>(const Value& held) {
        put(bytes, kTypeOf<Value>);
        put_value(bytes, held);
      },
      value);
  value_of(key) = std::move(bytes);
}

void GgufMetadata::set(const GgufPair& pair) {
  value_of(pair.key).assign(reinterpret_cast<const char*>(pair.value.data()), pair.value.size());
}

void GgufMetadata::remove(std::string_view key) {
  std::erase_if(pairs_, [&](const auto& pair) { return pair.first == key; });
}

bool GgufMetadata::has(std::string_view key) const {
  return std::ranges::any_of(pairs_, [&](const auto& pair) { return pair.first == key; });
}

std::string GgufMetadata::encoded() const {
  std::string bytes;
  for (const auto& [key, value] : pairs_) {
    put_value(bytes, key);
    bytes += value;
  }
  return bytes;
}

std::size_t GgufMetadata::alignment() const {
  for (const auto& [key, value] : pairs_) {
    if (key != kAlignmentKey) continue;
    GgufType type{};
    std::uint32_t alignment = 0;
    std::memcpy(&type, value.data(), std::min(sizeof type, value.size()));
    const bool is_whole = type == GgufType::kU32 && value.size() == sizeof type + sizeof alignment;
    if (is_whole) std::memcpy(&alignment, value.data() + sizeof type, sizeof alignment);
    check(std::has_single_bit(alignment) && alignment <= kMaxAlignment, kAlignmentKey,
          ": want a u32 that is a power of two up to 2^30");
    return alignment;
  }
  return kDefaultAlignment;
}

}  // namespace graft
