#include "export/shards.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdio>
#include <span>

#include "base/error.h"
#include "base/json.h"

namespace graft {
namespace {

/// Values decoded, merged and written at a time.
constexpr std::int64_t kPieceValues = std::int64_t{1} << 22;
/// The header's padding, so that tensor data starts aligned.
constexpr std::size_t kHeaderAlignment = 8;

std::int64_t bytes_of(const ExportTensor& tensor, at::ScalarType dtype) {
  return tensor.elements() * static_cast<std::int64_t>(c10::elementSize(dtype));
}

const char* safetensors_name(at::ScalarType dtype) {
  return dtype == at::kBFloat16 ? "BF16" : dtype == at::kHalf ? "F16" : "F32";
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

/// Source: the format section of huggingface/safetensors.
std::string header_of(std::span<const ExportTensor> tensors, at::ScalarType dtype) {
  Json header;
  header["__metadata__"] = {{"format", "pt"}};
  std::int64_t offset = 0;
  for (const ExportTensor& tensor : tensors) {
    const std::int64_t end = offset + bytes_of(tensor, dtype);
    header[tensor.name] = {
        {"dtype", safetensors_name(dtype)}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = to_text(header);
  text.append((kHeaderAlignment - text.size() % kHeaderAlignment) % kHeaderAlignment, ' ');
  std::string length;
  for (std::uint64_t size = text.size(), byte = 0; byte < 8; ++byte) {
    length += static_cast<char>(size >> (8 * byte) & 0xffU);
  }
  return length + text;
}

void write_tensor(OutputFile& file, const ExportTensor& tensor, at::ScalarType dtype) {
  const std::int64_t rows = tensor.shape.front();
  const std::int64_t width = std::max<std::int64_t>(1, tensor.elements() / std::max<std::int64_t>(1, rows));
  const std::int64_t step = std::max<std::int64_t>(1, kPieceValues / width);
  for (std::int64_t first = 0; first < rows; first += step) {
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

void write_shard(const Path& path, std::span<const ExportTensor> tensors, at::ScalarType dtype) {
  OutputFile file(path);
  file.write(header_of(tensors, dtype));
  for (const ExportTensor& tensor : tensors) write_tensor(file, tensor, dtype);
  file.commit();
}

std::string shard_name(std::size_t index, std::size_t count) {
  char name[64];
  std::snprintf(name, sizeof(name), "model-%05zu-of-%05zu.safetensors", index + 1, count);
  return name;
}

}  // namespace

void write_weights(const std::vector<ExportTensor>& tensors, at::ScalarType dtype, const Path& folder,
                   std::int64_t shard_bytes) {
  const auto shards = cut(tensors, dtype, shard_bytes);
  if (shards.size() == 1) {
    write_shard(folder / "model.safetensors", shards.front(), dtype);
    return;
  }
  Json index;
  std::int64_t total = 0;
  for (const ExportTensor& tensor : tensors) total += bytes_of(tensor, dtype);
  index["metadata"] = {{"total_size", total}};
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const std::string name = shard_name(i, shards.size());
    write_shard(folder / name, shards[i], dtype);
    for (const ExportTensor& tensor : shards[i]) index["weight_map"][tensor.name] = name;
  }
  write_file(folder / "model.safetensors.index.json", to_text(index, 2) + "\n");
}

}  // namespace graft
