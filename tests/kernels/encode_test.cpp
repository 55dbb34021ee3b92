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

}  // namespace
}  // namespace graft
