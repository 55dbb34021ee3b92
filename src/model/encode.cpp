#include "model/encode.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <limits>

#include "base/error.h"
#include "base/random.h"
#include "ops/parallel.h"

namespace graft {
namespace {

constexpr double kLargestHalf = 65504.0;
constexpr std::int64_t kWorthOfAWeight = 32;  // the search for K-quants costs so many plain operations

bool is_wide(DType dtype) { return dtype == DType::kF32 || dtype == DType::kBF16; }

void check_fits(const at::Tensor& exact, DType dtype, const std::string& tensor) {
  const double largest = exact.abs().max().item<double>();  // NaN where one is NaN
  check(largest <= std::numeric_limits<float>::max(), ExitCode::kNumerics, "tensor ", tensor,
        ": holds a value that is not finite", Hint{"the base or the adapter is broken"});
  check(is_wide(dtype) || largest <= kLargestHalf, ExitCode::kNumerics, "tensor ", tensor,
        ": a value does not fit ", traits(dtype).name, " (got ", largest, ", want at most ", kLargestHalf,
        ")", Hint{"use --type bf16"});
}

}  // namespace

std::vector<std::byte> encode_rows(const at::Tensor& values, DType dtype, const std::string& tensor) {
  const at::Tensor exact = values.contiguous();
  if (exact.numel() == 0) return {};
  check_fits(exact, dtype, tensor);
  const DTypeTraits& type = traits(dtype);
  const std::int64_t rows = exact.size(0), width = exact.numel() / rows;
  // A vector is one row: its length is what blocks divide.
  const std::int64_t pieces = exact.dim() == 1 ? 1 : rows, piece = exact.dim() == 1 ? rows : width;
  const std::size_t bytes = static_cast<std::size_t>(piece) / type.values * type.bytes;
  std::vector<std::byte> encoded(bytes * static_cast<std::size_t>(pieces));
  const float* from = exact.const_data_ptr<float>();
  for_rows(pieces, piece * kWorthOfAWeight, [&](std::int64_t first, std::int64_t last) {
    encode_from_f32(dtype, {from + first * piece, static_cast<std::size_t>((last - first) * piece)},
                    encoded.data() + static_cast<std::size_t>(first) * bytes);
  });
  return encoded;
}

std::vector<std::byte> round_rows(const at::Tensor& values, const TensorView& stored, std::int64_t first,
                                  const std::string& tensor) {
  const at::Tensor exact = values.contiguous();
  if (exact.numel() == 0) return {};
  check_fits(exact, stored.dtype, tensor);
  const DTypeTraits& type = traits(stored.dtype);
  const std::int64_t rows = exact.size(0), width = exact.size(1);
  const std::size_t bytes = static_cast<std::size_t>(width) / type.values * type.bytes;
  const auto old =
      stored.bytes.subspan(static_cast<std::size_t>(first) * bytes, static_cast<std::size_t>(rows) * bytes);
  std::vector<std::byte> moved(old.begin(), old.end());
  const std::uint64_t name = hash_name(tensor.data(), tensor.size());
  for_rows(rows, width * kWorthOfAWeight, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row)
      round_on_grid(stored.dtype,
                    {exact.const_data_ptr<float>() + row * width, static_cast<std::size_t>(width)},
                    mix(name, static_cast<std::uint64_t>(first + row)),
                    moved.data() + static_cast<std::size_t>(row) * bytes);
  });
  return moved;
}

}  // namespace graft
