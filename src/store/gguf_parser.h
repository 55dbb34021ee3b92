#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "store/gguf.h"
#include "store/tensor_view.h"

namespace graft {

/// What a GGUF file holds, checked. Private to this room.
struct GgufContents {
  std::map<std::string, GgufValue, std::less<>> metadata;
  std::vector<GgufPair> pairs;                                  ///< the same as they lie in the file
  std::vector<TensorView> tensors;                              ///< in the order of the table
  std::map<std::string, std::string, std::less<>> unsupported;  ///< tensor -> the type that graft cannot read
};

/// Reads and checks the GGUF file `bytes`; `source` names it in errors. Pairs and tensors refer to `bytes`.
GgufContents parse_gguf(std::span<const std::byte> bytes, const std::string& source);

}  // namespace graft
