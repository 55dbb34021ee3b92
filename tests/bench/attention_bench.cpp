// Packed attention beside at::scaled_dot_product_attention, forward and backward in one run, for the shapes
// of SmolLM2-135M (9 heads, 3 kv heads, width 64) in bf16, and as a share of the machine's bf16 matrix rate.
// attention_bench [--json] [LENGTH…]: packs of 2,048 tokens, or one sequence where it is longer. A table, or
// one JSON line a length.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "ops/attention.h"
#include "ops/cpu_allocator.h"
#include "train/gemm_probe.h"

namespace {

constexpr std::int64_t kHeads = 9, kKvHeads = 3, kWidth = 64;
constexpr double kScale = 0.125;

double seconds_of(const auto& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct Times {
  double forward = 1e9, both = 1e9;
};

/// Best of several rounds; the sides take turns, so that a busy neighbour hits both.
template <class F>
void measure(const F& attend, const std::vector<at::Tensor>& inputs, const at::Tensor& dout, Times& best) {
  at::Tensor out;
  const auto forward = seconds_of([&] { out = attend(inputs[0], inputs[1], inputs[2]); });
  const auto backward = seconds_of([&] {
    torch::autograd::grad({out}, {inputs[0], inputs[1], inputs[2]}, {dout});
  });
  best.forward = std::min(best.forward, forward);
  best.both = std::min(best.both, forward + backward);
}

at::Tensor sdpa(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                const graft::PackLayout& layout) {
  std::vector<at::Tensor> parts;
  for (std::int64_t n = 0; n < layout.sequences(); ++n) {
    const auto heads_first = [&](const at::Tensor& x) {
      return x.slice(0, layout.starts[n], layout.starts[n + 1]).permute({1, 0, 2}).unsqueeze(0);
    };
    const auto out = at::scaled_dot_product_attention(heads_first(q), heads_first(k), heads_first(v), {}, 0.0,
                                                      /*is_causal=*/true, kScale, /*enable_gqa=*/true);
    parts.push_back(out.squeeze(0).permute({1, 0, 2}));
  }
  return at::cat(parts);
}

enum class Output { kTable, kJson };

void compare(std::int64_t length, double rate, Output output) {
  const auto sequences = std::max<std::int64_t>(1, 2048 / length), tokens = sequences * length;
  graft::PackLayout layout{{0}, {}};
  for (std::int64_t n = 1; n <= sequences; ++n) layout.starts.push_back(n * length);
  const auto draw = [&](std::int64_t heads) { return at::randn({tokens, heads, kWidth}).to(at::kBFloat16); };
  std::vector<at::Tensor> inputs{draw(kHeads), draw(kKvHeads), draw(kKvHeads)};
  for (auto& x : inputs) x.requires_grad_(true);
  const auto dout = draw(kHeads);
  const graft::AttentionOptions options{kScale, 0, 0.0};
  Times ours, theirs;
  const int rounds = length > 4000 ? 5 : 15;
  for (int round = 0; round < rounds; ++round) {
    measure([&](auto& q, auto& k, auto& v) { return graft::attention(q, k, v, layout, options); }, inputs,
            dout, ours);
    measure([&](auto& q, auto& k, auto& v) { return sdpa(q, k, v, layout); }, inputs, dout, theirs);
  }
  // Visible pairs only: 2 products forward and 5 backward of 2 E operations a pair.
  const auto pairs =
      static_cast<double>(sequences) * static_cast<double>(length) * static_cast<double>(length + 1) / 2;
  const auto operations = 7 * 2.0 * pairs * kWidth * kHeads;
  const double share = operations / ours.both / rate;
  if (output == Output::kJson) {
    std::printf(
        "{\"length\": %ld, \"sequences\": %ld, \"forward_ms\": %.4f, \"both_ms\": %.4f, "
        "\"sdpa_forward_ms\": %.4f, \"sdpa_both_ms\": %.4f, \"share_of_gemm\": %.4f}\n",
        length, sequences, 1e3 * ours.forward, 1e3 * ours.both, 1e3 * theirs.forward, 1e3 * theirs.both,
        share);
    return;
  }
  std::printf("%6ld x %2ld  %9.3f %9.3f ms  %9.3f %9.3f ms  %5.2f x %5.2f x  %5.1f %%\n", length, sequences,
              1e3 * ours.forward, 1e3 * ours.both, 1e3 * theirs.forward, 1e3 * theirs.both,
              theirs.forward / ours.forward, theirs.both / ours.both, 100 * share);
}

}  // namespace

int main(int argc, char** argv) {
  graft::install_caching_cpu_allocator();
  std::vector<std::int64_t> lengths;
  Output output = Output::kTable;
  for (int i = 1; i < argc; ++i) {
    if (std::string(argv[i]) == "--json")
      output = Output::kJson;
    else
      lengths.push_back(std::stol(argv[i]));
  }
  if (lengths.empty()) lengths = {64, 128, 352, 512, 1024, 2048, 8192};
  const auto rate = graft::probe_gemm({graft::kLargeProduct}, at::kBFloat16, 0.5);
  if (output == Output::kTable)
    std::printf(
        "bf16 matrix rate %.3f TF, %d threads\nlength x n    ours: forward, both      sdpa: forward, both"
        "     forward    both   share of rate\n",
        rate / 1e12, at::get_num_threads());
  for (const auto length : lengths) compare(length, rate, output);
}
