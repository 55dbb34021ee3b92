#include "ops/product.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <map>

#include "ops/block_gemm.h"
#include "ops/gradients.h"
#include "ops/product_cut.h"

namespace graft {
namespace {

using testing::random;
using testing::relative_difference;

constexpr double kFp32 = 1e-6;    // sums of up to 4,000 exact products in fp32
constexpr double kBf16 = 2.5e-3;  // one rounding to 8 bits

class Products : public ::testing::Test {
 protected:
  void SetUp() override {
    at::manual_seed(11);
    if (!multiplies_bf16()) GTEST_SKIP() << "no bf16 products on this machine";
  }
};

at::Tensor exact(const at::Tensor& left, const at::Tensor& right, Side side) {
  const auto a = left.to(at::kDouble), b = right.to(at::kDouble);
  return at::mm(a, side == Side::kAsStored ? b : b.t());
}

at::Tensor stored(std::int64_t depth, std::int64_t columns, Side side) {
  return side == Side::kAsStored ? random({depth, columns}, at::kBFloat16)
                                 : random({columns, depth}, at::kBFloat16);
}

TEST_F(Products, MatchExactOnesAtEveryShape) {
  struct Shape {
    std::int64_t rows, depth, columns;
  };
  for (const auto& [rows, depth, columns] : {Shape{1, 2, 1}, Shape{17, 30, 7}, Shape{64, 576, 192},
                                             Shape{300, 130, 50}, Shape{300, 4000, 130}, Shape{70, 4000, 33}})
    for (const Side side : {Side::kAsStored, Side::kTransposed}) {
      const auto left = random({rows, depth}, at::kBFloat16), right = stored(depth, columns, side);
      auto y = at::full({rows, columns}, -7.0, at::kFloat);
      run_products({{.rows = rows,
                     .columns = columns,
                     .parts = {{{left, matrix_of(right), side}}},
                     .finish = copy_to(y)}});
      EXPECT_LT(relative_difference(y, exact(left, right, side)), kFp32)
          << rows << " " << depth << " " << columns;
    }
}

TEST_F(Products, SumTermsOfBothSidesAndRoundOnce) {
  const std::int64_t rows = 130, columns = 100;
  const auto x = random({rows, 64}, at::kBFloat16), w = random({columns, 64}, at::kBFloat16),
             xa = random({rows, 6}, at::kBFloat16), b = random({columns, 5}, at::kBFloat16),
             dy = random({rows, 2000}, at::kBFloat16), v = random({2000, columns}, at::kBFloat16),
             bias = random({columns}, at::kBFloat16), addend = random({rows, columns}, at::kBFloat16);
  auto y = at::empty({rows, columns}, at::kBFloat16);
  run_products({{.rows = rows,
                 .columns = columns,
                 .parts = {{{x, matrix_of(w), Side::kTransposed},
                            {xa, matrix_of(b), Side::kTransposed},
                            {dy, matrix_of(v)}}},
                 .finish = round_to(y, bias, addend)}});
  const auto want = exact(x, w, Side::kTransposed) + exact(xa.narrow(1, 0, 5), b, Side::kTransposed) +
                    exact(dy, v, Side::kAsStored) + bias + addend;
  EXPECT_LT(relative_difference(y, want), kBf16);
}

TEST_F(Products, FinishEveryPlaceOfEveryProductOnce) {
  const auto left = random({200, 32}, at::kBFloat16), w = random({90, 32}, at::kBFloat16);
  const auto narrow = random({3, 200}, at::kBFloat16);
  auto counts = at::zeros({200, 90}, at::kFloat), y = at::empty({32, 3}, at::kFloat);
  const auto count = [&](const Tile* parts) {
    for (std::int64_t i = 0; i < parts->rows; ++i)
      for (std::int64_t j = 0; j < parts->columns; ++j)
        counts.mutable_data_ptr<float>()[(parts->row + i) * 90 + parts->column + j] +=
            parts[0].sums[i * parts->width + j] == -parts[1].sums[i * parts->width + j] ? 1 : 100;
  };
  run_products(
      {{.rows = 200,
        .columns = 90,
        .parts = {{{left, matrix_of(w), Side::kTransposed}}, {{left, matrix_of(-w), Side::kTransposed}}},
        .finish = count},
       {.rows = 3,
        .columns = 32,
        .parts = {{{narrow, matrix_of(left)}}},
        .finish = copy_transposed_to(y, 2.0F)}});
  EXPECT_TRUE(at::equal(counts, at::ones_like(counts)));
  EXPECT_LT(relative_difference(y, 2 * exact(narrow, left, Side::kAsStored).t()), kFp32);
}

TEST_F(Products, DoNotDependOnTheNumberOfThreads) {
  const auto left = random({700, 3000}, at::kBFloat16), w = random({130, 3000}, at::kBFloat16);
  const auto product = [&] {
    auto y = at::empty({700, 130}, at::kFloat);
    run_products({{.rows = 700,
                   .columns = 130,
                   .parts = {{{left, matrix_of(w), Side::kTransposed}}},
                   .finish = copy_to(y)}});
    return y;
  };
  const int threads = at::get_num_threads();
  const auto many = product();
  at::set_num_threads(1);
  const auto one = product();
  at::set_num_threads(threads);
  EXPECT_TRUE(at::equal(many, one));
}

std::vector<Product> products_of(const std::vector<std::pair<std::int64_t, std::int64_t>>& shapes,
                                 std::int64_t depth) {
  std::vector<Product> products;
  for (const auto& [rows, columns] : shapes) {
    const auto left = at::empty({rows, depth}, at::kBFloat16),
               right = at::empty({columns, depth}, at::kBFloat16);
    products.push_back(
        {.rows = rows, .columns = columns, .parts = {{{left, matrix_of(right), Side::kTransposed}}}});
  }
  return products;
}

TEST(ProductCut, ColumnTasksCoverEveryProductOnce) {
  const auto products = products_of({{2048, 576}, {2048, 192}, {16, 576}, {1000, 50}}, 64);
  for (const std::int64_t threads : {1, 2, 7, 64}) {
    const ColumnCut cut = cut_columns(products, threads);
    std::int64_t covered = 0, wanted = 0;
    for (const auto& task : cut.tasks) {
      EXPECT_LE(task.columns, cut.columns);
      EXPECT_LE(task.rows, cut.rows);
      EXPECT_EQ(task.row % kTileRows, 0);
      covered += task.rows * task.columns;
    }
    for (const auto& product : products) wanted += product.rows * product.columns;
    EXPECT_EQ(covered, wanted) << threads;
  }
}

TEST(ProductCut, RoundsHoldEveryPieceOnceInOrderAndCloseEveryPanelLast) {
  for (const std::int64_t depth : {64, 4000, 40000}) {
    const std::vector<std::vector<Product>> stages{products_of({{300, 16}}, depth),
                                                   products_of({{300, 700}, {300, 50}}, depth)};
    std::map<const Product*, std::int64_t> packed, closed;
    const Product* last = nullptr;
    for (const Round& round : cut_rounds(stages))
      for (const Panel& panel : round.panels) {
        EXPECT_TRUE(panel.product >= last || last == &stages[0][0]) << "stages are out of order";
        last = panel.product;
        for (const auto& piece : panel.pieces) packed[panel.product] += piece.depth * panel.columns;
        if (panel.closes) closed[panel.product] += panel.columns;
        EXPECT_EQ(panel.is_part, depth > kDeep);
        EXPECT_LE(panel.packed, round.numbers);
      }
    for (const auto& stage : stages)
      for (const auto& product : stage) {
        EXPECT_EQ(packed[&product], depth * product.columns);
        EXPECT_EQ(closed[&product], product.columns);
      }
  }
}

TEST_F(Products, OfALaterStageReadWhatAnEarlierOneWrites) {
  // Few rows go stage by stage, many row by row through both; both must give the same.
  for (const std::int64_t rows : {40, 1000}) {
    const auto x = random({rows, 96}, at::kBFloat16), a = random({6, 96}, at::kBFloat16),
               b = random({50, 6}, at::kBFloat16);
    auto xa = at::full({rows, 6}, 7.0, at::kBFloat16), y = at::empty({rows, 50}, at::kFloat);
    run_stages({{{.rows = rows,
                  .columns = 6,
                  .parts = {{{x, matrix_of(a), Side::kTransposed}}},
                  .finish = round_to(xa)}},
                {{.rows = rows,
                  .columns = 50,
                  .parts = {{{xa, matrix_of(b), Side::kTransposed}}},
                  .finish = copy_to(y)}}});
    const auto want = exact(exact(x, a, Side::kTransposed).to(at::kBFloat16), b, Side::kTransposed);
    EXPECT_LT(relative_difference(y, want), kBf16) << rows;
  }
}

TEST_F(Products, SumUpADeepOneOverRounds) {
  const std::int64_t depth = 20000;
  const auto left = random({300, depth}, at::kBFloat16), right = random({depth, 70}, at::kBFloat16);
  auto y = at::empty({300, 70}, at::kFloat);
  run_products({{.rows = 300, .columns = 70, .parts = {{{left, matrix_of(right)}}}, .finish = copy_to(y)}});
  EXPECT_LT(relative_difference(y, exact(left, right, Side::kAsStored)), kFp32);
}

}  // namespace
}  // namespace graft
