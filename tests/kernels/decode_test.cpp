#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/file.h"
#include "kernels/dtype.h"

namespace graft {
namespace {

// Golden files: scripts/golden/blocks.py, the gguf package's dequantize.
class Decode : public ::testing::TestWithParam<DType> {};

TEST_P(Decode, EqualsTheGgufPackageBitForBit) {
  const std::string base = GRAFT_SOURCE_DIR "/tests/golden/kernels/" + std::string(traits(GetParam()).name);
  const MappedFile stored(base + ".stored"), wanted(base + ".f32");
  std::vector<float> want(wanted.bytes().size() / sizeof(float));
  std::memcpy(want.data(), wanted.bytes().data(), wanted.bytes().size());
  ASSERT_EQ(stored.bytes().size(), want.size() / traits(GetParam()).values * traits(GetParam()).bytes);

  std::vector<float> got(want.size());
  decode_to_f32(GetParam(), stored.bytes(), got);
  for (std::size_t i = 0; i < want.size(); ++i) {
    // 0 * inf: which NaN comes out is the machine's choice.
    if (std::isnan(want[i])) {
      ASSERT_TRUE(std::isnan(got[i])) << i;
    } else {
      ASSERT_EQ(std::bit_cast<std::uint32_t>(got[i]), std::bit_cast<std::uint32_t>(want[i])) << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(AllTypes, Decode,
                         ::testing::Values(DType::kF16, DType::kBF16, DType::kQ4_0, DType::kQ4_1,
                                           DType::kQ5_0, DType::kQ5_1, DType::kQ8_0, DType::kQ2_K,
                                           DType::kQ3_K, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K,
                                           DType::kQ8_K, DType::kIq4Nl, DType::kIq4Xs),
                         [](const auto& test) { return std::string(traits(test.param).name); });

TEST(Decode, ReadsFromAnyAddress) {
  std::vector<std::byte> bytes(1 + 2 * 34, std::byte{3});
  std::vector<float> shifted(64), plain(64);
  decode_to_f32(DType::kQ8_0, std::span(bytes).subspan(1), shifted);
  decode_to_f32(DType::kQ8_0, std::span(bytes).first(68), plain);
  EXPECT_EQ(shifted, plain);
}

TEST(Decode, TakesFloatsOfEveryWidthAndNothing) {
  const std::vector<double> doubles{1.5, -2, 1e300};
  std::vector<float> values(3);
  decode_to_f32(DType::kF64, std::as_bytes(std::span(doubles)), values);
  EXPECT_EQ(values, (std::vector<float>{1.5F, -2.0F, std::numeric_limits<float>::infinity()}));
  std::vector<float> copy(3);
  decode_to_f32(DType::kF32, std::as_bytes(std::span(values)), copy);
  EXPECT_EQ(copy, values);
  decode_to_f32(DType::kQ4_0, {}, {});
}

}  // namespace
}  // namespace graft
