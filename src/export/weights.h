#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "model/decoder.h"

namespace graft {

/// A tensor of an exported model, made when it is written.
struct ExportTensor {
  std::string name;  ///< Hugging Face's
  std::vector<std::int64_t> shape;
  /// Rows first … last-1 (of a vector: its elements) as fp32, adapters merged.
  std::function<at::Tensor(std::int64_t first, std::int64_t last)> rows;

  std::int64_t elements() const;
};

/// Whether embedding and head are one matrix in the exported model: they are in the base, and the adapters
/// change neither or both alike.
bool exports_tied(const Decoder& model);

/// All tensors of the model as Hugging Face names and orders them; the head only where it is not the
/// embedding. They refer to the model, which must outlive them.
std::vector<ExportTensor> export_tensors(const Decoder& model);

}  // namespace graft
