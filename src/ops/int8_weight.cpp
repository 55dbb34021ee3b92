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
  explicit Int8Weight(WeightSource source)
      : source_(std::move(source)), codes_(quantize_matrix(source_.out, source_.in, source_.read_rows)) {
    source_.release();
  }

  std::int64_t out_features() const override { return source_.out; }
  std::int64_t in_features() const override { return source_.in; }
  Matrix matrix() const override {
    return {
        .rows = source_.out, .columns = source_.in, .read = {}, .column_unit = kTileColumns, .int8 = codes_};
  }
  at::Tensor rows(std::int64_t first, std::int64_t last) const override {
    auto values = source_.read_rows(first, last);
    source_.release();
    return values;
  }
  at::Tensor look_up(const at::Tensor& ids) const override {
    auto found = at::empty({ids.size(0), source_.in}, at::kBFloat16);
    const auto* id = ids.const_data_ptr<std::int64_t>();
    for (std::int64_t i = 0; i < ids.size(0); ++i) found[i].copy_(rows(id[i], id[i] + 1)[0]);
    return found;
  }

 private:
  WeightSource source_;
  Int8Matrix codes_;
};

constexpr double kPatience = 10;

std::string in_tera(double rate) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(2) << rate / 1e12 << " TFLOP/s";
  return text.str();
}

}  // namespace

FrozenWeightPtr int8_weight(FrozenWeightPtr original) {
  const auto out = original->out_features(), in = original->in_features();
  return int8_weight(WeightSource{
      .out = out,
      .in = in,
      .read_rows = [original = std::move(original)](
                       std::int64_t first, std::int64_t last) { return original->rows(first, last); },
      .release = [] {}});
}

FrozenWeightPtr int8_weight(WeightSource source) {
  assert(multiplies_int8());
  return std::make_shared<Int8Weight>(std::move(source));
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
  // What else runs on the machine can only make a rate too small: a poor gain is looked at for longer.
  const auto wanted = [&] {
    return rates.int8 < kLeastInt8Gain * rates.bf16 ? kPatience * seconds : seconds;
  };
  // The first round compiles the machine's kernels and is not counted.
  for (int round = 0; round < 3 || since(begin) < wanted(); ++round)
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
