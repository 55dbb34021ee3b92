#include "ops/int8_weight.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "ops/block_gemm.h"
#include "ops/gradients.h"
#include "ops/linear.h"

namespace graft {
namespace {

using testing::gradients;
using testing::random;
using testing::relative_difference;
using testing::Tensors;

// Exact sums of bytes, scaled in fp32 piece of depth by piece.
constexpr double kExact = 1e-5;
// Rounding to steps of 1/127 of the largest of a gaussian row, about 3.5 deviations: 0.8 % for each operand.
constexpr double kInt8 = 2e-2;

class Int8Weight : public ::testing::Test {
 protected:
  void SetUp() override {
    at::manual_seed(17);
    if (!multiplies_bf16() || !multiplies_int8()) GTEST_SKIP() << "no int8 products on this machine";
  }
};

// t in steps of its rows' largest magnitude / 127, in fp64.
at::Tensor in_steps(const at::Tensor& t) {
  const auto scale = t.to(at::kFloat).abs().amax(1, /*keepdim=*/true) / 127.0F;
  return (t.to(at::kFloat) * scale.reciprocal()).round().to(at::kDouble) * scale.to(at::kDouble);
}

TEST_F(Int8Weight, ProductsAreThoseOfTheCodesAtEveryShape) {
  struct Shape {
    std::int64_t tokens, in, out;
  };
  for (const auto& [tokens, in, out] :
       {Shape{1, 64, 32}, Shape{40, 2, 2}, Shape{77, 30, 50}, Shape{300, 576, 192}, Shape{600, 4002, 130},
        Shape{513, 130, 17'000}, Shape{70, 6146, 6150}}) {
    const auto w = random({out, in}, at::kBFloat16), x = random({tokens, in}, at::kBFloat16),
               dy = random({tokens, out}, at::kBFloat16);
    const auto weight = int8_weight(dense_weight(w));
    const auto codes = in_steps(w);
    EXPECT_LT(relative_difference(weight->times_transposed_f32(x), at::mm(in_steps(x), codes.t())), kExact)
        << tokens << " " << in << " " << out;
    // dY W = (dY S) C with the scales S of the rows of W and its codes C.
    const auto scales = w.to(at::kFloat).abs().amax(1) / 127.0F;
    const auto folded = in_steps(dy.to(at::kFloat) * scales);
    const auto want = at::mm(folded, codes / scales.to(at::kDouble).unsqueeze(1));
    EXPECT_LT(relative_difference(weight->times(dy), want), 2.5e-3)  // one rounding to bf16
        << tokens << " " << in << " " << out;
  }
}

TEST_F(Int8Weight, ProductsAreNearThoseOfTheOriginal) {
  const auto w = random({1536, 576}, at::kBFloat16), x = random({512, 576}, at::kBFloat16),
             dy = random({512, 1536}, at::kBFloat16);
  const auto weight = int8_weight(dense_weight(w));
  const auto forward =
      relative_difference(weight->times_transposed(x), at::mm(x.to(at::kDouble), w.to(at::kDouble).t()));
  const auto backward = relative_difference(weight->times(dy), at::mm(dy.to(at::kDouble), w.to(at::kDouble)));
  EXPECT_LT(forward, kInt8);
  EXPECT_LT(backward, kInt8);
  EXPECT_GT(forward, 5e-3) << "not in int8 at all";
  EXPECT_GT(backward, 5e-3) << "not in int8 at all";
}

TEST_F(Int8Weight, RowsAndLookUpAreTheOriginals) {
  const auto w = random({130, 66}, at::kBFloat16);
  const auto weight = int8_weight(dense_weight(w));
  EXPECT_TRUE(at::equal(weight->rows(3, 130), w.slice(0, 3).to(at::kFloat)));
  const auto ids = at::tensor({5, 129, 5}, at::kLong);
  EXPECT_TRUE(at::equal(weight->look_up(ids), w.index_select(0, ids)));
}

TEST_F(Int8Weight, OfASourceReleasesItWheneverItWasRead) {
  const auto w = random({130, 66}, at::kBFloat16);
  int released = 0;
  const auto weight =
      int8_weight({.out = 130,
                   .in = 66,
                   .read_rows = [&](std::int64_t first,
                                    std::int64_t last) { return w.slice(0, first, last).to(at::kFloat); },
                   .release = [&] { ++released; }});
  EXPECT_EQ(released, 1);
  EXPECT_TRUE(at::equal(weight->rows(3, 130), w.slice(0, 3).to(at::kFloat)));
  EXPECT_EQ(released, 2);
  const auto x = random({40, 66}, at::kBFloat16);
  EXPECT_TRUE(at::equal(weight->times_transposed(x), int8_weight(dense_weight(w))->times_transposed(x)));
  EXPECT_EQ(released, 2);
}

TEST_F(Int8Weight, OperandsThatAreNotFiniteGiveNan) {
  const auto weight = int8_weight(dense_weight(random({64, 64}, at::kBFloat16)));
  auto x = random({64, 64}, at::kBFloat16);
  x[3][5] = std::numeric_limits<double>::infinity();
  const auto y = weight->times_transposed(x);
  EXPECT_TRUE(y[3].isnan().all().item<bool>());
  EXPECT_TRUE(y.slice(0, 4).isfinite().all().item<bool>());
}

// q, k and v with adapters of 8, a residual for good measure.
struct Group {
  at::Tensor x = random({320, 192}, at::kBFloat16), dy = random({320, 448}, at::kBFloat16);
  Tensors w{random({192, 192}, at::kBFloat16), random({64, 192}, at::kBFloat16),
            random({192, 192}, at::kBFloat16)};
  Tensors a{random({8, 192}, at::kFloat), random({8, 192}, at::kFloat), random({8, 192}, at::kFloat)};
  Tensors b{random({192, 8}, at::kFloat), random({64, 8}, at::kFloat), random({192, 8}, at::kFloat)};

  Tensors inputs(at::ScalarType dtype) const {
    Tensors all{x.to(dtype)};
    const auto factors = dtype == at::kDouble ? at::kDouble : at::kFloat;
    for (std::size_t i = 0; i < 3; ++i) all.push_back(a[i].to(factors)), all.push_back(b[i].to(factors));
    return all;
  }
  Tensors run(const Tensors& inputs, bool int8) const {
    const auto op = [&](const Tensors& in) {
      std::vector<LoraTerm> terms(3);
      for (std::size_t i = 0; i < 3; ++i) {
        const auto dense = dense_weight(w[i].to(in[0].scalar_type()));
        terms[i] = {.weight = int8 ? int8_weight(dense) : dense,
                    .a = in[1 + 2 * i],
                    .b = in[2 + 2 * i],
                    .scale = 0.5,
                    .module = i};
      }
      return at::cat(lora_linear(in[0], terms, std::nullopt), 1);
    };
    const at::AutoGradMode differentiate(true);
    auto results = gradients(op, inputs, dy.to(inputs[0].scalar_type()));
    results.push_back(op(inputs));
    return results;
  }
};

TEST_F(Int8Weight, GradientsOfLoraAreNearThoseInFp64) {
  const Group group;
  const auto got = group.run(group.inputs(at::kBFloat16), true),
             want = group.run(group.inputs(at::kDouble), false);
  for (std::size_t i = 0; i < want.size(); ++i) EXPECT_LT(relative_difference(got[i], want[i]), kInt8) << i;
}

TEST_F(Int8Weight, ResultsDoNotDependOnTheNumberOfThreads) {
  const Group group;
  const int threads = at::get_num_threads();
  const auto many = group.run(group.inputs(at::kBFloat16), true);
  at::set_num_threads(1);
  const auto one = group.run(group.inputs(at::kBFloat16), true);
  at::set_num_threads(threads);
  for (std::size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(at::equal(many[i], one[i])) << i;
}

TEST(Int8Gain, IsRefusedWithBothRatesWhereItIsSmallOrMissing) {
  EXPECT_NO_THROW(check_int8_gain({.bf16 = 1e12, .int8 = 1.5e12}));
  const auto message = [](const ProductRates& rates) -> std::string {
    try {
      check_int8_gain(rates);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kResource);
      return error.what();
    }
    return "";
  };
  const std::string small = message({.bf16 = 1e12, .int8 = 1.49e12});
  EXPECT_NE(small.find("1.49"), std::string::npos) << small;
  EXPECT_NE(small.find("1.00"), std::string::npos) << small;
  EXPECT_NE(message({.bf16 = 1e12, .int8 = 0}).find("needs"), std::string::npos);
  EXPECT_NE(message({}).find("needs"), std::string::npos);
}

TEST_F(Int8Weight, ProbesGiveARateOfEachKind) {
  const ProductRates rates = probe_products(64, 64, 128, 0.0);
  EXPECT_GT(rates.bf16, 0);
  EXPECT_GT(rates.int8, 0);
}

}  // namespace
}  // namespace graft
