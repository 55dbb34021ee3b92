#include "train/memory.h"

#include <algorithm>
#include <array>

#include "evaluate/loss.h"
#include "train/flops.h"

namespace graft {
namespace {

// Resident after start-up: code and tables of libtorch and its libraries (119 MB), compiled matrix kernels,
// the tokenizer.
constexpr std::uint64_t kProgramBytes = 150'000'000;
// fp32: rows of logits that exist at a time. bf16: bytes of the head that are packed at a time.
constexpr std::int64_t kLogitRows = 256;
constexpr std::uint64_t kPackedHead = std::uint64_t{8} << 20;
// Of what a micro-step allocates, what free blocks that do not fit waste.
constexpr double kSlack = 0.06;

std::int64_t width(const ModelConfig& c) { return c.hidden_size; }
std::int64_t feed_forward(const ModelConfig& c) { return c.intermediate_size; }
std::int64_t queries(const ModelConfig& c) { return c.num_attention_heads * c.head_dim; }
std::int64_t keys_values(const ModelConfig& c) { return 2 * c.num_key_value_heads * c.head_dim; }

std::int64_t chosen_widths(const ModelConfig& c) { return c.experts.per_token * c.hidden_size; }
std::int64_t chosen_feed_forwards(const ModelConfig& c) { return c.experts.per_token * c.experts.width; }

// Which blocks keep a tensor: all, those with one MLP, those with experts.
enum class Blocks { kAll, kDense, kSparse };

// What a block keeps of a token from forward to backward, in numbers of the compute type. Normed inputs,
// rotated angles and the product of gate and up are computed again under every policy, but for the normed
// input of experts.
struct KeptTensor {
  const char* name;
  std::int64_t (*values)(const ModelConfig&);
  int times;
  bool none, selective;  // kept under this policy
  Blocks blocks = Blocks::kAll;
};
constexpr std::array kKept = {
    KeptTensor{"input of the block", width, 1, true, true},
    KeptTensor{"q", queries, 1, true, true},
    KeptTensor{"k and v", keys_values, 1, true, true},
    KeptTensor{"output of attention", queries, 1, true, true},
    KeptTensor{"residual between attention and MLP", width, 1, true, true},
    KeptTensor{"gate and up", feed_forward, 2, true, false, Blocks::kDense},
    KeptTensor{"normed input of router and experts", width, 1, true, false, Blocks::kSparse},
    KeptTensor{"rows that experts read and write", chosen_widths, 2, true, false, Blocks::kSparse},
    KeptTensor{"gate and up of experts", chosen_feed_forwards, 2, true, false, Blocks::kSparse},
};

// What the backward of a block holds at its widest besides what was kept. In an MLP: the product of gate and
// up, whose gradients overwrite them; normed input, two gradients of the residual. In experts: gradients of
// what they write and, twice while they are joined, of what they read.
std::int64_t backward_values(const ModelConfig& c) {
  constexpr std::int64_t kWidths = 3, kChosen = 3;
  const std::int64_t sparse = sparse_layers(c);
  return kWidths * width(c) + std::max(sparse < c.num_hidden_layers ? feed_forward(c) : 0,
                                       sparse > 0 ? kChosen * chosen_widths(c) : 0);
}

std::uint64_t bytes_per_value(const TrainingShape& shape) {
  return shape.dtype == ComputeDType::kBF16 ? 2 : 4;
}

std::uint64_t unsigned_of(std::int64_t count) { return static_cast<std::uint64_t>(count); }

// Of one block; the columns of x A^T are counted over all of them elsewhere.
std::uint64_t kept_of_block(const TrainingShape& shape, Recompute policy, Blocks kind) {
  std::uint64_t values = 0;
  for (const KeptTensor& tensor : kKept) {
    const bool kept = policy == Recompute::kMlp ? tensor.selective : tensor.none;
    if (kept && (tensor.blocks == Blocks::kAll || tensor.blocks == kind))
      values += unsigned_of(tensor.times * tensor.values(shape.config));
  }
  const std::uint64_t log_sums = 4 * unsigned_of(shape.config.num_attention_heads);  // of softmax, fp32
  return values * bytes_per_value(shape) + log_sums;
}

// The block that keeps most.
std::uint64_t kept_of_widest(const TrainingShape& shape, Recompute policy) {
  const std::int64_t sparse = sparse_layers(shape.config);
  const std::uint64_t dense_bytes =
      sparse < shape.config.num_hidden_layers ? kept_of_block(shape, policy, Blocks::kDense) : 0;
  return std::max(dense_bytes, sparse > 0 ? kept_of_block(shape, policy, Blocks::kSparse) : 0);
}

std::uint64_t weight_bytes(const TrainingShape& shape) {
  // int8: a code for every weight of the linears, in its place or beside what is quantised otherwise; scales
  // and offsets are a hundredth.
  const bool int8 = shape.compute == Compute::kInt8,
             alone = int8 && shape.quantization == Quantization::kNone;
  const std::uint64_t codes = int8 ? unsigned_of(shape.base.linears.values) : 0;
  // Embedding and head stay in the compute type, but for what stays as the file has it.
  const bool keep = shape.quantization == Quantization::kKeep;
  return codes + (alone ? 0 : quantized_bytes(shape.quantization, shape.dtype, shape.base.linears)) +
         quantized_bytes(keep ? Quantization::kKeep : Quantization::kNone, shape.dtype,
                         shape.base.embeddings);
}

// The rows with targets and their gradient; in bf16 its sums in fp32, for logits never leave the cache. Of
// capped logits the tanh is kept too.
std::uint64_t loss_bytes(const TrainingShape& shape, std::int64_t targets) {
  const std::uint64_t size = bytes_per_value(shape), values = unsigned_of(targets * width(shape.config));
  if (shape.dtype == ComputeDType::kBF16) return (2 * size + 4) * values + kPackedHead;
  const std::int64_t copies = shape.config.logit_softcap > 0 ? 2 : 1;
  return size * (2 * values + unsigned_of(copies * std::min(kLogitRows, targets) * shape.config.vocab_size));
}

}  // namespace

std::uint64_t MemoryBytes::total() const {
  return weights + adapters + optimizer + activations + loss + scratch + data + program;
}

std::uint64_t quantized_bytes(Quantization quantization, ComputeDType dtype, const TensorSizes& sizes) {
  const std::uint64_t values = unsigned_of(sizes.values);
  switch (quantization) {
    case Quantization::kNf4:  // half a byte; per 64 values a byte of scale; per 256 of these a float
      return values / 2 + values / 64 + values / 64 / 256 * 4;
    case Quantization::kQ8_0:
      return values / 32 * 34;
    case Quantization::kKeep:
      return sizes.file_bytes;
    case Quantization::kNone:
      break;
  }
  return values * (dtype == ComputeDType::kBF16 ? 2 : 4);
}

std::uint64_t kept_bytes_per_token(const TrainingShape& shape, Recompute policy) {
  const std::uint64_t blocks = unsigned_of(shape.config.num_hidden_layers - shape.first_block);
  if (policy == Recompute::kBlocks) return blocks * unsigned_of(width(shape.config)) * bytes_per_value(shape);
  std::uint64_t bytes = unsigned_of(shape.adapter_ranks) * bytes_per_value(shape);
  for (std::int64_t i = shape.first_block; i < shape.config.num_hidden_layers; ++i) {
    const bool sparse =
        !shape.config.layers.empty() && shape.config.layers[static_cast<std::size_t>(i)].sparse;
    bytes += kept_of_block(shape, policy, sparse ? Blocks::kSparse : Blocks::kDense);
  }
  return bytes;
}

MemoryBytes peak_memory(const TrainingShape& shape, Recompute policy, PackSize pack,
                        std::int64_t data_tokens) {
  const std::uint64_t size = bytes_per_value(shape);
  const std::uint64_t tokens = unsigned_of(computed_tokens(pack.tokens));
  const std::uint64_t parameters = unsigned_of(shape.adapter_parameters);
  MemoryBytes bytes{.weights = weight_bytes(shape),
                    .adapters = (4 + 4 + size) * parameters,
                    .optimizer = 8 * parameters,
                    .activations = tokens * kept_bytes_per_token(shape, policy),
                    .data = 8 * unsigned_of(data_tokens),
                    .program = kProgramBytes};
  const std::uint64_t kept = kept_of_widest(shape, policy), all = kept_of_widest(shape, Recompute::kNothing);
  // The block that is computed again holds what it would have kept.
  if (policy == Recompute::kBlocks) bytes.activations += tokens * all;
  if (policy == Recompute::kMlp) bytes.activations += tokens * (all - kept);
  bytes.loss = loss_bytes(shape, pack.targets);
  const std::uint64_t backward = size * tokens * unsigned_of(backward_values(shape.config));
  // Two gradients of the MLP are in codes at a time.
  const std::uint64_t left_codes =
      shape.compute == Compute::kInt8 ? 2 * tokens * unsigned_of(feed_forward(shape.config)) : 0;
  const std::uint64_t slack = static_cast<std::uint64_t>(
      kSlack * static_cast<double>(bytes.activations + std::max(bytes.loss, backward)));
  // The loss is over when the backward begins, which takes the same pages.
  bytes.scratch = (backward > bytes.loss ? backward - bytes.loss : 0) + left_codes + slack;
  return bytes;
}

}  // namespace graft
