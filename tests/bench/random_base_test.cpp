#include "bench/random_base.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "bench/random_weights.h"
#include "expect_error.h"
#include "store/nf4_tensor.h"
#include "temporary_folder.h"

namespace graft {
namespace {

// Small, with heads wider than the hidden size's share, a short last block (36 * 10 weights) and an own head.
constexpr BaseShape kSmall = {"small", 50, 36, 10, 2, 3, 1, 16, false, 1e4, 1e-5, 64, 1, 2};

TEST(RandomBase, StoresTheSameWeightsInBf16AndInNf4) {
  const TemporaryFolder folder;
  write_random_base({.shape = kSmall}, folder / "bf16");
  write_random_base({.shape = kSmall, .is_nf4 = true, .shard_bytes = 4000}, folder / "nf4");
  EXPECT_TRUE(std::filesystem::exists(folder / "nf4" / "model.safetensors.index.json"));
  const SafetensorsFolder plain(folder / "bf16"), quantised(folder / "nf4");
  const Nf4Tensors nf4 = read_nf4_tensors(quantised);
  EXPECT_EQ(nf4.weights.size(), 14U);
  const auto tensors = tensors_of(kSmall);
  EXPECT_EQ(plain.names().size(), tensors.size());
  for (const BaseTensor& tensor : tensors) {
    const TensorView* exact = plain.find(tensor.name);
    ASSERT_NE(exact, nullptr) << tensor.name;
    EXPECT_EQ(exact->shape, tensor.shape);
    const std::vector<float> values = decode(*exact);
    if (tensor.kind != BaseTensorKind::kLinear) {
      EXPECT_EQ(decode(*quantised.find(tensor.name)), values);
      continue;
    }
    const Nf4Tensor& weight = nf4.weights.at(tensor.name);
    EXPECT_EQ(weight.state.shape, tensor.shape);
    std::vector<std::byte> codes((values.size() + 1) / 2);
    std::vector<float> absmax(static_cast<std::size_t>(weight.state.blocks()));
    encode_nf4(values, kNf4Block, codes.data(), absmax.data());
    EXPECT_TRUE(std::equal(codes.begin(), codes.end(), weight.codes.begin(), weight.codes.end()));
  }
}

TEST(RandomBase, HasNormalWeightsThatDependOnSeedAndTensorOnly) {
  const RandomWeights weights(1), same(1), other(2);
  std::vector<Bf16Bits> a(100'000), b(a.size()), c(a.size()), d(a.size());
  weights.fill("x", 0, a);
  same.fill("x", 0, std::span(b).first(5001));
  same.fill("x", 5001, std::span(b).subspan(5001));
  EXPECT_EQ(a, b);
  weights.fill("y", 0, c);
  EXPECT_NE(a, c);
  other.fill("x", 0, d);
  EXPECT_NE(a, d);
  double squares = 0;
  for (const Bf16Bits bits : a) squares += std::pow(f32_of_bf16(bits), 2);
  EXPECT_NEAR(std::sqrt(squares / static_cast<double>(a.size())), 0.02, 2e-4);
}

TEST(RandomBase, HasThePublishedCountsOfParameters) {
  const auto count = [](std::string_view name) {
    std::int64_t sum = 0;
    for (const BaseShape& shape : base_shapes()) {
      if (shape.name != name) continue;
      for (const BaseTensor& tensor : tensors_of(shape)) {
        std::int64_t product = 1;
        for (const std::int64_t dim : tensor.shape) product *= dim;
        sum += product;
      }
    }
    return sum;
  };
  EXPECT_EQ(count("SmolLM2-135M"), 134'515'008);
  EXPECT_EQ(count("Llama-3.2-1B"), 1'235'814'400);
  EXPECT_EQ(count("Llama-3.2-3B"), 3'212'749'824);
  EXPECT_EQ(count("Llama-3.1-8B"), 8'030'261'248);
  EXPECT_EQ(count("Qwen2.5-0.5B"), 494'032'768 - 24 * (896 + 2 * 128));  // without its biases
  EXPECT_EQ(count("Qwen3-1.7B"), 1'720'574'976 - 28 * 2 * 128);          // without the norms of its heads
}

TEST(RandomBase, TakesTokenizerAndSpecialTokensFromAModel) {
  const TemporaryFolder folder;
  const Path tokenizer = GRAFT_SOURCE_DIR "/tests/golden/tiny_llama";
  write_random_base({.shape = kSmall, .tokenizer = tokenizer}, folder / "out");
  EXPECT_TRUE(std::filesystem::exists(folder / "out" / "tokenizer.json"));
  const Json config = read_json(folder / "out" / "config.json"),
             theirs = read_json(tokenizer / "config.json");
  EXPECT_EQ(config.at("eos_token_id"), theirs.at("eos_token_id"));
  EXPECT_EQ(config.at("hidden_size"), 36);
  EXPECT_FALSE(config.contains("quantization_config"));
  const Error error =
      error_of([&] { write_random_base({.shape = kSmall, .tokenizer = folder.path()}, folder / "none"); });
  EXPECT_TRUE(contains(error.what(), "holds neither tokenizer.json nor tokenizer.model"));
  EXPECT_FALSE(std::filesystem::exists(folder / "none"));
}

}  // namespace
}  // namespace graft
