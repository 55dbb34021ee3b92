#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "store/tensor_view.h"

namespace graft {

/// A safetensors file, mapped; every rule of the format is checked before a tensor can be seen: header length
/// and JSON, names without control bytes, known dtypes, shapes whose product fits, offsets that start at 0
/// and follow one another without hole, overlap or rest. Source: the format section of
/// huggingface/safetensors. Errors name file and tensor.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const Path& path);
  const Path& path() const { return file_.path(); }
  /// In the order of their data in the file.
  const std::vector<TensorView>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const TensorView* find(std::string_view name) const;

 private:
  MappedFile file_;
  std::vector<TensorView> tensors_;
  std::map<std::string, std::size_t, std::less<>> index_;
  std::map<std::string, std::string> metadata_;
};

/// The tensors of a model folder: model.safetensors, or the shards that model.safetensors.index.json lists.
/// The index may name only regular files inside the folder (or a hub cache's links), each mapped tensor must
/// be in its shard. Errors: neither file, only pytorch_model.bin (refused with a hint), a bad index.
class SafetensorsFolder {
 public:
  explicit SafetensorsFolder(const Path& folder);
  SafetensorsFolder(SafetensorsFolder&&) = default;
  SafetensorsFolder(const SafetensorsFolder&) = delete;  // the index points into the files
  const TensorView* find(std::string_view name) const;
  std::vector<std::string> names() const;
  /// The file that holds the tensor `name`, which must exist; for messages.
  const Path& file_of(std::string_view name) const;

 private:
  std::vector<SafetensorsFile> files_;
  std::map<std::string, std::pair<std::size_t, const TensorView*>, std::less<>> index_;
};

/// Writes tensors in the given order with `metadata` under __metadata__; the header is padded to 8 bytes.
/// The file appears whole or not at all (OutputFile).
void write_safetensors(const Path& path, const std::vector<TensorView>& tensors,
                       const std::map<std::string, std::string>& metadata);

}  // namespace graft
