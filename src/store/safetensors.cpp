#include "store/safetensors.h"

#include <cstring>
#include <set>

#include "base/checked.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "store/safetensors_header.h"

namespace graft {
namespace {

void check_writable(const TensorView& tensor, const Path& path) {
  const DTypeTraits& type = traits(tensor.dtype);
  const std::string where = printable(path.string()) + ": " + printable(tensor.name);
  check(!type.safetensors.empty(), where, ": safetensors has no type ", type.name);
  check(tensor.shape.size() <= kMaxRank, where, ": got ", tensor.shape.size(), " dimensions, want at most ",
        kMaxRank);
  const std::string size_name = where + ": the size";
  auto size = static_cast<std::int64_t>(type.bytes);
  for (const std::int64_t dim : tensor.shape) size = checked_mul(size, dim, size_name.c_str());
  check(size == static_cast<std::int64_t>(tensor.bytes.size()), where, ": shape ", tensor.shape_text(),
        " of ", type.safetensors, " needs ", size, " bytes (got ", tensor.bytes.size(), ")");
}

std::string entry_text(const TensorView& tensor, std::uint64_t begin) {
  const Json entry = {{"dtype", std::string(traits(tensor.dtype).safetensors)},
                      {"shape", tensor.shape},
                      {"data_offsets", {begin, begin + tensor.bytes.size()}}};
  return to_text(Json(tensor.name)) + ":" + to_text(entry);
}

std::string header_text(const Path& path, const std::vector<TensorView>& tensors,
                        const std::map<std::string, std::string>& metadata) {
  std::string text = "{";
  if (!metadata.empty()) text += "\"__metadata__\":" + to_text(Json(metadata));
  std::set<std::string_view> names;
  std::uint64_t begin = 0;
  for (const TensorView& tensor : tensors) {
    check_tensor_name(tensor.name, path.string());
    check_writable(tensor, path);
    check(names.insert(tensor.name).second, printable(path.string()), ": two tensors are named `",
          printable(tensor.name), "`");
    if (text.size() > 1) text += ",";
    text += entry_text(tensor, begin);
    begin += tensor.bytes.size();
  }
  text += "}";
  text.append((8 - text.size() % 8) % 8, ' ');
  check(text.size() <= kMaxHeaderBytes, printable(path.string()), ": the header is too large (got ",
        text.size(), " bytes, want at most ", kMaxHeaderBytes, ")");
  return text;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const Path& path) : file_(path) {
  SafetensorsHeader header = parse_safetensors(file_.bytes(), path.string());
  tensors_ = std::move(header.tensors);
  metadata_ = std::move(header.metadata);
  for (std::size_t i = 0; i < tensors_.size(); ++i) index_.emplace(tensors_[i].name, i);
}

const TensorView* SafetensorsFile::find(std::string_view name) const {
  const auto place = index_.find(name);
  return place == index_.end() ? nullptr : &tensors_[place->second];
}

void write_safetensors(const Path& path, const std::vector<TensorView>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  const std::string header = header_text(path, tensors, metadata);
  const std::uint64_t length = header.size();
  OutputFile file(path);
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(header);
  for (const TensorView& tensor : tensors) file.write(tensor.bytes);
  file.commit();
}

}  // namespace graft
