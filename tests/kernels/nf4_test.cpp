#include "kernels/nf4.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "kernels/dtype.h"
#include "store/safetensors.h"

namespace graft {
namespace {

// torch sums scales in fp32, in another order.
constexpr double kOffsetTolerance = 1e-6;

// Golden files: scripts/golden/quantized.py, bitsandbytes on a CPU.
class Nf4Golden : public ::testing::TestWithParam<std::string> {
 protected:
  const TensorView& part(const std::string& name) const {
    const TensorView* view = file_.find(GetParam() + "." + name);
    if (view == nullptr) throw std::runtime_error("no part " + name);
    return *view;
  }
  std::int64_t block() const {
    std::int64_t value;
    std::memcpy(&value, part("block").bytes.data(), sizeof value);
    return value;
  }
  std::vector<std::uint8_t> bytes(const std::string& name) const {
    const auto view = part(name).bytes;
    const auto* data = reinterpret_cast<const std::uint8_t*>(view.data());
    return {data, data + view.size()};
  }
  // As bf16 where the golden file has bf16, else fp32: the bits.
  std::vector<std::uint32_t> decoded_bits(const std::vector<float>& values, const std::string& name) const {
    std::vector<std::uint32_t> bits;
    for (const float value : values)
      bits.push_back(std::isnan(value)                  ? 0x7FC00000U
                     : part(name).dtype == DType::kBF16 ? bf16_of_f32(value)
                                                        : std::bit_cast<std::uint32_t>(value));
    return bits;
  }
  std::vector<std::uint32_t> stored_bits(const std::string& name) const {
    return decoded_bits(decode(part(name)), name);
  }

  SafetensorsFile file_{GRAFT_SOURCE_DIR "/tests/golden/kernels/nf4.safetensors"};
};

class Nf4GoldenBf16 : public Nf4Golden {};
class Nf4GoldenDecoded : public Nf4Golden {};

TEST_P(Nf4Golden, EncodesAsBitsandbytes) {
  const std::vector<float> weights = decode(part("weights")), want_absmax = decode(part("absmax"));
  std::vector<std::byte> codes((weights.size() + 1) / 2);
  std::vector<float> absmax(want_absmax.size());
  encode_nf4(weights, block(), codes.data(), absmax.data());
  const auto want = part("codes").bytes;
  EXPECT_EQ(codes, std::vector<std::byte>(want.begin(), want.end()));
  EXPECT_EQ(absmax, want_absmax);
}

TEST_P(Nf4GoldenBf16, EncodesBf16WithoutACopy) {
  std::vector<Bf16Bits> weights(static_cast<std::size_t>(part("weights").elements()));
  std::memcpy(weights.data(), part("weights").bytes.data(), weights.size() * sizeof(Bf16Bits));
  std::vector<std::byte> codes((weights.size() + 1) / 2);
  std::vector<float> absmax(static_cast<std::size_t>(part("absmax").elements()));
  encode_nf4(weights, block(), codes.data(), absmax.data());
  const auto want = part("codes").bytes;
  EXPECT_EQ(codes, std::vector<std::byte>(want.begin(), want.end()));
  EXPECT_EQ(absmax, decode(part("absmax")));
}

TEST_P(Nf4Golden, QuantisesScalesAsBitsandbytes) {
  const std::vector<float> absmax = decode(part("absmax")), want = decode(part("nested_absmax"));
  const float offset = decode(part("offset")).front();
  EXPECT_NEAR(mean_of_scales(absmax), offset, kOffsetTolerance * offset);
  if (GetParam() == "exact_mean") {
    EXPECT_EQ(mean_of_scales(absmax), offset);
  }
  std::vector<std::uint8_t> codes(absmax.size());
  std::vector<float> nested(want.size());
  encode_scales(absmax, offset, codes.data(), nested.data());
  EXPECT_EQ(codes, bytes("absmax_codes"));
  EXPECT_EQ(nested, want);
}

TEST_P(Nf4GoldenDecoded, DecodesAsBitsandbytes) {
  const std::vector<float> absmax = decode(part("absmax"));
  std::vector<float> values(static_cast<std::size_t>(part("weights").elements()));
  decode_nf4({.codes = part("codes").bytes.data(), .block = block(), .absmax = absmax.data()}, 0, values);
  EXPECT_EQ(decoded_bits(values, "decoded"), stored_bits("decoded"));
}

TEST_P(Nf4GoldenDecoded, DecodesDoublyQuantisedAsBitsandbytes) {
  Nf4Weights weights{.codes = {part("codes").bytes.begin(), part("codes").bytes.end()},
                     .block = block(),
                     .absmax_codes = bytes("absmax_codes"),
                     .nested_absmax = decode(part("nested_absmax")),
                     .offset = decode(part("offset")).front()};
  std::vector<float> values(static_cast<std::size_t>(part("weights").elements()));
  decode_nf4(weights.view(), 0, values);
  EXPECT_EQ(decoded_bits(values, "decoded_double"), stored_bits("decoded_double"));
  // From any weight on, the same.
  for (const std::size_t first : {std::size_t{1}, values.size() / 2, values.size()}) {
    std::vector<float> tail(values.size() - first);
    decode_nf4(weights.view(), static_cast<std::int64_t>(first), tail);
    const std::vector<float> want(values.begin() + static_cast<std::ptrdiff_t>(first), values.end());
    EXPECT_EQ(decoded_bits(tail, "decoded_double"), decoded_bits(want, "decoded_double"));
  }
}

const auto kName = [](const auto& test) { return test.param; };
// All but two are small, and decoded in the golden file.
const std::vector<std::string> kSmall = {"bf16", "edges", "short_zeros", "short_denormals", "short_edges",
                                         "one",  "odd",   "block_32",    "block_128",       "block_4096"};
INSTANTIATE_TEST_SUITE_P(Cases, Nf4Golden, ::testing::ValuesIn(kSmall), kName);
INSTANTIATE_TEST_SUITE_P(Large, Nf4Golden, ::testing::Values("normal", "exact_mean"), kName);
INSTANTIATE_TEST_SUITE_P(Cases, Nf4GoldenBf16, ::testing::Values("bf16", "exact_mean"), kName);
INSTANTIATE_TEST_SUITE_P(Cases, Nf4GoldenDecoded, ::testing::ValuesIn(kSmall), kName);

TEST(Nf4, HasTheDynamicMapOfBitsandbytes) {
  const SafetensorsFile file(GRAFT_SOURCE_DIR "/tests/golden/kernels/nf4.safetensors");
  const std::vector<float> want = decode(*file.find("dynamic_map"));
  EXPECT_TRUE(std::equal(want.begin(), want.end(), dynamic_map().begin(), dynamic_map().end()));
}

TEST(Nf4, PiecesOfWholeBlocksMakeTheSameTensor) {
  std::vector<float> weights(64 * 5 + 6), whole(6), pieces(6);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = std::sin(static_cast<float>(i));
  std::vector<std::byte> codes((weights.size() + 1) / 2), joined(codes.size());
  encode_nf4(weights, 64, codes.data(), whole.data());
  encode_nf4(std::span(weights).first(128), 64, joined.data(), pieces.data());
  encode_nf4(std::span(weights).subspan(128), 64, joined.data() + 64, pieces.data() + 2);
  EXPECT_EQ(joined, codes);
  EXPECT_EQ(pieces, whole);
}

TEST(Nf4, KeepsWhatIsNotFiniteVisible) {
  for (const float bad : {NAN, std::numeric_limits<float>::infinity()}) {
    std::vector<float> weights(128, 0.5F), absmax(2), decoded(128);
    weights[70] = bad;
    std::vector<std::byte> codes(64);
    encode_nf4(weights, 64, codes.data(), absmax.data());
    decode_nf4({.codes = codes.data(), .absmax = absmax.data()}, 0, decoded);
    EXPECT_EQ(decoded[63], 0.5F);
    EXPECT_FALSE(std::isfinite(decoded[70]));
    EXPECT_FALSE(
        std::isfinite(mean_of_scales(absmax)));  // so that doubly quantised scales are not finite either
  }
}

}  // namespace
}  // namespace graft
