// Time of each operation at the shapes of SmolLM2-135M, beside the machine's own bf16 rate for the same
// products. Usage: ops_bench [tokens]. Noisy machines: read the ratios; each is a median of rounds that
// interleave both sides.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "kernels/cpu/row_kernels.h"
#include "ops/cpu_allocator.h"
#include "ops/cross_entropy.h"
#include "ops/linear.h"
#include "ops/norm.h"
#include "ops/rotary.h"
#include "ops/swiglu.h"

namespace graft {
namespace {

constexpr std::int64_t kWidth = 576, kFeedForward = 1536, kVocabulary = 49152, kHeads = 9, kKvHeads = 3,
                       kHeadWidth = 64, kRank = 16;
constexpr int kRounds = 15;

using Work = std::function<void()>;

double seconds(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Least seconds of each work, rounds interleaved.
std::vector<double> best_times(const std::vector<Work>& works) {
  std::vector<std::vector<double>> times(works.size());
  for (int round = 0; round < kRounds + 2; ++round)
    for (std::size_t i = 0; i < works.size(); ++i) {
      const auto time = seconds(works[i]);
      if (round >= 2) times[i].push_back(time);
    }
  std::vector<double> result;
  for (auto& each : times) result.push_back(*std::min_element(each.begin(), each.end()));
  return result;
}

at::Tensor random(at::IntArrayRef shape, double scale = 1.0) {
  return (at::randn(shape) * scale).to(at::kBFloat16);
}

void backward(const std::vector<at::Tensor>& ys, const std::vector<at::Tensor>& dys) {
  torch::autograd::backward(ys, dys);
}

// The products of a group alone, through at::linear and at::mm, against the operation with and without an
// adapter.
void bench_group(const std::string& name, std::int64_t tokens, std::int64_t in,
                 const std::vector<std::int64_t>& outs) {
  const auto x = random({tokens, in}).set_requires_grad(true), plain = x.detach();
  std::vector<at::Tensor> weights, dys;
  std::vector<LoraTerm> frozen, adapted;
  double flops = 0;
  for (const auto out : outs) {
    weights.push_back(random({out, in}, 0.05));
    dys.push_back(random({tokens, out}));
    frozen.push_back({.weight = dense_weight(weights.back())});
    adapted.push_back({.weight = dense_weight(weights.back()),
                       .a = (at::randn({kRank, in}) * 0.05).set_requires_grad(true),
                       .b = (at::randn({out, kRank}) * 0.05).set_requires_grad(true),
                       .scale = 2.0});
    flops += 4.0 * static_cast<double>(tokens * in * out);
  }
  const auto run = [&](const std::vector<LoraTerm>& terms) {
    x.mutable_grad().reset();
    backward(lora_linear(x, terms, std::nullopt), dys);
  };
  const auto times = best_times({[&] {
                                   for (const auto& w : weights) at::linear(plain, w);
                                 },
                                 [&] {
                                   for (std::size_t i = 0; i < weights.size(); ++i)
                                     at::mm(dys[i], weights[i]);
                                 },
                                 [&] { run(frozen); }, [&] { run(adapted); },
                                 [&] {
                                   const c10::NoGradGuard forward_only;
                                   lora_linear(x, adapted, std::nullopt);
                                 }});
  const auto raw = times[0] + times[1];
  std::printf(
      "%-10s raw fwd %6.2f ms, dX %6.2f ms (%.2f TF/s) | frozen op %5.2fx | LoRA op %5.2fx, forward alone "
      "%5.2fx\n",
      name.c_str(), times[0] * 1e3, times[1] * 1e3, flops / raw * 1e-12, times[2] / raw, times[3] / raw,
      times[4] / times[0]);
}

// A pass that moves `bytes`, against a copy that moves as many.
void bench_pass(const std::string& name, double bytes, const Work& work) {
  const auto source = at::empty({static_cast<std::int64_t>(bytes) / 2}, at::kByte);
  const auto target = at::empty_like(source);
  const auto times = best_times({work, [&] { target.copy_(source); }});
  std::printf("%-22s %7.3f ms  %5.1f GB/s  %5.2fx of a copy of the same bytes\n", name.c_str(),
              times[0] * 1e3, bytes / times[0] * 1e-9, times[0] / times[1]);
}

void bench_passes(std::int64_t tokens) {
  const auto bytes = [&](std::int64_t width) { return 2.0 * static_cast<double>(tokens * width); };
  const auto x = random({tokens, kWidth}), w = random({kWidth}), dx = random({tokens, kWidth});
  const auto gate = random({tokens, kFeedForward}), up = random({tokens, kFeedForward}),
             dh = random({tokens, kFeedForward});
  const auto q = random({tokens, kHeads + kKvHeads, kHeadWidth});
  const auto table = rotary_table(PackLayout::single(tokens), std::vector<double>(kHeadWidth / 2, 0.01), 1.0,
                                  0, at::kBFloat16);
  bench_pass("rms_norm forward", 2 * bytes(kWidth), [&] { rms_norm(x, w, 1e-5); });
  bench_pass("swiglu forward", 3 * bytes(kFeedForward), [&] { swiglu(gate, up); });
  bench_pass("rotary forward", 2 * bytes(q.size(1) * q.size(2)), [&] { rotary(q, table); });
  bench_pass("residual add", 3 * bytes(kWidth), [&] { at::add(x, dx); });

  const auto grad = [](const at::Tensor& t) { return t.detach().set_requires_grad(true); };
  const auto x1 = grad(x), gate1 = grad(gate), up1 = grad(up), q1 = grad(q);
  const auto dq = random(q.sizes());
  const auto both = [](const Work& forward, const at::Tensor& leaf, const at::Tensor& other) {
    leaf.mutable_grad().reset();
    other.mutable_grad().reset();
    forward();
  };
  bench_pass("rms_norm both ways", 5 * bytes(kWidth),
             [&] { both([&] { backward({rms_norm(x1, w, 1e-5)}, {dx}); }, x1, x1); });
  bench_pass("swiglu both ways", 8 * bytes(kFeedForward),
             [&] { both([&] { backward({swiglu(gate1, up1)}, {dh}); }, gate1, up1); });
  bench_pass("rotary both ways", 4 * bytes(q.size(1) * q.size(2)),
             [&] { both([&] { backward({rotary(q1, table)}, {dq}); }, q1, q1); });
  const auto down = [&](double p) {
    const LoraDropout dropout{.probability = p, .key = {}, .layout = PackLayout::single(tokens)};
    const LoraTerm term{.weight = dense_weight(random({kWidth, kFeedForward})),
                        .a = at::randn({kRank, kFeedForward}),
                        .b = at::randn({kWidth, kRank})};
    return best_times({[&] { lora_linear(gate, {term}, dropout); }}).front();
  };
  std::printf("dropout 0.1 on the forward of down_proj: %.2fx\n", down(0.1) / down(0.0));
}

void bench_head(std::int64_t rows) {
  const auto hidden = random({rows, kWidth}).set_requires_grad(true), plain = hidden.detach();
  const auto w = random({kVocabulary, kWidth}, 0.05);
  const auto head = dense_weight(w);
  const auto targets = at::randint(kVocabulary, {rows}, at::kLong);
  const auto dlogits = random({256, kVocabulary}, 0.01);
  const auto times = best_times({[&] {
                                   for (std::int64_t i = 0; i < rows; i += 256) {
                                     at::linear(plain.slice(0, i, i + 256), w);
                                     at::mm(dlogits, w);
                                   }
                                 },
                                 [&] { linear_cross_entropy(hidden, head, targets); },
                                 [&] { linear_cross_entropy(plain, head, targets); }});
  const auto flops = 4.0 * static_cast<double>(rows * kVocabulary * kWidth);
  std::printf(
      "head, %ld rows: raw products %.1f ms (%.2f TF/s) | linear_cross_entropy %.2fx, loss alone %.1f ms\n",
      rows, times[0] * 1e3, flops / times[0] * 1e-12, times[1] / times[0], times[2] * 1e3);
}

}  // namespace
}  // namespace graft

int main(int argc, char** argv) {
  using namespace graft;
  install_caching_cpu_allocator();
  const std::int64_t tokens = argc > 1 ? std::atol(argv[1]) : 1024;
  std::printf("%ld tokens, %d threads, row kernels: %s\n", tokens, at::get_num_threads(),
              std::string(name(cpu_paths().back())).c_str());
  bench_group("qkv", tokens, kWidth, {kHeads * kHeadWidth, kKvHeads * kHeadWidth, kKvHeads * kHeadWidth});
  bench_group("out", tokens, kHeads * kHeadWidth, {kWidth});
  bench_group("gate_up", tokens, kWidth, {kFeedForward, kFeedForward});
  bench_group("down", tokens, kFeedForward, {kWidth});
  bench_passes(tokens);
  bench_head(tokens);
}
