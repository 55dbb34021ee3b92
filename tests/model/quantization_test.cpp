#include <gtest/gtest.h>

#include "base/error.h"
#include "base/json.h"
#include "base/sha256.h"
#include "model/golden.h"
#include "ops/block_gemm.h"

namespace graft {
namespace {

/// The linears of a model by the names of their weights.
std::map<std::string, FrozenWeightPtr> linears_of(const Decoder& model) {
  std::map<std::string, FrozenWeightPtr> all;
  model.each_group([&](const LinearGroup& group) {
    for (const Linear& one : group.linears) all[one.name + ".weight"] = one.weight;
  });
  return all;
}

at::Tensor decoded(const FrozenWeight& weight) { return weight.rows(0, weight.out_features()); }

Decoder load(const Path& base, Quantization quantization, ComputeDType dtype = ComputeDType::kBF16) {
  return load_model({.path = base.string(), .dtype = dtype, .quantization = quantization});
}

std::vector<std::int32_t> some_ids(std::int32_t count) {
  std::vector<std::int32_t> ids;
  for (std::int32_t i = 0; i < count; ++i) ids.push_back((i * 37 + 11) % 500);
  return ids;
}

// What bitsandbytes decodes its own checkpoints to.
TEST(Quantization, Nf4CheckpointsAreDecodedAsBitsandbytesDoes) {
  for (const char* folder : {"tiny_llama_nf4", "tiny_llama_nf4_plain"}) {
    const Json want = read_json(golden(folder) / "decoded.json");
    for (const Quantization kind : {Quantization::kNf4, Quantization::kKeep}) {
      const auto linears = linears_of(load(golden(folder), kind));
      ASSERT_EQ(linears.size(), want.size());
      for (const auto& [name, weight] : linears) {
        const at::Tensor values = decoded(*weight);
        const std::span<const float> numbers(values.const_data_ptr<float>(),
                                             static_cast<std::size_t>(values.numel()));
        EXPECT_EQ(sha256_hex(std::as_bytes(numbers)), want.at(name).at("sha256")) << name;
      }
    }
  }
}

TEST(Quantization, EncodingWhileLoadingGivesWhatBitsandbytesSaved) {
  const auto ours = linears_of(load(golden("tiny_llama"), Quantization::kNf4));
  const auto theirs = linears_of(load(golden("tiny_llama_nf4"), Quantization::kKeep));
  for (const auto& [name, weight] : ours)
    EXPECT_TRUE(at::equal(decoded(*weight), decoded(*theirs.at(name)))) << name;
}

TEST(Quantization, NoneDecodesANf4CheckpointToItsComputeType) {
  const auto dense = linears_of(load(golden("tiny_llama_nf4"), Quantization::kNone));
  const auto kept = linears_of(load(golden("tiny_llama_nf4"), Quantization::kKeep));
  for (const auto& [name, weight] : dense)
    EXPECT_TRUE(at::equal(decoded(*weight), decoded(*kept.at(name)).to(at::kBFloat16).to(at::kFloat)))
        << name;
}

/// Log-probabilities with the quantised weights against those with the same weights decoded beforehand.
void expect_same_as_decoded(const Path& base, Quantization kind) {
  const Decoder quantized = load(base, kind, ComputeDType::kF32);
  Decoder plain = load(base, Quantization::kNone, ComputeDType::kF32);
  const auto weights = linears_of(quantized);
  plain.each_group([&](LinearGroup& group) {
    for (Linear& one : group.linears) one.weight = dense_weight(decoded(*weights.at(one.name + ".weight")));
  });
  plain.embedding = dense_weight(decoded(*quantized.embedding));
  if (plain.config.tie_word_embeddings) plain.head.weight = plain.embedding;
  const auto ids = some_ids(40);
  EXPECT_LT(largest_difference(sequence_logits(quantized, ids), sequence_logits(plain, ids)), 1e-4);
}

TEST(Quantization, TheForwardUsesExactlyTheDecodedWeights) {
  for (const Quantization kind : {Quantization::kNf4, Quantization::kQ8_0})
    expect_same_as_decoded(golden("tiny_llama"), kind);
}

TEST(Quantization, KeepHasTheGgufsOwnWeights) {
  GRAFT_NEED_SMOLLM2();
  const Decoder kept = load(smollm2_gguf(), Quantization::kKeep);
  const Decoder dense = load(smollm2_gguf(), Quantization::kNone, ComputeDType::kF32);
  const auto weights = linears_of(kept);
  for (const auto& [name, weight] : linears_of(dense))
    EXPECT_TRUE(at::equal(decoded(*weights.at(name)), decoded(*weight))) << name;
  EXPECT_TRUE(at::equal(decoded(*kept.embedding), decoded(*dense.embedding)));
  const auto ids = at::tensor({5, 900, 5}, at::kLong);
  EXPECT_TRUE(at::equal(kept.embedding->look_up(ids), dense.embedding->look_up(ids).to(at::kBFloat16)));
}

TEST(Quantization, Int8KeepsTheBasesNumbersAndComesNearItsLogits) {
  if (!multiplies_bf16() || !multiplies_int8()) GTEST_SKIP() << "no int8 products on this machine";
  // Random weights with a few percent of rounding in each product.
  constexpr double kNear = 0.05;
  std::vector<std::pair<Path, Quantization>> bases{{golden("tiny_llama"), Quantization::kNone},
                                                   {golden("tiny_llama_nf4"), Quantization::kNone},
                                                   {golden("tiny_llama_nf4"), Quantization::kNf4}};
  // Rows of q and k lie in pairs there, and the numbers in blocks.
  if (std::filesystem::exists(smollm2_gguf())) bases.emplace_back(smollm2_gguf(), Quantization::kNone);
  for (const auto& [base, kind] : bases) {
    const Decoder plain = load(base, kind);
    const Decoder coded =
        load_model({.path = base.string(), .quantization = kind, .compute = Compute::kInt8});
    const auto weights = linears_of(coded);
    for (const auto& [name, weight] : linears_of(plain)) {
      EXPECT_TRUE(weights.at(name)->matrix().int8.codes.defined()) << name;
      EXPECT_TRUE(at::equal(decoded(*weights.at(name)).to(at::kBFloat16), decoded(*weight).to(at::kBFloat16)))
          << base << " " << name;
    }
    const auto got = sequence_logits(coded, some_ids(40)), want = sequence_logits(plain, some_ids(40));
    const auto difference = ((got - want).norm() / want.norm()).item<double>();
    EXPECT_LT(difference, kNear) << base;
    EXPECT_GT(difference, 0) << base;
  }
}

TEST(Quantization, KeepRefusesABaseThatIsNotQuantised) {
  try {
    load(golden("tiny_llama"), Quantization::kKeep);
    ADD_FAILURE() << "loaded";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("nothing to keep"), std::string::npos) << error.what();
    EXPECT_EQ(error.code(), ExitCode::kBadInput);
  }
}

TEST(Quantization, Q8_0OfANf4CheckpointIsRefused) {
  try {
    load(golden("tiny_llama_nf4"), Quantization::kQ8_0);
    ADD_FAILURE() << "loaded";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("NF4"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace graft
