#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "store/safetensors_writer.h"

namespace graft {

/// A new adapter folder, written tensor by tensor; it appears whole, with commit(), or not at all.
class AdapterWriter {
 public:
  /// `tensors`: names, types and shapes of all that will follow, in that order. Errors: `out` exists
  /// (kUsage), names or sizes that the format does not allow.
  AdapterWriter(const Path& out, const Json& config, const std::vector<TensorView>& tensors,
                const std::map<std::string, std::string>& metadata);
  /// The next tensor, rounded once to the type that was announced; -> as written. Error (kNumerics): a value
  /// that is not
  /// finite, in itself or in that type.
  at::Tensor write(const at::Tensor& values);
  /// The next tensor, in bytes of the type that was announced.
  void write(std::span<const std::byte> bytes);
  /// Copies what else makes an adapter folder usable, from `source`: as graft::carry_tokenizer.
  void carry_tokenizer(const Path& source);
  void commit();

 private:
  OutputFolder folder_;
  std::vector<TensorView> tensors_;
  std::size_t next_ = 0;
  SafetensorsWriter file_;
  Json config_;
};

/// "f32" (also "fp32"), "f16" (also "fp16"), "bf16". Error (kUsage): anything else.
DType parse_float_type(const std::string& text);

}  // namespace graft
