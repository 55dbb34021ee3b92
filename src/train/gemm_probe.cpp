#include "train/gemm_probe.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cassert>
#include <chrono>

#include "train/flops.h"

namespace graft {
namespace {

constexpr std::int64_t kHeadRows = 256;               // of logits that exist at a time
constexpr double kLargestProduct = 32e9;              // FLOPs of one measurement
constexpr std::int64_t kLargestWeight = 128'000'000;  // numbers
constexpr std::int64_t kFewestRows = 64;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// What is written into the operands does not matter to the rate, but zeros and denormals would.
at::Tensor operand(std::int64_t rows, std::int64_t columns, at::ScalarType dtype) {
  return at::rand({columns}).add_(0.5).to(dtype).expand({rows, columns}).contiguous();
}

// One shape's two products and the seconds that each round took.
class Measurement {
 public:
  Measurement(const ProductShape& shape, at::ScalarType dtype) : flops_(shape.flops()) {
    const std::int64_t out = std::min(shape.out, std::max<std::int64_t>(1, kLargestWeight / shape.in));
    const double row = 2.0 * static_cast<double>(out) * static_cast<double>(shape.in);
    const std::int64_t most = std::max(kFewestRows, static_cast<std::int64_t>(kLargestProduct / row));
    const std::int64_t rows = std::min(shape.rows, most);
    x_ = operand(rows, shape.in, dtype);
    dy_ = operand(rows, out, dtype);
    weight_ = operand(out, shape.in, dtype);
    measured_flops_ = 2.0 * row * static_cast<double>(rows);
  }

  void run() {
    const Clock::time_point start = Clock::now();
    at::linear(x_, weight_);
    at::mm(dy_, weight_);
    seconds_.push_back(seconds_since(start));
  }
  // The first run, which compiled kernels and touched memory, does not count.
  void forget() { seconds_.clear(); }

  double flops() const { return flops_; }
  // Of the step's products of this shape, at the measured rate.
  double step_seconds() const {
    std::vector<double> sorted = seconds_;
    std::sort(sorted.begin(), sorted.end());
    return flops_ / measured_flops_ * sorted[sorted.size() / 2];
  }

 private:
  double flops_, measured_flops_;
  at::Tensor x_, dy_, weight_;
  std::vector<double> seconds_;
};

}  // namespace

double ProductShape::flops() const {
  return 4.0 * static_cast<double>(rows) * static_cast<double>(out) * static_cast<double>(in) * count;
}

std::vector<ProductShape> base_products(const ModelConfig& config, std::int64_t tokens,
                                        std::int64_t loss_rows) {
  const auto layers = static_cast<double>(config.num_hidden_layers);
  const std::int64_t width = config.hidden_size, mlp = config.intermediate_size;
  const std::int64_t queries = config.num_attention_heads * config.head_dim;
  const std::int64_t keys = config.num_key_value_heads * config.head_dim;
  std::vector<ProductShape> shapes{
      {tokens, queries, width, layers}, {tokens, keys, width, 2 * layers}, {tokens, width, queries, layers}};
  const std::int64_t sparse = sparse_layers(config);
  if (const auto dense = static_cast<double>(config.num_hidden_layers - sparse); dense > 0) {
    shapes.push_back({tokens, mlp, width, 2 * dense});
    shapes.push_back({tokens, width, mlp, dense});
  }
  if (sparse > 0) {
    // As if tokens were shared out evenly; no more experts run than have a token.
    const ExpertsConfig& experts = config.experts;
    const std::int64_t choices = tokens * experts.per_token, hit = std::min(experts.count, choices),
                       rows = (choices + hit - 1) / hit;
    const auto blocks = static_cast<double>(sparse);
    const double each = blocks * static_cast<double>(choices) / static_cast<double>(rows);
    shapes.push_back({tokens, experts.count, width, blocks});
    shapes.push_back({rows, experts.width, width, 2 * each});
    shapes.push_back({rows, width, experts.width, each});
  }
  if (loss_rows > 0) {
    const std::int64_t rows = std::min(loss_rows, kHeadRows);
    shapes.push_back(
        {rows, config.vocab_size, width, static_cast<double>(loss_rows) / static_cast<double>(rows)});
  }
  return shapes;
}

double probe_gemm(const std::vector<ProductShape>& shapes, at::ScalarType dtype, double seconds) {
  assert(!shapes.empty());
  const at::NoGradGuard no_grad;
  std::vector<Measurement> measurements;
  for (const ProductShape& shape : shapes) {
    measurements.emplace_back(shape, dtype);
    measurements.back().run();
    measurements.back().forget();
  }
  const Clock::time_point start = Clock::now();
  do {
    for (Measurement& measurement : measurements) measurement.run();
  } while (seconds_since(start) < seconds);
  double flops = 0.0, time = 0.0;
  for (const Measurement& measurement : measurements) {
    flops += measurement.flops();
    time += measurement.step_seconds();
  }
  return flops / time;
}

}  // namespace graft
