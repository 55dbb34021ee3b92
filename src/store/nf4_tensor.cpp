#include "store/nf4_tensor.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/text.h"

namespace graft {
namespace {

constexpr std::array<std::string_view, 4> kParts = {".absmax", ".quant_map", ".nested_absmax",
                                                    ".nested_quant_map"};

/// The parts of one weight, by what follows its name.
class Parts {
 public:
  Parts(const SafetensorsFolder& folder, std::string weight) : folder_(folder), weight_(std::move(weight)) {}

  bool has(std::string_view part) const { return folder_.find(weight_ + std::string(part)) != nullptr; }

  const TensorView& at(std::string_view part) const {
    const TensorView* tensor = folder_.find(weight_ + std::string(part));
    check(tensor != nullptr, where(kNf4StateSuffix), ": tensor ", printable(weight_ + std::string(part)),
          " is missing");
    return *tensor;
  }

  /// "file: tensor name", for messages about a part that exists.
  std::string where(std::string_view part) const {
    const std::string name = weight_ + std::string(part);
    return printable(folder_.file_of(name).string()) + ": tensor " + printable(name);
  }

  /// The bytes of a part; the error says what it must hold where type or number of values differ.
  std::span<const std::byte> bytes(std::string_view part, DType dtype, std::int64_t values) const {
    const TensorView& tensor = at(part);
    check(tensor.dtype == dtype && tensor.elements() == values, where(part),
          ": does not fit the weight's state (got ", traits(tensor.dtype).safetensors, " ",
          tensor.shape_text(), ", want ", traits(dtype).safetensors, " of ", values, " values)");
    return tensor.bytes;
  }

  /// A copy of an fp32 part; a value that is not finite is an error.
  std::vector<float> floats(std::string_view part, std::int64_t values) const {
    const auto stored = bytes(part, DType::kF32, values);
    std::vector<float> copy(stored.size() / sizeof(float));
    std::memcpy(copy.data(), stored.data(), stored.size());
    const auto bad =
        std::find_if(copy.begin(), copy.end(), [](float value) { return !std::isfinite(value); });
    check(bad == copy.end(), where(part), ": value ", bad - copy.begin(), " is not finite");
    return copy;
  }

 private:
  const SafetensorsFolder& folder_;
  std::string weight_;
};

// The codes may be stored under a wider type (bnb_4bit_quant_storage): only their bytes count.
std::span<const std::byte> read_codes(const Parts& parts, const Nf4State& state) {
  const std::int64_t want = (state.elements() + 1) / 2;
  const TensorView& tensor = parts.at("");
  check(static_cast<std::int64_t>(tensor.bytes.size()) == want, parts.where(""),
        ": does not fit the weight's state (got ", tensor.bytes.size(), " bytes of codes, want ", want, ")");
  return tensor.bytes;
}

void check_code_book(const Parts& parts) {
  const std::vector<float> values = parts.floats(".quant_map", std::ssize(kNf4Values));
  check(std::equal(values.begin(), values.end(), kNf4Values.begin()), parts.where(".quant_map"),
        ": is not the code book of NF4");
}

Nf4Tensor read_weight(const SafetensorsFolder& folder, const std::string& name) {
  const Parts parts(folder, name);
  const TensorView& text = parts.at(kNf4StateSuffix);
  check(text.dtype == DType::kU8 && text.shape.size() == 1, parts.where(kNf4StateSuffix),
        ": want a list of U8 (got ", traits(text.dtype).safetensors, " ", text.shape_text(), ")");
  Nf4Tensor tensor{
      .name = name,
      .state = parse_nf4_state({reinterpret_cast<const char*>(text.bytes.data()), text.bytes.size()},
                               parts.where(kNf4StateSuffix))};
  const Nf4State& state = tensor.state;
  tensor.codes = read_codes(parts, state);
  check_code_book(parts);
  if (!state.is_nested) {
    for (const std::string_view part : {".nested_absmax", ".nested_quant_map"})
      check(!parts.has(part), parts.where(kNf4StateSuffix), ": says nothing of ", printable(name), part);
    tensor.absmax = parts.floats(".absmax", state.blocks());
    return tensor;
  }
  const auto codes = parts.bytes(".absmax", DType::kU8, state.blocks());
  tensor.absmax_codes = {reinterpret_cast<const std::uint8_t*>(codes.data()), codes.size()};
  tensor.absmax_map = parts.floats(".nested_quant_map", 256);
  tensor.nested_absmax =
      parts.floats(".nested_absmax", (state.blocks() + state.nested_block - 1) / state.nested_block);
  return tensor;
}

void refuse_other_types(const SafetensorsFolder& folder, const std::string& name) {
  const bool is_fp4 = name.ends_with(".quant_state.bitsandbytes__fp4"), is_int8 = name.ends_with(".SCB");
  if (!is_fp4 && !is_int8) return;
  fail(printable(folder.file_of(name).string()), ": tensor ", printable(name), ": ", is_fp4 ? "FP4" : "8-bit",
       " weights of bitsandbytes are not read",
       Hint{"use the model in bf16 and let `model.quantization: nf4` quantise it"});
}

}  // namespace

Nf4View Nf4Tensor::view() const {
  return {.codes = codes.data(),
          .block = state.block,
          .absmax = state.is_nested ? nullptr : absmax.data(),
          .absmax_codes = absmax_codes.data(),
          .absmax_map = absmax_map.data(),
          .nested_absmax = nested_absmax.data(),
          .nested_block = state.nested_block,
          .offset = state.offset};
}

Nf4Tensors read_nf4_tensors(const SafetensorsFolder& folder) {
  Nf4Tensors result;
  for (const std::string& name : folder.names()) {
    refuse_other_types(folder, name);
    if (!name.ends_with(kNf4StateSuffix)) continue;
    const std::string weight = name.substr(0, name.size() - kNf4StateSuffix.size());
    result.weights.emplace(weight, read_weight(folder, weight));
    result.parts.insert({weight, name});
    for (const std::string_view part : kParts) {
      const std::string part_name = weight + std::string(part);
      if (folder.find(part_name) != nullptr) result.parts.insert(part_name);
    }
  }
  return result;
}

}  // namespace graft
