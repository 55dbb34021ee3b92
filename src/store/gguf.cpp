#include "store/gguf.h"

#include <array>

#include "base/error.h"
#include "base/text.h"
#include "store/gguf_parser.h"

namespace graft {
namespace {

constexpr std::array kKinds{"an integer",         "a number with a fraction", "a boolean",
                            "a string",           "a list of integers",       "a list of numbers",
                            "a list of booleans", "a list of strings"};
static_assert(kKinds.size() == std::variant_size_v<GgufValue>);

const GgufValue& value_of(const GgufFile& file, std::string_view key) {
  const auto place = file.metadata().find(key);
  if (place == file.metadata().end())
    fail(printable(file.path().string()), ": ", key, ": missing from the metadata");
  return place->second;
}

template <class Value>
const Value& get(const GgufFile& file, std::string_view key, const char* want) {
  const GgufValue& value = value_of(file, key);
  const Value* held = std::get_if<Value>(&value);
  check(held != nullptr, printable(file.path().string()), ": ", key, ": got ", kKinds[value.index()],
        ", want ", want);
  return *held;
}

}  // namespace

GgufFile::GgufFile(const Path& path) : file_(path) {
  GgufContents contents = parse_gguf(file_.bytes(), path.string());
  metadata_ = std::move(contents.metadata);
  pairs_ = std::move(contents.pairs);
  tensors_ = std::move(contents.tensors);
  unsupported_ = std::move(contents.unsupported);
  for (std::size_t i = 0; i < tensors_.size(); ++i) index_.emplace(tensors_[i].name, i);
}

const TensorView* GgufFile::find(std::string_view name) const {
  const auto place = index_.find(name);
  if (place != index_.end()) return &tensors_[place->second];
  const auto unsupported = unsupported_.find(name);
  if (unsupported == unsupported_.end()) return nullptr;
  fail(
      printable(path().string()), ": not yet supported: ", unsupported->second, " (tensor ", printable(name),
      ")",
      Hint{
          "use a file of the types F32, F16, BF16, Q8_0, Q5_1, Q5_0, Q4_1, Q4_0, Q2_K to Q6_K, Q8_K, IQ4_NL, "
          "IQ4_XS"});
}

bool GgufFile::has(std::string_view key) const { return metadata_.contains(key); }

std::int64_t GgufFile::integer(std::string_view key) const {
  return get<std::int64_t>(*this, key, "an integer");
}

double GgufFile::number(std::string_view key) const {
  const auto* integer = std::get_if<std::int64_t>(&value_of(*this, key));
  return integer != nullptr ? static_cast<double>(*integer) : get<double>(*this, key, "a number");
}

bool GgufFile::boolean(std::string_view key) const { return get<bool>(*this, key, "a boolean"); }

const std::string& GgufFile::string(std::string_view key) const {
  return get<std::string>(*this, key, "a string");
}

const std::vector<std::string>& GgufFile::strings(std::string_view key) const {
  return get<std::vector<std::string>>(*this, key, "a list of strings");
}

const std::vector<std::int64_t>& GgufFile::integers(std::string_view key) const {
  return get<std::vector<std::int64_t>>(*this, key, "a list of integers");
}

const std::vector<double>& GgufFile::numbers(std::string_view key) const {
  return get<std::vector<double>>(*this, key, "a list of numbers");
}

bool is_gguf(const Path& path) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()).starts_with("GGUF");
}

}  // namespace graft
