#include "kernels/dtype.h"

#include <array>

namespace graft {
namespace {

// In the order of DType. ggml type numbers: enum ggml_type of ggml.h.
constexpr std::array<DTypeTraits, 23> kTraits{{
    {DType::kF64, "f64", "F64", 28, 1, 8},        {DType::kF32, "f32", "F32", 0, 1, 4},
    {DType::kF16, "f16", "F16", 1, 1, 2},         {DType::kBF16, "bf16", "BF16", 30, 1, 2},
    {DType::kI64, "i64", "I64", 27, 1, 8},        {DType::kI32, "i32", "I32", 26, 1, 4},
    {DType::kI16, "i16", "I16", 25, 1, 2},        {DType::kI8, "i8", "I8", 24, 1, 1},
    {DType::kU8, "u8", "U8", std::nullopt, 1, 1}, {DType::kBool, "bool", "BOOL", std::nullopt, 1, 1},
    {DType::kQ4_0, "q4_0", "", 2, 32, 18},        {DType::kQ4_1, "q4_1", "", 3, 32, 20},
    {DType::kQ5_0, "q5_0", "", 6, 32, 22},        {DType::kQ5_1, "q5_1", "", 7, 32, 24},
    {DType::kQ8_0, "q8_0", "", 8, 32, 34},        {DType::kQ2_K, "q2_k", "", 10, 256, 84},
    {DType::kQ3_K, "q3_k", "", 11, 256, 110},     {DType::kQ4_K, "q4_k", "", 12, 256, 144},
    {DType::kQ5_K, "q5_k", "", 13, 256, 176},     {DType::kQ6_K, "q6_k", "", 14, 256, 210},
    {DType::kQ8_K, "q8_k", "", 15, 256, 292},     {DType::kIq4Nl, "iq4_nl", "", 20, 32, 18},
    {DType::kIq4Xs, "iq4_xs", "", 23, 256, 136},
}};

constexpr bool is_in_order() {
  for (std::size_t i = 0; i < kTraits.size(); ++i) {
    if (kTraits[i].dtype != static_cast<DType>(i)) return false;
  }
  return true;
}
static_assert(is_in_order());

}  // namespace

const DTypeTraits& traits(DType dtype) { return kTraits[static_cast<std::size_t>(dtype)]; }

std::optional<DType> dtype_of_safetensors(std::string_view name) {
  for (const DTypeTraits& row : kTraits) {
    if (!row.safetensors.empty() && row.safetensors == name) return row.dtype;
  }
  return std::nullopt;
}

std::optional<DType> dtype_of_ggml(std::uint32_t type) {
  for (const DTypeTraits& row : kTraits) {
    if (row.ggml == type) return row.dtype;
  }
  return std::nullopt;
}

}  // namespace graft
