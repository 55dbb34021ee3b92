#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "store/tensor_view.h"

namespace graft {

/// Writes a safetensors file whose tensors need not be in memory together: the header first, then their bytes
/// in order, in pieces of any size. The file appears whole, with commit(), or not at all.
class SafetensorsWriter {
 public:
  /// Writes the header: names, types and shapes of `tensors` (their bytes are not looked at), `metadata`
  /// under
  /// __metadata__, padded to 8 bytes. Errors: a name or type that the format does not allow, a name twice,
  /// too large.
  SafetensorsWriter(const Path& path, const std::vector<TensorView>& tensors,
                    const std::map<std::string, std::string>& metadata);
  void write(std::span<const std::byte> bytes);
  /// All bytes of all tensors were written.
  void commit();

 private:
  OutputFile file_;
  std::uint64_t missing_ = 0;
};

}  // namespace graft
