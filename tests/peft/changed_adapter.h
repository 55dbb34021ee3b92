#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "store/safetensors.h"

namespace graft {

/// A tensor of a file under construction.
struct FileTensor {
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> bytes;
};
using FileTensors = std::map<std::string, FileTensor>;

inline FileTensors tensors_of(const Path& path) {
  FileTensors tensors;
  const SafetensorsFile file(path);
  for (const TensorView& view : file.tensors())
    tensors[view.name] = {view.dtype, view.shape, {view.bytes.begin(), view.bytes.end()}};
  return tensors;
}

inline void write_tensors(const Path& path, const FileTensors& tensors) {
  std::vector<TensorView> views;
  for (const auto& [name, tensor] : tensors)
    views.push_back({name, tensor.dtype, tensor.shape, tensor.bytes});
  write_safetensors(path, views, {{"format", "pt"}});
}

/// What a test does to an adapter's tensors and adapter_config.json.
using AdapterChange = std::function<void(FileTensors&, Json&)>;

/// Writes the adapter `from` into the existing folder `to`, after `change`.
inline void write_changed_adapter(const Path& from, const Path& to, const AdapterChange& change) {
  FileTensors tensors = tensors_of(from / "adapter_model.safetensors");
  Json config = read_json(from / "adapter_config.json");
  change(tensors, config);
  write_tensors(to / "adapter_model.safetensors", tensors);
  write_file(to / "adapter_config.json", to_text(config, 2));
}

}  // namespace graft
