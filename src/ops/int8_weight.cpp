#include "ops/int8_weight.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cassert>
#include <chrono>
#include <iomanip>
#include <sstream>
#include <utility>

#include "base/error.h"
#include "ops/block_gemm.h"
#include "ops/product_int8.h"

namespace graft {
namespace {

class Int8Weight final : public FrozenWeight {
 public:
  explicit Int8Weight(FrozenWeightPtr original)
      : original_(std::move(original)),
        codes_(quantize_matrix(
            original_->out_features(), original_->in_features(),
            [this](std::int64_t first, std::int64_t last) { return original_->rows(first, last); })) {}

  std::int64_t out_features() const override { return original_->out_features(); }
  std::int64_t in_features() const override { return original_->in_features(); }
  Matrix matrix() const override {
    Matrix matrix = original_->matrix();
    matrix.column_unit = kTileColumns;
    matrix.int8 = codes_;
    return matrix;
  }
  at::Tensor rows(std::int64_t first, std::int64_t last) const override {
    return original_->rows(first, last);
  }
  at::Tensor look_up(const at::Tensor& ids) const override { return original_->look_up(ids); }

 private:
  FrozenWeightPtr original_;
  Int8Matrix codes_;
};

std::string in_tera(double rate) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(2) << rate / 1e12 << " TFLOP/s";
  return text.str();
}

}  // namespace

FrozenWeightPtr int8_weight(FrozenWeightPtr original) {
  assert(multiplies_int8());
  return std::make_shared<Int8Weight>(std::move(original));
}

ProductRates probe_products(std::int64_t rows, std::int64_t out, std::int64_t in, double seconds) {
  ProductRates rates;
  const auto options = at::TensorOptions().dtype(at::kBFloat16);
  const auto x = at::ones({rows, in}, options), dy = at::ones({rows, out}, options);
  const auto dense = dense_weight(at::ones({out, in}, options));
  if (!dense->suits(x)) return rates;
  const auto coded = multiplies_int8() ? int8_weight(dense) : nullptr;
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  const double flops = 4.0 * static_cast<double>(rows) * static_cast<double>(out) * static_cast<double>(in);
  const auto begin = Clock::now();
  // The first round compiles the machine's kernels and is not counted.
  for (int round = 0; round < 3 || since(begin) < seconds; ++round)
    for (const auto& [weight, rate] : {std::pair{dense, &rates.bf16}, {coded, &rates.int8}}) {
      if (!weight) continue;
      const auto start = Clock::now();
      weight->times_transposed(x);
      weight->times(dy);
      if (round > 0) *rate = std::max(*rate, flops / since(start));
    }
  return rates;
}

void check_int8_gain(const ProductRates& rates) {
  const Hint hint{"set model.compute to auto"};
  check(rates.bf16 > 0 && rates.int8 > 0, ExitCode::kResource,
        "model.compute: int8 needs a processor with products of bf16 and of bytes (AVX512_BF16 and "
        "AVX512_VNNI, or AMX)",
        hint);
  check(rates.int8 >= kLeastInt8Gain * rates.bf16, ExitCode::kResource,
        "model.compute: int8 gains too little on this machine (got ", in_tera(rates.int8), " in int8 beside ",
        in_tera(rates.bf16), " in bf16, want at least ", kLeastInt8Gain, " times as much)", hint);
}

}  // namespace graft
