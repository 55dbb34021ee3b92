#include "export/shards.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <span>

#include "base/error.h"
#include "base/format.h"
#include "base/json.h"
#include "base/signals.h"
#include "store/safetensors_writer.h"

namespace graft {
namespace {

/// Values decoded, merged and written at a time.
constexpr std::int64_t kPieceValues = std::int64_t{1} << 22;

std::int64_t bytes_of(const ExportTensor& tensor, at::ScalarType dtype) {
  return tensor.elements() * static_cast<std::int64_t>(c10::elementSize(dtype));
}

DType stored_type(at::ScalarType dtype) {
  return dtype == at::kBFloat16 ? DType::kBF16 : dtype == at::kHalf ? DType::kF16 : DType::kF32;
}

std::vector<std::span<const ExportTensor>> cut(const std::vector<ExportTensor>& tensors, at::ScalarType dtype,
                                               std::int64_t shard_bytes) {
  std::vector<std::span<const ExportTensor>> shards;
  std::size_t first = 0;
  std::int64_t bytes = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::int64_t size = bytes_of(tensors[i], dtype);
    if (i > first && bytes + size > shard_bytes) {
      shards.emplace_back(tensors.data() + first, i - first);
      first = i;
      bytes = 0;
    }
    bytes += size;
  }
  shards.emplace_back(tensors.data() + first, tensors.size() - first);
  return shards;
}

void write_tensor(SafetensorsWriter& file, const ExportTensor& tensor, at::ScalarType dtype) {
  const std::int64_t rows = tensor.shape.front();
  const std::int64_t width = std::max<std::int64_t>(1, tensor.elements() / std::max<std::int64_t>(1, rows));
  const std::int64_t step = std::max<std::int64_t>(1, kPieceValues / width);
  for (std::int64_t first = 0; first < rows; first += step) {
    check_not_stopped();
    const at::Tensor exact = tensor.rows(first, std::min(rows, first + step)).contiguous();
    check(at::isfinite(exact).all().item<bool>(), ExitCode::kNumerics, "tensor ", tensor.name,
          ": holds a value that is not finite", Hint{"the base or the adapter is broken"});
    const at::Tensor rounded = exact.to(dtype);
    check(dtype != at::kHalf || at::isfinite(rounded).all().item<bool>(), ExitCode::kNumerics, "tensor ",
          tensor.name, ": a value does not fit f16 (got ", exact.abs().max().item<double>(),
          ", want at most 65504)", Hint{"use --type bf16"});
    file.write({static_cast<const std::byte*>(rounded.const_data_ptr()), rounded.nbytes()});
  }
}

void write_shard(const Path& path, std::span<const ExportTensor> tensors, at::ScalarType dtype,
                 const std::map<std::string, std::string>& metadata) {
  std::vector<TensorView> views;
  for (const ExportTensor& tensor : tensors)
    views.push_back({.name = tensor.name, .dtype = stored_type(dtype), .shape = tensor.shape, .bytes = {}});
  std::map<std::string, std::string> all = metadata;
  all["format"] = "pt";  // transformers refuses a file without it
  SafetensorsWriter file(path, views, all);
  for (const ExportTensor& tensor : tensors) write_tensor(file, tensor, dtype);
  file.commit();
}

std::string shard_name(std::size_t index, std::size_t count) {
  return format("model-%05zu-of-%05zu.safetensors", index + 1, count);
}

}  // namespace

void write_weights(const std::vector<ExportTensor>& tensors, at::ScalarType dtype,
                   const std::map<std::string, std::string>& metadata, const Path& folder,
                   std::int64_t shard_bytes) {
  const auto shards = cut(tensors, dtype, shard_bytes);
  if (shards.size() == 1) {
    write_shard(folder / "model.safetensors", shards.front(), dtype, metadata);
    return;
  }
  Json index;
  std::int64_t total = 0;
  for (const ExportTensor& tensor : tensors) total += bytes_of(tensor, dtype);
  index["metadata"] = {{"total_size", total}};
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const std::string name = shard_name(i, shards.size());
    write_shard(folder / name, shards[i], dtype, metadata);
    for (const ExportTensor& tensor : shards[i]) index["weight_map"][tensor.name] = name;
  }
  write_file(folder / "model.safetensors.index.json", to_text(index, 2) + "\n");
}

}  // namespace graft
