#include "store/gguf_writer.h"

#include <algorithm>
#include <cassert>
#include <set>

#include "base/checked.h"
#include "base/error.h"
#include "base/text.h"
#include "store/safetensors_header.h"

namespace graft {
namespace {

constexpr std::uint32_t kVersion = 3;
constexpr std::size_t kMaxDims = 4, kMaxNameBytes = 63;  // GGML_MAX_DIMS, GGML_MAX_NAME with its NUL

template <class Number>
void put(std::string& bytes, Number number) {
  bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
}

std::uint64_t padded(std::uint64_t size, std::size_t alignment) {
  return (size + alignment - 1) / alignment * alignment;
}

/// Name, shape with the innermost dimension first, type, place.
void put_entry(std::string& bytes, const TensorView& tensor, std::uint64_t offset) {
  put(bytes, std::uint64_t{tensor.name.size()});
  bytes += tensor.name;
  put(bytes, static_cast<std::uint32_t>(tensor.shape.size()));
  for (auto dim = tensor.shape.rbegin(); dim != tensor.shape.rend(); ++dim) put(bytes, *dim);
  put(bytes, *traits(tensor.dtype).ggml);
  put(bytes, offset);
}

void check_name(const std::string& name, const std::string& where) {
  check_tensor_name(name, where);
  check(name.size() <= kMaxNameBytes, where, ": tensor ", printable(name), ": the name is too long (got ",
        name.size(), " bytes, want at most ", kMaxNameBytes, ")");
}

}  // namespace

std::uint64_t gguf_bytes(const TensorView& tensor, const std::string& where) {
  const DTypeTraits& type = traits(tensor.dtype);
  const std::string place = where + ": tensor " + printable(tensor.name);
  check(type.ggml.has_value(), place, ": GGUF has no type ", type.name);
  check(tensor.shape.size() <= kMaxDims, place, ": got ", tensor.shape.size(), " dimensions, want at most ",
        kMaxDims);
  const std::int64_t row = tensor.shape.empty() ? 1 : tensor.shape.back();
  check(static_cast<std::size_t>(row) % type.values == 0, place, ": rows of ", row,
        " values cannot be cut into ", type.name, " blocks of ", type.values);
  const std::string size_name = place + ": the size";
  auto blocks = std::int64_t{1};
  for (const std::int64_t dim : tensor.shape) blocks = checked_mul(blocks, dim, size_name.c_str());
  blocks /= static_cast<std::int64_t>(type.values);
  return static_cast<std::uint64_t>(
      checked_mul(blocks, static_cast<std::int64_t>(type.bytes), size_name.c_str()));
}

GgufWriter::GgufWriter(const Path& path, const GgufMetadata& metadata, const std::vector<TensorView>& tensors)
    : file_(path), alignment_(metadata.alignment()) {
  const std::string where = printable(path.string());
  std::string head = "GGUF";
  put(head, kVersion);
  put(head, std::uint64_t{tensors.size()});
  put(head, std::uint64_t{metadata.size()});
  head += metadata.encoded();
  std::set<std::string_view> names;
  std::uint64_t offset = 0;
  for (const TensorView& tensor : tensors) {
    check_name(tensor.name, where);
    check(names.insert(tensor.name).second, where, ": two tensors are named `", printable(tensor.name), "`");
    sizes_.push_back(gguf_bytes(tensor, where));
    put_entry(head, tensor, offset);
    offset = checked_add(offset, padded(sizes_.back(), alignment_), "the size of all tensors");
  }
  head.resize(padded(head.size(), alignment_), '\0');
  file_.write(head);
}

void GgufWriter::pad() {
  const std::string zeros(padded(written_, alignment_) - written_, '\0');
  file_.write(zeros);
  written_ = 0;
  ++current_;
}

void GgufWriter::write(std::span<const std::byte> bytes) {
  while (current_ < sizes_.size()) {
    const auto missing = sizes_[current_] - written_;
    const auto piece = bytes.first(static_cast<std::size_t>(std::min<std::uint64_t>(missing, bytes.size())));
    if (!piece.empty()) file_.write(piece);
    written_ += piece.size();
    bytes = bytes.subspan(piece.size());
    if (written_ < sizes_[current_]) break;
    pad();
  }
  assert(bytes.empty());
}

void GgufWriter::commit() {
  write({});  // tensors without bytes at the end
  assert(current_ == sizes_.size());
  file_.commit();
}

void write_gguf(const Path& path, const GgufMetadata& metadata, const std::vector<TensorView>& tensors) {
  for (const TensorView& tensor : tensors) {
    const std::uint64_t size = gguf_bytes(tensor, printable(path.string()));
    check(size == tensor.bytes.size(), printable(path.string()), ": tensor ", printable(tensor.name),
          ": shape ", tensor.shape_text(), " of ", traits(tensor.dtype).name, " needs ", size, " bytes (got ",
          tensor.bytes.size(), ")");
  }
  GgufWriter writer(path, metadata, tensors);
  for (const TensorView& tensor : tensors) writer.write(tensor.bytes);
  writer.commit();
}

}  // namespace graft
