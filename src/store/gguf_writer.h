#pragma once

#include <string>
#include <vector>

#include "base/file.h"
#include "store/gguf_metadata.h"
#include "store/tensor_view.h"

namespace graft {

/// Writes a GGUF v3 file whose tensors need not be in memory together: metadata and tensor table first, then
/// the tensors' bytes in order, in pieces of any size; what aligns them is written between them. The file
/// appears whole, with commit(), or not at all. Source: ggml/docs/gguf.md; gguf.cpp for the limits.
class GgufWriter {
 public:
  /// Writes all that comes before the data: `metadata`, and names, types and shapes (torch order) of
  /// `tensors`, whose bytes are not looked at. Errors: a name of no or more than 63 bytes or twice, a type
  /// that GGUF has not, more than 4 dimensions, rows that do not divide into blocks, too large.
  GgufWriter(const Path& path, const GgufMetadata& metadata, const std::vector<TensorView>& tensors);
  void write(std::span<const std::byte> bytes);
  /// All bytes of all tensors were written.
  void commit();

 private:
  void pad();

  OutputFile file_;
  std::vector<std::uint64_t> sizes_;  // of the tensors
  std::size_t current_ = 0;           // of sizes_
  std::uint64_t written_ = 0;         // of the current tensor
  std::size_t alignment_;
};

/// Bytes that a tensor of this type and shape takes in a GGUF file. Errors start with `where`: as GgufWriter.
std::uint64_t gguf_bytes(const TensorView& tensor, const std::string& where);

/// Writes all of a file whose tensors are in memory. Errors: as GgufWriter, and bytes that do not fit type
/// and shape.
void write_gguf(const Path& path, const GgufMetadata& metadata, const std::vector<TensorView>& tensors);

}  // namespace graft
