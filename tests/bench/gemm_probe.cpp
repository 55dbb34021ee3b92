// gemm_probe TOKENS LOSS_ROWS: the machine's bf16 matrix rate at the shapes of a training step of SmolLM2-135M, through
// at::linear and at::mm as the step calls them, weighted by FLOPs; and at one large shape. Prints one JSON line.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <vector>

namespace {

constexpr int kRepeats = 7;

double median_seconds(const std::function<void()>& work) {
  work();
  std::vector<double> seconds;
  for (int i = 0; i < kRepeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    work();
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[kRepeats / 2];
}

struct Shape {
  std::int64_t rows, out, in;
  int count;  ///< how many such linears the model has
};

struct Work {
  double flops = 0, seconds = 0;
  double rate() const { return flops / seconds / 1e12; }
};

// Forward x W^T and the gradient of the input dy W.
Work measure(const Shape& s) {
  const at::Tensor x = at::randn({s.rows, s.in}).to(at::kBFloat16), dy = at::randn({s.rows, s.out}).to(at::kBFloat16);
  const at::Tensor w = at::randn({s.out, s.in}).to(at::kBFloat16);
  const double seconds = median_seconds([&] { at::linear(x, w); }) + median_seconds([&] { at::mm(dy, w); });
  return {4.0 * static_cast<double>(s.rows * s.out * s.in) * s.count, seconds * s.count};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: gemm_probe TOKENS LOSS_ROWS\n");
    return 2;
  }
  const at::NoGradGuard no_grad;
  const std::int64_t tokens = std::atoll(argv[1]), loss_rows = std::atoll(argv[2]);
  const std::int64_t width = 576, feed_forward = 1536, kv = 192, vocabulary = 49152;
  const std::vector<Shape> shapes = {{tokens, width, width, 60},         {tokens, kv, width, 60},
                                     {tokens, feed_forward, width, 60},  {tokens, width, feed_forward, 30},
                                     {loss_rows, vocabulary, width, 1}};
  Work step;
  for (const Shape& shape : shapes) {
    const Work work = measure(shape);
    step.flops += work.flops;
    step.seconds += work.seconds;
  }
  const Work large = measure({2048, 2048, 8192, 1});
  std::printf("{\"step_shapes_tflops\": %.4f, \"large_tflops\": %.4f, \"threads\": %d}\n", step.rate(), large.rate(),
              at::get_num_threads());
}
