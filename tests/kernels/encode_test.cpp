#include "kernels/encode.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "store/safetensors.h"

namespace graft {
namespace {

TEST(EncodeQ8_0, EqualsTheGgufPackageBitForBit) {  // scripts/golden/quantized.py
  const SafetensorsFile file(GRAFT_SOURCE_DIR "/tests/golden/kernels/q8_0.safetensors");
  const std::vector<float> weights = decode(*file.find("weights"));
  const auto want = file.find("stored")->bytes;
  std::vector<std::byte> blocks(want.size());
  ASSERT_EQ(blocks.size(), weights.size() / 32 * 34);
  encode_q8_0(weights, blocks.data());
  for (std::size_t i = 0; i < blocks.size(); ++i)
    ASSERT_EQ(blocks[i], want[i]) << "block " << i / 34 << ", byte " << i % 34;
  std::vector<float> decoded(weights.size());
  decode_to_f32(DType::kQ8_0, blocks, decoded);
  const std::vector<float> want_decoded = decode(*file.find("decoded"));
  for (std::size_t i = 0; i < decoded.size(); ++i) {
    if (std::isnan(want_decoded[i]))
      ASSERT_TRUE(std::isnan(decoded[i])) << i;
    else
      ASSERT_EQ(decoded[i], want_decoded[i]) << i;
  }
}

TEST(EncodeQ8_0, KeepsWhatIsNotFiniteVisible) {
  for (const float bad :
       {NAN, std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()}) {
    std::vector<float> weights(64, 0.5F), decoded(64);
    weights[40] = bad;
    std::vector<std::byte> blocks(68);
    encode_q8_0(weights, blocks.data());
    decode_to_f32(DType::kQ8_0, blocks, decoded);
    EXPECT_NEAR(decoded[31], 0.5F, 1e-3);
    for (std::size_t i = 32; i < 64; ++i) EXPECT_TRUE(std::isnan(decoded[i])) << i;
  }
}

class EncodeGolden : public ::testing::Test {
 protected:
  std::vector<std::byte> encoded(DType dtype, const std::vector<float>& weights) const {
    std::vector<std::byte> blocks(weights.size() / traits(dtype).values * traits(dtype).bytes);
    encode_from_f32(dtype, weights, blocks.data());
    return blocks;
  }
  // scripts/golden/encode.py
  const SafetensorsFile file_{GRAFT_SOURCE_DIR "/tests/golden/kernels/encode.safetensors"};
};

TEST_F(EncodeGolden, SmallTypesEqualTheGgufPackageBitForBit) {
  const std::vector<float> weights = decode(*file_.find("weights"));
  for (const DType dtype :
       {DType::kF16, DType::kBF16, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ8_0}) {
    const DTypeTraits& type = traits(dtype);
    const auto want = file_.find(std::string(type.name))->bytes;
    const std::vector<std::byte> got = encoded(dtype, weights);
    ASSERT_EQ(got.size(), want.size()) << type.name;
    for (std::size_t i = 0; i < got.size(); ++i)
      ASSERT_EQ(got[i], want[i]) << type.name << ", block " << i / type.bytes << ", byte " << i % type.bytes;
  }
}

TEST_F(EncodeGolden, KQuantsAreAsNearAsThoseOfGgmlsQuantizer) {
  const std::vector<float> weights = decode(*file_.find("ordinary"));
  for (const DType dtype : {DType::kQ2_K, DType::kQ3_K, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K}) {
    const std::string name(traits(dtype).name);
    std::vector<float> decoded(weights.size());
    decode_to_f32(dtype, encoded(dtype, weights), decoded);
    double squares = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) squares += std::pow(double{decoded[i]} - weights[i], 2);
    const double rmse = std::sqrt(squares / static_cast<double>(weights.size()));
    EXPECT_LE(rmse, 1.02 * decode(*file_.find("rmse." + name))[0]) << name;
    EXPECT_GT(rmse, 0.0) << name;
  }
}

TEST_F(EncodeGolden, KQuantsKeepWhatTheyCanHoldAndNothingOfZeros) {
  for (const auto& [dtype, levels] :
       {std::pair{DType::kQ4_K, 16}, std::pair{DType::kQ5_K, 32}, std::pair{DType::kQ6_K, 64}}) {
    // Steps of 0.25 down to where the lowest code is, in each run: only the fp16 scales are rounded.
    std::vector<float> weights(256), decoded(256);
    for (int i = 0; i < 256; ++i)
      weights[static_cast<std::size_t>(i)] =
          0.25F * static_cast<float>((i % 16 == 0 ? 0 : i * 5 % levels) - levels / 2);
    decode_to_f32(dtype, encoded(dtype, weights), decoded);
    for (std::size_t i = 0; i < weights.size(); ++i)
      EXPECT_NEAR(decoded[i], weights[i], 0.02) << traits(dtype).name << ' ' << i;
  }
  const std::vector<float> zeros(512);
  for (const DType dtype : {DType::kQ2_K, DType::kQ3_K, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K}) {
    std::vector<float> decoded(zeros.size(), 1.0F);
    decode_to_f32(dtype, encoded(dtype, zeros), decoded);
    EXPECT_EQ(decoded, zeros) << traits(dtype).name;
  }
}

TEST(Encode, SaysWhichTypesItWrites) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ4_1, DType::kQ8_0, DType::kQ6_K})
    EXPECT_TRUE(can_encode(dtype)) << traits(dtype).name;
  for (const DType dtype : {DType::kF64, DType::kI32, DType::kQ8_K, DType::kIq4Xs})
    EXPECT_FALSE(can_encode(dtype)) << traits(dtype).name;
}

}  // namespace
}  // namespace graft
