// gemm_probe BASE TOKENS LOSS_ROWS [SECONDS]: the machine's bf16 matrix rate at the shapes of a micro-step of
// this base, through at::linear and at::mm as the step calls them, weighted by FLOPs; and at one large shape.
// BASE is a Hugging Face folder or a GGUF, of which only the config is read. Prints one JSON line, with what
// the FLOPs of a step of this base depend on.

#include <ATen/Parallel.h>

#include <cstdio>
#include <cstdlib>
#include <exception>

#include "ops/cpu_allocator.h"
#include "train/flops.h"
#include "train/gemm_probe.h"

int main(int argc, char** argv) {
  if (argc != 4 && argc != 5) {
    std::fprintf(stderr, "usage: gemm_probe BASE TOKENS LOSS_ROWS [SECONDS]\n");
    return 2;
  }
  try {
    graft::install_caching_cpu_allocator();
    const auto config = graft::load_config(argv[1]);
    const double seconds = argc == 5 ? std::atof(argv[4]) : 1.0;
    const auto shapes = graft::base_products(config, std::atoll(argv[2]), std::atoll(argv[3]));
    const double step = graft::probe_gemm(shapes, at::kBFloat16, seconds);
    const double large = graft::probe_gemm({graft::kLargeProduct}, at::kBFloat16, seconds / 2);
    std::printf(
        "{\"step_shapes_tflops\": %.4f, \"large_tflops\": %.4f, \"threads\": %d, \"linear_parameters\": %ld, "
        "\"head_parameters\": %ld, \"attention_width\": %ld}\n",
        step / 1e12, large / 1e12, at::get_num_threads(), graft::linear_parameters(config),
        config.vocab_size * config.hidden_size,
        config.num_hidden_layers * config.num_attention_heads * config.head_dim);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gemm_probe: %s\n", error.what());
    return 1;
  }
}
