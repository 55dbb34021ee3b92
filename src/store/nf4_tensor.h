#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/nf4.h"
#include "store/safetensors.h"
#include "store/tensor_view.h"

namespace graft {

/// The end of the name of the tensor that holds, as JSON, what NF4's other tensors do not say.
inline constexpr std::string_view kNf4StateSuffix = ".quant_state.bitsandbytes__nf4";

/// That JSON: how a weight was quantised.
struct Nf4State {
  std::vector<std::int64_t> shape;  ///< of the weight, [out, in]
  std::int64_t block = kNf4Block;
  DType dtype = DType::kBF16;  ///< what the weight was, and what other programs decode it to
  bool is_nested = false;      ///< are the scales quantised too?
  std::int64_t nested_block = kNf4NestedBlock;
  float offset = 0;

  std::int64_t elements() const;
  /// Scales: elements / block, rounded up.
  std::int64_t blocks() const;
};

/// Reads and checks such a JSON; `source` names it in errors: known keys and types, 1 to 8 dimensions whose
/// product fits, blocks a power of two from 32 to 4,096, a finite offset.
Nf4State parse_nf4_state(std::string_view text, const std::string& source);
/// The JSON of a state, as parse_nf4_state and bitsandbytes read it.
std::string nf4_state_text(const Nf4State& state);

/// A weight that a checkpoint holds in NF4. Codes, and the codes of doubly quantised scales, stay in the
/// mapped file; fp32 parts are copied, since they may lie at any address there.
struct Nf4Tensor {
  std::string name;  ///< of the weight
  Nf4State state;
  std::span<const std::byte> codes{};            ///< [(elements + 1) / 2]
  std::vector<float> absmax{};                   ///< [blocks]; empty where nested
  std::span<const std::uint8_t> absmax_codes{};  ///< [blocks] where nested
  std::vector<float> absmax_map{},
      nested_absmax{};  ///< [256], [blocks / nested_block, rounded up] where nested

  /// Valid as long as the file is mapped and this is neither moved nor changed.
  Nf4View view() const;
};

/// The weights of a checkpoint that are in NF4, and the names of all tensors that they are made of.
struct Nf4Tensors {
  std::map<std::string, Nf4Tensor, std::less<>> weights;
  std::set<std::string, std::less<>> parts;  ///< of the names in the folder; those of the weights too
};

/// Reads what bitsandbytes and transformers serialise: beside `X` (codes) the tensors X.absmax, X.quant_map,
/// X.nested_absmax, X.nested_quant_map and X.quant_state.bitsandbytes__nf4. All sizes and types are checked
/// against the state, scales are finite, the code book is NF4's. Errors name file and tensor; FP4 and 8-bit
/// weights of bitsandbytes are refused. Source: QuantState.as_dict of bitsandbytes.
Nf4Tensors read_nf4_tensors(const SafetensorsFolder& folder);

}  // namespace graft
