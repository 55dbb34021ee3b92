#include "kernels/cpu/attention_rows.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernels/cpu/attention_scalar.h"

namespace graft {
namespace {

constexpr double kFp32Share = 3e-6;   // a few roundings of fp32, and of exp2 of arguments up to 30
constexpr double kBf16Share = 0.008;  // a value on the edge may round to the next bf16: 2^-7

template <class Storage_, class Operand_>
struct Types {
  using Storage = Storage_;
  using Operand = Operand_;
  using Rows = AttentionRows<Storage, Operand, float>;
};

/// Every vector table of the machine against the scalar one, which is the last.
template <class T>
class AttentionRowsTest : public ::testing::Test {
 protected:
  using Storage = typename T::Storage;
  using Operand = typename T::Operand;

  template <class X>
  std::vector<X> draw(std::int64_t count, double spread = 1.0) {
    std::normal_distribution<double> normal(0.0, spread);
    std::vector<X> values(static_cast<std::size_t>(count));
    for (auto& value : values) value = scalar::rounded<X>(normal(random_));
    return values;
  }

  /// Calls f(table, scalar table) for each vector table.
  template <class F>
  void for_each_table(const F& f) {
    const auto tables = attention_rows<Storage, Operand, float>();
    ASSERT_EQ(tables.back().name, "scalar");
    for (const auto& table : tables.first(tables.size() - 1)) {
      SCOPED_TRACE(std::string(table.name));
      f(table, tables.back());
    }
  }

 private:
  std::mt19937 random_{7};
};

template <class X>
void expect_near(const std::vector<X>& got, const std::vector<X>& want, double least = 0.0) {
  const double share = std::is_same_v<X, Bf16Bits> ? kBf16Share : kFp32Share;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double g = scalar::real(got[i]), w = scalar::real(want[i]);
    if (g == w) continue;  // infinities too
    ASSERT_LE(std::abs(g - w), share * std::abs(w) + least) << "number " << i << ": " << g << ", want " << w;
  }
}

using AllTypes = ::testing::Types<Types<Bf16Bits, Bf16Bits>, Types<Bf16Bits, float>, Types<float, float>>;
TYPED_TEST_SUITE(AttentionRowsTest, AllTypes);

TYPED_TEST(AttentionRowsTest, PacksAndTransposesAsTheModelDoes) {
  using Storage = typename TypeParam::Storage;
  using Operand = typename TypeParam::Operand;
  struct Size {
    std::int64_t count, width;
  };
  for (const auto [count, width] : {Size{64, 64}, Size{1, 2}, Size{17, 80}, Size{33, 31}, Size{48, 96}}) {
    const BlockShape shape{(count + 15) / 16 * 16, (width + 15) / 16 * 16};
    const auto numbers = this->template draw<Storage>(count * (width + 3));
    const RowView<const Storage> from{numbers.data(), width + 3, count, width};
    const auto size = static_cast<std::size_t>(shape.rows * shape.columns);
    this->for_each_table([&](const auto& table, const auto& model) {
      std::vector<Operand> got(size, 1), want(size, 2);
      for (const auto form :
           {&TypeParam::Rows::load, &TypeParam::Rows::pack, &TypeParam::Rows::pack_transposed}) {
        (table.*form)(from, shape, got.data());
        (model.*form)(from, shape, want.data());
        EXPECT_EQ(got, want);
      }
      const auto block = want;
      table.transpose(block.data(), shape, got.data());
      model.transpose(block.data(), shape, want.data());
      EXPECT_EQ(got, want);
    });
  }
}

/// Full, causal, windowed and capped blocks, and one whose first rows see nothing.
std::vector<ScoreBlock> score_blocks() {
  return {{{64, 64}, 100, 0, 0.25, 0.0}, {{64, 64}, 0, 0, 0.25, 0.0},  {{32, 48}, 7, 0, 0.25, 0.0},
          {{64, 64}, 64, 90, 0.25, 0.0}, {{16, 16}, 0, 1, 0.25, 0.0},  {{64, 32}, 40, 20, 0.25, 0.0},
          {{64, 64}, 100, 0, 2.0, 5.0},  {{64, 64}, 10, 30, 2.0, 5.0}, {{32, 64}, -8, 0, 0.25, 0.0}};
}

TYPED_TEST(AttentionRowsTest, SoftmaxRunsAsTheModelDoes) {
  using Operand = typename TypeParam::Operand;
  constexpr std::int64_t kWidth = 32;
  for (const auto& block : score_blocks()) {
    const auto [rows, columns] = block.shape;
    const auto size = static_cast<std::size_t>(rows * columns);
    const auto out = this->template draw<float>(rows * kWidth);
    // The second step has scores that are much larger, so that the offset moves.
    const auto steps = {this->template draw<float>(rows * columns, 4.0),
                        this->template draw<float>(rows * columns, 60.0)};
    this->for_each_table([&](const auto& table, const auto& model) {
      struct State {
        std::vector<float> max, sum, out, lse, inverse, totals;
        std::vector<Operand> probabilities;
      } got, want;
      for (auto* state : {&got, &want}) {
        state->max.assign(rows, -std::numeric_limits<float>::infinity());
        state->sum.assign(rows * kBlockStep, 0.0F);
        state->out = out;
        state->lse.assign(rows, 0.0F);
        state->inverse.assign(rows, 0.0F);
        state->probabilities.assign(size, Operand{3});
        for (auto products : steps)
          (state == &got ? table : model)
              .softmax(block, products.data(),
                       {state->max.data(), state->sum.data(), state->out.data(), kWidth},
                       state->probabilities.data());
        (state == &got ? table : model)
            .finish(rows, {state->max.data(), state->sum.data(), nullptr, 0}, state->lse.data(),
                    state->inverse.data());
      }
      expect_near(got.max, want.max, 1e-5);
      expect_near(got.out, want.out, 1e-7);
      expect_near(got.probabilities, want.probabilities, 1e-6);
      for (std::int64_t i = 0; i < rows; ++i) {
        if (std::isinf(want.max[i])) continue;  // a row that saw nothing has no sum
        EXPECT_NEAR(got.lse[i], want.lse[i], 2e-5);
        EXPECT_NEAR(got.inverse[i] / want.inverse[i], 1.0, 1e-5);
      }
    });
  }
}

TYPED_TEST(AttentionRowsTest, GradientIsTheModels) {
  using Operand = typename TypeParam::Operand;
  for (const auto& block : score_blocks()) {
    const auto [rows, columns] = block.shape;
    const auto size = static_cast<std::size_t>(rows * columns);
    const auto products = this->template draw<float>(rows * columns),
               dp = this->template draw<float>(rows * columns);
    auto lse = this->template draw<float>(rows);
    for (auto& x : lse) x += 8.0F;
    lse.back() = std::numeric_limits<float>::infinity();  // a row of padding
    const auto delta = this->template draw<float>(rows);
    this->for_each_table([&](const auto& table, const auto& model) {
      std::vector<Operand> got[3], want[3];
      for (auto* set : {&got, &want})
        for (auto& numbers : *set) numbers.assign(size, Operand{3});
      table.gradient(block, products.data(), dp.data(), lse.data(), delta.data(),
                     {got[0].data(), got[1].data(), got[2].data()});
      model.gradient(block, products.data(), dp.data(), lse.data(), delta.data(),
                     {want[0].data(), want[1].data(), want[2].data()});
      for (int i = 0; i < 3; ++i) expect_near(got[i], want[i], 1e-6);
    });
  }
}

TYPED_TEST(AttentionRowsTest, StoresAndSumsAsTheModelDoes) {
  using Storage = typename TypeParam::Storage;
  constexpr std::int64_t kCount = 37, kWidth = 45, kStride = 50, kColumns = 48;
  const auto block = this->template draw<float>(kColumns * kColumns),
             factor = this->template draw<float>(kColumns);
  const auto a = this->template draw<Storage>(kCount * kStride),
             b = this->template draw<Storage>(kCount * kStride);
  this->for_each_table([&](const auto& table, const auto& model) {
    std::vector<Storage> got(kCount * kStride, 1), want(kCount * kStride, 1);
    table.store(block.data(), kColumns, factor.data(), {got.data(), kStride, kCount, kWidth});
    model.store(block.data(), kColumns, factor.data(), {want.data(), kStride, kCount, kWidth});
    EXPECT_EQ(got, want);  // the numbers between the rows too
    table.store_transposed(block.data(), kColumns, 0.7F, {got.data(), kStride, kCount, kWidth});
    model.store_transposed(block.data(), kColumns, 0.7F, {want.data(), kStride, kCount, kWidth});
    EXPECT_EQ(got, want);
    std::vector<float> dots(kCount), model_dots(kCount);
    table.row_dots({a.data(), kStride, kCount, kWidth}, {b.data(), kStride, kCount, kWidth}, dots.data());
    model.row_dots({a.data(), kStride, kCount, kWidth}, {b.data(), kStride, kCount, kWidth},
                   model_dots.data());
    expect_near(dots, model_dots, 1e-4);
    auto sum = block, model_sum = block;
    table.add(sum.data(), factor.data(), kColumns - 5);
    model.add(model_sum.data(), factor.data(), kColumns - 5);
    EXPECT_EQ(sum, model_sum);
  });
}

TYPED_TEST(AttentionRowsTest, FewQueriesGoAsTheModelDoes) {
  using Storage = typename TypeParam::Storage;
  constexpr std::int64_t kQueries = 3, kKeys = 37, kWidth = 45, kColumns = 48;
  const auto q = this->template draw<Storage>(kQueries * kWidth),
             k = this->template draw<Storage>(kKeys * kWidth);
  const RowView<const Storage> queries{q.data(), kWidth, kQueries, kWidth},
      keys{k.data(), kWidth, kKeys, kWidth};
  this->for_each_table([&](const auto& table, const auto& model) {
    std::vector<float> got(kQueries * kColumns, 1.0F), want(kQueries * kColumns, 2.0F);
    table.dot_keys(queries, keys, kColumns, got.data());
    model.dot_keys(queries, keys, kColumns, want.data());
    expect_near(got, want, 1e-4);
    const auto weights = want;
    table.weigh_values(weights.data(), {kQueries, kColumns}, keys, got.data());
    model.weigh_values(weights.data(), {kQueries, kColumns}, keys, want.data());
    expect_near(got, want, 1e-3);
  });
}

TYPED_TEST(AttentionRowsTest, NonFiniteScoresReachTheProbabilities) {
  using Operand = typename TypeParam::Operand;
  for (const auto& table : attention_rows<typename TypeParam::Storage, Operand, float>()) {
    std::vector<float> products(256, 1.0F), max(16, -std::numeric_limits<float>::infinity()), sum(256),
        lse(16), inverse(16);
    products[5] = std::numeric_limits<float>::quiet_NaN();
    products[16 + 5] = std::numeric_limits<float>::infinity();
    std::vector<Operand> probabilities(256);
    table.softmax({{16, 16}, 100, 0, 1.0, 0.0}, products.data(), {max.data(), sum.data(), nullptr, 0},
                  probabilities.data());
    table.finish(16, {max.data(), sum.data(), nullptr, 0}, lse.data(), inverse.data());
    EXPECT_FALSE(std::isfinite(lse[0])) << table.name;
    EXPECT_FALSE(std::isfinite(lse[1])) << table.name;
    EXPECT_TRUE(std::isfinite(lse[2])) << table.name;
  }
}

}  // namespace
}  // namespace graft
