#pragma once

#include <cstdint>

#include "model/decoder.h"
#include "model/options.h"

namespace graft {

/// How much tensors of one kind are, in numbers and as their file holds them.
struct TensorSizes {
  std::int64_t values = 0;
  std::uint64_t file_bytes = 0;

  TensorSizes& operator+=(const TensorSizes& other) {
    values += other.values;
    file_bytes += other.file_bytes;
    return *this;
  }
};

/// The matrices of a base. Norms and biases are a thousandth of them and left out.
struct BaseSizes {
  TensorSizes linears;     ///< of the blocks
  TensorSizes embeddings;  ///< embedding and head, once where they are one matrix
};

/// A base as the headers of its files describe it.
struct BaseOutline {
  Decoder model;  ///< names and shapes; its weights have no numbers (meta device)
  BaseSizes sizes;
};

/// Reads config and tensor headers and nothing of the weights. Errors: as load_model, but for what only the
/// weights themselves tell.
BaseOutline outline_model(const ModelOptions& options);

}  // namespace graft
