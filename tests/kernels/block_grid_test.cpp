#include "kernels/block_grid.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.h"
#include "kernels/encode.h"

namespace graft {
namespace {

constexpr std::size_t kWeights = 1024;
constexpr float kSmall = 5e-4F;  // the weights are about 0.1

std::vector<float> some_weights() {
  RandomStream random(7);
  std::vector<float> weights(kWeights);
  for (float& weight : weights) weight = static_cast<float>(0.1 * random.normal());
  return weights;
}

class BlockGrid : public ::testing::TestWithParam<DType> {
 protected:
  BlockGrid() : weights_(some_weights()) {
    const DTypeTraits& type = traits(GetParam());
    blocks_.resize(kWeights / type.values * type.bytes);
    encode_from_f32(GetParam(), weights_, blocks_.data());
    weights_ = decoded(blocks_);
  }
  std::vector<float> decoded(const std::vector<std::byte>& blocks) const {
    std::vector<float> values(kWeights);
    decode_to_f32(GetParam(), blocks, values);
    return values;
  }
  std::vector<std::byte> moved(const std::vector<float>& weights, std::uint64_t key) const {
    std::vector<std::byte> blocks = blocks_;
    round_on_grid(GetParam(), weights, key, blocks.data());
    return blocks;
  }
  // The weights, each changed by this up or down.
  std::vector<float> changed(float by) const {
    RandomStream random(11);
    std::vector<float> weights = weights_;
    for (float& weight : weights) weight += random.uniform() < 0.5 ? by : -by;
    return weights;
  }
  // How much of the change from the grid's weights to `wanted` is in `got`: its share along that direction.
  double kept(const std::vector<float>& got, const std::vector<float>& wanted) const {
    double along = 0, all = 0;
    for (std::size_t i = 0; i < kWeights; ++i) {
      const double change = wanted[i] - weights_[i];
      along += (got[i] - weights_[i]) * change;
      all += change * change;
    }
    return along / all;
  }

  std::vector<float> weights_;  // on the grid
  std::vector<std::byte> blocks_;
};

TEST_P(BlockGrid, WeightsThatLieOnItKeepEveryByte) {
  EXPECT_EQ(moved(weights_, 1), blocks_);
  EXPECT_EQ(moved(weights_, 2), blocks_);
}

TEST_P(BlockGrid, AChangeFarBelowAStepSurvivesOnAverage) {
  const std::vector<float> wanted = changed(kSmall);
  double mean = 0;
  constexpr int kKeys = 400;
  for (std::uint64_t key = 0; key < kKeys; ++key) mean += kept(decoded(moved(wanted, key)), wanted) / kKeys;
  // A weight with an end code cannot follow beyond it: of four codes that is a fifth of the weights.
  EXPECT_GT(mean, GetParam() == DType::kQ2_K ? 0.65 : 0.85);
  EXPECT_LT(mean, 1.1);
}

TEST_P(BlockGrid, AKeyDecidesEveryByte) {
  EXPECT_EQ(moved(changed(kSmall), 5), moved(changed(kSmall), 5));
  EXPECT_NE(moved(changed(kSmall), 5), moved(changed(kSmall), 6));
}

TEST_P(BlockGrid, ABlockThatLeavesItsGridIsEncodedAnew) {
  std::vector<float> far = weights_;
  const std::size_t block = traits(GetParam()).values;
  for (std::size_t i = block; i < 2 * block; ++i) far[i] += 3.0F;
  std::vector<std::byte> fresh(traits(GetParam()).bytes);
  encode_from_f32(GetParam(), std::span<const float>(far).subspan(block, block), fresh.data());
  const std::vector<std::byte> got = moved(far, 1);
  const auto bytes = static_cast<std::ptrdiff_t>(fresh.size());
  EXPECT_TRUE(std::equal(fresh.begin(), fresh.end(), got.begin() + bytes));
  EXPECT_TRUE(std::equal(got.begin(), got.begin() + bytes, blocks_.begin())) << "its neighbours stay";
}

TEST_P(BlockGrid, ALargeChangeIsRoundedToNearest) {
  const std::vector<float> wanted = changed(0.2F);
  std::vector<std::byte> fresh(blocks_.size());
  encode_from_f32(GetParam(), wanted, fresh.data());
  EXPECT_EQ(moved(wanted, 1), fresh);
}

TEST_P(BlockGrid, ABlockOfZerosLearnsToo) {
  const DTypeTraits& type = traits(GetParam());
  const std::vector<float> zeros(type.values), wanted(type.values, 0.25F);
  std::vector<std::byte> block(type.bytes);
  encode_from_f32(GetParam(), zeros, block.data());
  round_on_grid(GetParam(), wanted, 1, block.data());
  std::vector<float> got(type.values);
  decode_to_f32(GetParam(), block, got);
  for (const float value : got) EXPECT_NEAR(value, 0.25F, 0.02F);
}

INSTANTIATE_TEST_SUITE_P(Kernels, BlockGrid,
                         ::testing::Values(DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1,
                                           DType::kQ8_0, DType::kQ2_K, DType::kQ3_K, DType::kQ4_K,
                                           DType::kQ5_K, DType::kQ6_K),
                         [](const auto& info) { return std::string(traits(info.param).name); });

TEST(BlockGridTypes, AreThoseThatAreWrittenInBlocks) {
  for (const DType dtype :
       {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_K, DType::kIq4Nl, DType::kIq4Xs})
    EXPECT_FALSE(has_grid(dtype)) << traits(dtype).name;
}

}  // namespace
}  // namespace graft
