#include <bit>
#include <cmath>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "store/nf4_tensor.h"
#include "store/safetensors_header.h"

namespace graft {
namespace {

constexpr std::size_t kMaxStateBytes = 1 << 16;
constexpr std::int64_t kMinBlock = 32, kMaxBlock = 4096;  // what bitsandbytes takes
// Elements of a weight: their bytes as fp32 must fit too.
constexpr std::int64_t kMaxElements = INT64_MAX / 8;

struct DTypeName {
  DType dtype;
  const char* name;
};
constexpr DTypeName kDTypeNames[] = {
    {DType::kBF16, "bfloat16"}, {DType::kF16, "float16"}, {DType::kF32, "float32"}};

DType parse_dtype(const JsonView& view) {
  const std::string& text = view.as_string();
  for (const auto& [dtype, name] : kDTypeNames) {
    if (text == name) return dtype;
  }
  fail(view, ": got `", printable(text), "`, want bfloat16, float16 or float32");
}

std::int64_t parse_block(const JsonView& view) {
  const std::int64_t block = view.as_int();
  check(block >= kMinBlock && block <= kMaxBlock && std::has_single_bit(static_cast<std::uint64_t>(block)),
        view, ": got ", block, ", want a power of two from ", kMinBlock, " to ", kMaxBlock);
  return block;
}

std::vector<std::int64_t> parse_shape(const JsonView& view) {
  check(view.is_array() && view.size() >= 1 && view.size() <= kMaxRank, view, ": want a list of 1 to ",
        kMaxRank, " dimensions");
  std::vector<std::int64_t> shape;
  std::int64_t elements = 1;
  view.each_element([&](const JsonView& dim) {
    shape.push_back(dim.as_int(1));
    check(!__builtin_mul_overflow(elements, shape.back(), &elements) && elements <= kMaxElements, view,
          ": the product of the dimensions is too large");
  });
  return shape;
}

void parse_nested(const JsonView& view, Nf4State& state) {
  state.is_nested = true;
  state.nested_block = parse_block(view.at("nested_blocksize"));
  const JsonView dtype = view.at("nested_dtype"), offset = view.at("nested_offset");
  check(dtype.as_string() == "float32", dtype, ": got `", printable(dtype.as_string()), "`, want float32");
  state.offset = static_cast<float>(offset.as_double());
  check(std::isfinite(state.offset), offset, ": does not fit fp32");
}

}  // namespace

std::int64_t Nf4State::elements() const {
  std::int64_t product = 1;
  for (const std::int64_t dim : shape) product *= dim;
  return product;
}

std::int64_t Nf4State::blocks() const { return (elements() + block - 1) / block; }

Nf4State parse_nf4_state(std::string_view text, const std::string& source) {
  const Json json = parse_json(text, source, {.max_bytes = kMaxStateBytes, .max_depth = 8});
  const JsonView view(json, source);
  bool is_nested = false;
  view.each_member([&](const std::string& key, const JsonView& member) {
    const bool is_of_nested = key == "nested_blocksize" || key == "nested_dtype" || key == "nested_offset";
    is_nested = is_nested || is_of_nested;
    check(is_of_nested || key == "quant_type" || key == "blocksize" || key == "dtype" || key == "shape",
          member, ": unknown key");
  });
  const JsonView type = view.at("quant_type");
  check(type.as_string() == "nf4", type, ": got `", printable(type.as_string()), "`, want nf4");
  Nf4State state{.shape = parse_shape(view.at("shape")),
                 .block = parse_block(view.at("blocksize")),
                 .dtype = parse_dtype(view.at("dtype"))};
  if (is_nested) parse_nested(view, state);
  return state;
}

std::string nf4_state_text(const Nf4State& state) {
  Json json = {{"quant_type", "nf4"}, {"blocksize", state.block}};
  for (const auto& [dtype, name] : kDTypeNames) {
    if (dtype == state.dtype) json["dtype"] = name;
  }
  json["shape"] = state.shape;
  if (state.is_nested) {
    json["nested_blocksize"] = state.nested_block;
    json["nested_dtype"] = "float32";
    json["nested_offset"] = static_cast<double>(state.offset);
  }
  return to_text(json);
}

}  // namespace graft
