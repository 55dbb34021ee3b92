#include "model/encode.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <limits>

#include "base/error.h"
#include "ops/parallel.h"

namespace graft {
namespace {

constexpr double kLargestHalf = 65504.0;

bool is_wide(DType dtype) { return dtype == DType::kF32 || dtype == DType::kBF16; }

}  // namespace

std::vector<std::byte> encode_rows(const at::Tensor& values, DType dtype, const std::string& tensor) {
  const at::Tensor exact = values.contiguous();
  if (exact.numel() == 0) return {};
  const double largest = exact.abs().max().item<double>();  // NaN where one is NaN
  check(largest <= std::numeric_limits<float>::max(), ExitCode::kNumerics, "tensor ", tensor,
        ": holds a value that is not finite", Hint{"the base or the adapter is broken"});
  check(is_wide(dtype) || largest <= kLargestHalf, ExitCode::kNumerics, "tensor ", tensor,
        ": a value does not fit ", traits(dtype).name, " (got ", largest, ", want at most ", kLargestHalf,
        ")", Hint{"use --type bf16"});
  const DTypeTraits& type = traits(dtype);
  const std::int64_t rows = exact.size(0), width = exact.numel() / rows;
  // A vector is one row: its length is what blocks divide.
  const std::int64_t pieces = exact.dim() == 1 ? 1 : rows, piece = exact.dim() == 1 ? rows : width;
  const std::size_t bytes = static_cast<std::size_t>(piece) / type.values * type.bytes;
  std::vector<std::byte> encoded(bytes * static_cast<std::size_t>(pieces));
  const float* from = exact.const_data_ptr<float>();
  constexpr std::int64_t kWorthOfAWeight = 32;  // the search for K-quants costs so many plain operations
  for_rows(pieces, piece * kWorthOfAWeight, [&](std::int64_t first, std::int64_t last) {
    encode_from_f32(dtype, {from + first * piece, static_cast<std::size_t>((last - first) * piece)},
                    encoded.data() + static_cast<std::size_t>(first) * bytes);
  });
  return encoded;
}

}  // namespace graft
