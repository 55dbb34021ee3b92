#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/tensor_view.h"

namespace graft {

/// Limits of the format (and, for the rank, of what graft can use).
inline constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
inline constexpr std::size_t kMaxRank = 8;

/// The checked header of a safetensors file. Private to this room.
struct SafetensorsHeader {
  std::vector<TensorView> tensors;  ///< in the order of their data, bytes inside the file's
  std::map<std::string, std::string> metadata;
};

/// Reads and checks the header of the safetensors file `bytes`; `source` names it in errors.
SafetensorsHeader parse_safetensors(std::span<const std::byte> bytes, const std::string& source);

/// Throws unless `name` may name a tensor: valid UTF-8 without control characters, not "__metadata__".
void check_tensor_name(std::string_view name, std::string_view source);

}  // namespace graft
