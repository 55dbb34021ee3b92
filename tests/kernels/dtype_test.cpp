#include "kernels/dtype.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace graft {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

TEST(DType, IsFoundByTheNamesThatFilesUse) {
  EXPECT_EQ(dtype_of_safetensors("BF16"), DType::kBF16);
  EXPECT_FALSE(dtype_of_safetensors("bf16").has_value());
  EXPECT_FALSE(dtype_of_safetensors("").has_value());
  EXPECT_EQ(dtype_of_ggml(3), DType::kQ4_1);
  EXPECT_EQ(dtype_of_ggml(12), DType::kQ4_K);
  EXPECT_EQ(dtype_of_ggml(20), DType::kIq4Nl);
  EXPECT_FALSE(dtype_of_ggml(16).has_value());
  EXPECT_FALSE(dtype_of_ggml(0xFFFFFFFF).has_value());
  EXPECT_EQ(traits(DType::kQ8_0).bytes, 34U);
  EXPECT_TRUE(holds_floats(DType::kQ5_1));
  EXPECT_FALSE(holds_floats(DType::kBool));
}

TEST(Half, RoundTripsEveryBitPattern) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = f32_of_f16(static_cast<std::uint16_t>(bits));
    const std::uint16_t again = f16_of_f32(value);
    if (std::isnan(value)) {
      ASSERT_EQ(again & 0x7E00, 0x7E00) << bits;
    } else {
      ASSERT_EQ(again, bits);
    }
  }
}

// Between two neighbouring halves the nearer one is taken, and the even one in the middle.
TEST(Half, RoundsToNearestEvenAtEveryStep) {
  for (std::uint32_t bits = 0; bits < 0x7BFF; ++bits) {
    const double low = f32_of_f16(static_cast<std::uint16_t>(bits));
    const double high = f32_of_f16(static_cast<std::uint16_t>(bits + 1));
    const auto middle = static_cast<float>((low + high) / 2);
    ASSERT_EQ(f16_of_f32(middle), bits + (bits & 1)) << bits;
    ASSERT_EQ(f16_of_f32(std::nextafter(middle, -kInf)), bits);
    ASSERT_EQ(f16_of_f32(std::nextafter(middle, kInf)), bits + 1);
  }
}

TEST(Half, OverflowsToInfinity) {
  EXPECT_EQ(f16_of_f32(65504.0F), 0x7BFF);
  EXPECT_EQ(f16_of_f32(65519.996F), 0x7BFF);
  EXPECT_EQ(f16_of_f32(65520.0F), 0x7C00);
  EXPECT_EQ(f16_of_f32(-1e30F), 0xFC00);
  EXPECT_EQ(f16_of_f32(kInf), 0x7C00);
}

TEST(Bf16, RoundsToNearestEven) {
  EXPECT_EQ(bf16_of_f32(1.0F), 0x3F80);
  EXPECT_EQ(bf16_of_f32(std::bit_cast<float>(0x3F808000U)), 0x3F80);  // middle, to even
  EXPECT_EQ(bf16_of_f32(std::bit_cast<float>(0x3F808001U)), 0x3F81);
  EXPECT_EQ(bf16_of_f32(std::bit_cast<float>(0x3F818000U)), 0x3F82);
  EXPECT_EQ(bf16_of_f32(std::numeric_limits<float>::max()), 0x7F80);
  EXPECT_EQ(bf16_of_f32(-kInf), 0xFF80);
}

TEST(Bf16, KeepsNanANan) {
  EXPECT_TRUE(std::isnan(f32_of_bf16(bf16_of_f32(std::bit_cast<float>(0x7F800001U)))));
  EXPECT_TRUE(std::isnan(f32_of_bf16(bf16_of_f32(std::bit_cast<float>(0xFFFFFFFFU)))));
}

}  // namespace
}  // namespace graft
