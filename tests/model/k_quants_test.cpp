#include <gtest/gtest.h>

#include "expect_error.h"
#include "model/families.h"
#include "model/golden.h"
#include "random_blocks.h"
#include "store/file_builder.h"

namespace graft {
namespace {

constexpr std::int64_t kWidth = 256, kVocab = 40, kHeadDim = 64;

struct Tensor {
  std::string name;
  std::uint64_t rows;  // 0: a norm
  DType dtype;
};

/// A Llama of one block, every matrix in another type.
const std::vector<Tensor> kTensors{
    {"token_embd.weight", kVocab, DType::kQ6_K},         {"output_norm.weight", 0, DType::kF32},
    {"blk.0.attn_norm.weight", 0, DType::kF32},          {"blk.0.ffn_norm.weight", 0, DType::kF32},
    {"blk.0.attn_q.weight", kWidth, DType::kQ4_K},       {"blk.0.attn_k.weight", kHeadDim, DType::kQ3_K},
    {"blk.0.attn_v.weight", kHeadDim, DType::kQ5_K},     {"blk.0.attn_output.weight", kWidth, DType::kIq4Nl},
    {"blk.0.ffn_gate.weight", 2 * kWidth, DType::kQ2_K}, {"blk.0.ffn_up.weight", 2 * kWidth, DType::kIq4Xs},
    {"blk.0.ffn_down.weight", kWidth, DType::kQ8_K},
};

std::uint64_t columns(const Tensor& tensor) {
  return static_cast<std::uint64_t>(tensor.name == "blk.0.ffn_down.weight" ? 2 * kWidth : kWidth);
}

std::vector<std::byte> bytes_of_tensor(const Tensor& tensor) {
  if (tensor.rows > 0)
    return random_blocks(tensor.dtype, static_cast<std::size_t>(tensor.rows * columns(tensor)),
                         static_cast<unsigned>(tensor.name.size()));
  const std::vector<float> ones(kWidth, 1.0F);
  const auto bytes = std::as_bytes(std::span(ones));
  return {bytes.begin(), bytes.end()};
}

std::string size(std::int64_t value) { return bytes_of(static_cast<std::uint32_t>(value)); }

void write_base(const Path& path) {
  GgufBuilder file(kTensors.size(), 9);
  file.pair("general.architecture", 8, GgufBuilder::string("llama"))
      .pair("llama.embedding_length", 4, size(kWidth))
      .pair("llama.feed_forward_length", 4, size(2 * kWidth))
      .pair("llama.block_count", 4, size(1))
      .pair("llama.attention.head_count", 4, size(kWidth / kHeadDim))
      .pair("llama.attention.head_count_kv", 4, size(1))
      .pair("llama.context_length", 4, size(128))
      .pair("llama.attention.layer_norm_rms_epsilon", 6, bytes_of(1e-5F))
      .pair("tokenizer.ggml.eos_token_id", 4, size(2));
  std::string data;
  for (const Tensor& tensor : kTensors) {
    const std::uint32_t type = *traits(tensor.dtype).ggml;
    if (tensor.rows == 0)
      file.tensor(tensor.name, {columns(tensor)}, type, data.size());
    else
      file.tensor(tensor.name, {columns(tensor), tensor.rows}, type, data.size());
    const auto bytes = bytes_of_tensor(tensor);
    data.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    data.resize((data.size() + 31) / 32 * 32);
  }
  write_text(path, file.with_data(data));
}

/// The rows of a tensor of the file in Hugging Face's order.
at::Tensor expected(const Tensor& tensor) {
  const auto rows = static_cast<std::int64_t>(tensor.rows),
             width = static_cast<std::int64_t>(columns(tensor));
  at::Tensor values = at::empty({rows, width}, at::kFloat);
  decode_to_f32(tensor.dtype, bytes_of_tensor(tensor),
                {values.mutable_data_ptr<float>(), static_cast<std::size_t>(values.numel())});
  if (!tensor.name.ends_with("attn_q.weight") && !tensor.name.ends_with("attn_k.weight")) return values;
  std::vector<at::Tensor> ordered;
  for (std::int64_t row = 0; row < rows; ++row) ordered.push_back(values[paired_row(row, kHeadDim)]);
  return at::stack(ordered);
}

Decoder load(const Path& path, Quantization quantization, ComputeDType dtype) {
  return load_model({.path = path.string(), .dtype = dtype, .quantization = quantization});
}

/// Weights by their names in the file.
std::map<std::string, FrozenWeightPtr> matrices_of(const Decoder& model) {
  std::map<std::string, FrozenWeightPtr> all{{"token_embd.weight", model.embedding}};
  const Family& family = *find_family(model.config.architecture);
  model.each_group([&](const LinearGroup& group) {
    for (const Linear& one : group.linears) all[gguf_name(family, one.name + ".weight")->name] = one.weight;
  });
  return all;
}

TEST(KQuants, LoadKeptAndDecoded) {
  const TemporaryFolder folder;
  const Path path = folder / "base.gguf";
  write_base(path);
  const auto kept = matrices_of(load(path, Quantization::kKeep, ComputeDType::kBF16));
  const auto wide = matrices_of(load(path, Quantization::kNone, ComputeDType::kF32));
  const auto narrow = matrices_of(load(path, Quantization::kNone, ComputeDType::kBF16));
  for (const Tensor& tensor : kTensors) {
    if (tensor.rows == 0) continue;
    SCOPED_TRACE(tensor.name);
    const auto rows = static_cast<std::int64_t>(tensor.rows);
    const at::Tensor want = expected(tensor);
    EXPECT_TRUE(at::equal(kept.at(tensor.name)->rows(0, rows), want));
    EXPECT_TRUE(at::equal(wide.at(tensor.name)->rows(0, rows), want));
    EXPECT_TRUE(at::equal(narrow.at(tensor.name)->rows(0, rows), want.to(at::kBFloat16).to(at::kFloat)));
  }
}

TEST(KQuants, GiveTheSameLogitsKeptAndDecoded) {
  const TemporaryFolder folder;
  write_base(folder / "base.gguf");
  const std::vector<std::int32_t> ids{3, 1, 4, 1, 5, 9, 2, 6, 5, 35};
  const auto logits = [&](Quantization kind, ComputeDType dtype) {
    return sequence_logits(load(folder / "base.gguf", kind, dtype), ids);
  };
  const at::Tensor want = logits(Quantization::kNone, ComputeDType::kF32);
  EXPECT_GT(want.abs().max().item<double>(), 1e-3);
  EXPECT_LT(largest_difference(logits(Quantization::kKeep, ComputeDType::kF32), want), 1e-5);
  const at::Tensor narrow = logits(Quantization::kNone, ComputeDType::kBF16);
  EXPECT_LT(largest_difference(logits(Quantization::kKeep, ComputeDType::kBF16), narrow),
            0.02 * want.abs().max().item<double>());
}

}  // namespace
}  // namespace graft
