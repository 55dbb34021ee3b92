#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "base/file.h"
#include "store/gguf_metadata.h"
#include "store/tensor_view.h"

namespace graft {

/// A metadata value of a GGUF file. Integers of all widths are int64 (u64 above its range is refused).
using GgufValue = std::variant<std::int64_t, double, bool, std::string, std::vector<std::int64_t>,
                               std::vector<double>, std::vector<bool>, std::vector<std::string>>;

/// A GGUF v2/v3 file, mapped; header, metadata and tensor table are bounds-checked before anything is used.
/// Source: ggml/docs/gguf.md. Errors name file and byte offset or tensor.
class GgufFile {
 public:
  explicit GgufFile(const Path& path);
  const Path& path() const { return file_.path(); }
  /// In the order of the file's table; shapes are in torch order (GGUF stores them reversed).
  const std::vector<TensorView>& tensors() const { return tensors_; }
  /// The tensor, or null where there is none. Error naming type and tensor where its type cannot be decoded
  /// yet.
  const TensorView* find(std::string_view name) const;
  /// Tensors of types that cannot be decoded yet, with the name of the type; they are not among tensors().
  const std::map<std::string, std::string, std::less<>>& unsupported() const { return unsupported_; }

  bool has(std::string_view key) const;
  /// Typed metadata (an integer passes as a number); Error where the key is missing or of another type.
  std::int64_t integer(std::string_view key) const;
  double number(std::string_view key) const;
  bool boolean(std::string_view key) const;
  const std::string& string(std::string_view key) const;
  const std::vector<std::string>& strings(std::string_view key) const;
  const std::vector<std::int64_t>& integers(std::string_view key) const;
  const std::vector<double>& numbers(std::string_view key) const;
  const std::map<std::string, GgufValue, std::less<>>& metadata() const { return metadata_; }
  /// The metadata in the file's own order and types, for copies.
  const std::vector<GgufPair>& pairs() const { return pairs_; }

 private:
  MappedFile file_;
  std::map<std::string, GgufValue, std::less<>> metadata_;
  std::vector<GgufPair> pairs_;
  std::vector<TensorView> tensors_;
  std::map<std::string, std::string, std::less<>> unsupported_;
  std::map<std::string, std::size_t, std::less<>> index_;
};

/// True where the file starts with GGUF's magic.
bool is_gguf(const Path& path);

}  // namespace graft
