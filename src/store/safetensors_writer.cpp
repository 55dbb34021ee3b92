#include "store/safetensors_writer.h"

#include <cassert>
#include <cstring>
#include <set>

#include "base/checked.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "store/safetensors.h"
#include "store/safetensors_header.h"

namespace graft {
namespace {

/// Bytes that the tensor takes; Error where the format cannot hold it.
std::int64_t checked_size(const TensorView& tensor, const Path& path) {
  const DTypeTraits& type = traits(tensor.dtype);
  const std::string where = printable(path.string()) + ": " + printable(tensor.name);
  check(!type.safetensors.empty(), where, ": safetensors has no type ", type.name);
  check(tensor.shape.size() <= kMaxRank, where, ": got ", tensor.shape.size(), " dimensions, want at most ",
        kMaxRank);
  const std::string size_name = where + ": the size";
  auto size = static_cast<std::int64_t>(type.bytes);
  for (const std::int64_t dim : tensor.shape) size = checked_mul(size, dim, size_name.c_str());
  return size;
}

std::string entry_text(const TensorView& tensor, std::int64_t begin, std::int64_t end) {
  const Json entry = {{"dtype", std::string(traits(tensor.dtype).safetensors)},
                      {"shape", tensor.shape},
                      {"data_offsets", {begin, end}}};
  return to_text(Json(tensor.name)) + ":" + to_text(entry);
}

struct Header {
  std::string text;
  std::int64_t data_bytes = 0;
};

Header header_of(const Path& path, const std::vector<TensorView>& tensors,
                 const std::map<std::string, std::string>& metadata) {
  Header header{.text = "{"};
  std::string& text = header.text;
  if (!metadata.empty()) text += "\"__metadata__\":" + to_text(Json(metadata));
  std::set<std::string_view> names;
  for (const TensorView& tensor : tensors) {
    check_tensor_name(tensor.name, path.string());
    check(names.insert(tensor.name).second, printable(path.string()), ": two tensors are named `",
          printable(tensor.name), "`");
    const std::int64_t end =
        checked_add(header.data_bytes, checked_size(tensor, path), "the size of all tensors");
    if (text.size() > 1) text += ",";
    text += entry_text(tensor, header.data_bytes, end);
    header.data_bytes = end;
  }
  text += "}";
  text.append((8 - text.size() % 8) % 8, ' ');
  check(text.size() <= kMaxHeaderBytes, printable(path.string()), ": the header is too large (got ",
        text.size(), " bytes, want at most ", kMaxHeaderBytes, ")");
  return header;
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(const Path& path, const std::vector<TensorView>& tensors,
                                     const std::map<std::string, std::string>& metadata)
    : file_(path) {
  const Header header = header_of(path, tensors, metadata);
  const std::uint64_t length = header.text.size();
  file_.write(std::as_bytes(std::span(&length, 1)));
  file_.write(header.text);
  missing_ = static_cast<std::uint64_t>(header.data_bytes);
}

void SafetensorsWriter::write(std::span<const std::byte> bytes) {
  assert(bytes.size() <= missing_);
  file_.write(bytes);
  missing_ -= bytes.size();
}

void SafetensorsWriter::commit() {
  assert(missing_ == 0);
  file_.commit();
}

void write_safetensors(const Path& path, const std::vector<TensorView>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  for (const TensorView& tensor : tensors) {
    const std::int64_t size = checked_size(tensor, path);
    check(size == static_cast<std::int64_t>(tensor.bytes.size()), printable(path.string()), ": ",
          printable(tensor.name), ": shape ", tensor.shape_text(), " of ", traits(tensor.dtype).safetensors,
          " needs ", size, " bytes (got ", tensor.bytes.size(), ")");
  }
  SafetensorsWriter writer(path, tensors, metadata);
  for (const TensorView& tensor : tensors) writer.write(tensor.bytes);
  writer.commit();
}

}  // namespace graft
