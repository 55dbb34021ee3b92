#include "kernels/cpu/row_kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/random.h"
#include "kernels/dtype.h"

namespace graft {
namespace {

// Vector and plain loops add in other orders and have other exponentials: a few units in the last place of
// fp32, and in bf16 the neighbouring number where that crosses a rounding boundary.
constexpr double kFloatTolerance = 4e-6;
constexpr double kBf16Tolerance = 8.1e-3;

// Every length of tail of every vector width, and rows longer than one vector.
const std::int64_t kWidths[] = {1, 2, 7, 8, 15, 16, 17, 31, 33, 64, 100, 203};

template <class T>
T make(double x) {
  if constexpr (std::is_same_v<T, Bf16>)
    return {bf16_of_f32(static_cast<float>(x))};
  else
    return static_cast<T>(x);
}
double value(float x) { return x; }
double value(Bf16 x) { return f32_of_bf16(x.bits); }

template <class T>
constexpr double kTolerance = std::is_same_v<T, float> ? kFloatTolerance : kBf16Tolerance;

template <class T>
std::vector<T> random_row(std::int64_t count, unsigned seed, double spread = 1.0) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal(0, spread);
  std::vector<T> row;
  for (std::int64_t i = 0; i < count; ++i) row.push_back(make<T>(normal(engine)));
  return row;
}

template <class T>
void expect_close(const std::vector<T>& got, const std::vector<T>& want, double tolerance,
                  const std::string& what) {
  ASSERT_EQ(got.size(), want.size());
  double largest = 1e-30;
  for (const auto& w : want) largest = std::max(largest, std::abs(value(w)));
  for (std::size_t i = 0; i < got.size(); ++i) {
    const auto w = value(want[i]);
    EXPECT_NEAR(value(got[i]), w, tolerance * (std::abs(w) + 0.03 * largest)) << what << " at " << i;
  }
}

template <class T>
class RowKernelsTest : public ::testing::Test {
 protected:
  // check(table of a vector path, table of the plain loops, label) for every path of the machine.
  template <class Check>
  void on_every_path(const Check& check) {
    for (const auto path : cpu_paths())
      for (const auto width : kWidths)
        check(row_kernels<T>(path), row_kernels<T>(CpuPath::kScalar), width,
              std::string(name(path)) + ", width " + std::to_string(width));
  }
};
using Types = ::testing::Types<float, Bf16>;
TYPED_TEST_SUITE(RowKernelsTest, Types);

constexpr std::int64_t kRows = 3;

TYPED_TEST(RowKernelsTest, NormsLikeThePlainLoop) {
  using T = TypeParam;
  this->on_every_path([](const auto& fast, const auto& plain, std::int64_t width, const std::string& what) {
    const auto n = static_cast<std::size_t>(kRows * width);
    const auto x = random_row<T>(kRows * width, 1), w = random_row<T>(width, 2),
               dy = random_row<T>(kRows * width, 3);
    std::vector<T> y(n), want_y(n), dx(n), want_dx(n);
    std::vector<float> rstd(kRows), want_rstd(kRows);
    fast.rms_norm(x.data(), w.data(), 1e-5, kRows, width, y.data(), rstd.data());
    plain.rms_norm(x.data(), w.data(), 1e-5, kRows, width, want_y.data(), want_rstd.data());
    expect_close(y, want_y, kTolerance<T>, what);
    expect_close(rstd, want_rstd, kFloatTolerance, what + ", rstd");
    fast.rms_norm_backward(x.data(), w.data(), rstd.data(), dy.data(), kRows, width, dx.data());
    plain.rms_norm_backward(x.data(), w.data(), want_rstd.data(), dy.data(), kRows, width, want_dx.data());
    if (width > 1) expect_close(dx, want_dx, 10 * kTolerance<T>, what + ", backward");
  });
}

TYPED_TEST(RowKernelsTest, RotatesLikeThePlainLoopAndBack) {
  using T = TypeParam;
  this->on_every_path([](const auto& fast, const auto& plain, std::int64_t half, const std::string& what) {
    const std::int64_t heads = 2, count = kRows * heads * 2 * half;
    const auto x = random_row<T>(count, 1);
    std::vector<float> cos, sin;
    for (std::int64_t i = 0; i < kRows * half; ++i) {
      cos.push_back(std::cos(static_cast<float>(i)));
      sin.push_back(std::sin(static_cast<float>(i)));
    }
    std::vector<T> y(x.size()), want(x.size());
    fast.rotate(x.data(), cos.data(), sin.data(), 1, kRows, heads, half, y.data());
    plain.rotate(x.data(), cos.data(), sin.data(), 1, kRows, heads, half, want.data());
    expect_close(y, want, kTolerance<T>, what);
    plain.rotate(y.data(), cos.data(), sin.data(), -1, kRows, heads, half, want.data());
    fast.rotate(y.data(), cos.data(), sin.data(), -1, kRows, heads, half, y.data());
    expect_close(y, want, kTolerance<T>, what + ", in place and back");
  });
}

TYPED_TEST(RowKernelsTest, GatesLikeThePlainLoop) {
  using T = TypeParam;
  this->on_every_path([](const auto& fast, const auto& plain, std::int64_t count, const std::string& what) {
    const auto n = static_cast<std::size_t>(count);
    const auto gate = random_row<T>(count, 1, 5), up = random_row<T>(count, 2), dh = random_row<T>(count, 3);
    std::vector<T> h(n), want(n), dgate(n), dup(n), want_dgate(n), want_dup(n);
    fast.swiglu(gate.data(), up.data(), count, h.data());
    plain.swiglu(gate.data(), up.data(), count, want.data());
    expect_close(h, want, kTolerance<T>, what);
    fast.swiglu_backward(gate.data(), up.data(), dh.data(), count, dgate.data(), dup.data());
    plain.swiglu_backward(gate.data(), up.data(), dh.data(), count, want_dgate.data(), want_dup.data());
    expect_close(dgate, want_dgate, kTolerance<T>, what + ", dgate");
    expect_close(dup, want_dup, kTolerance<T>, what + ", dup");
  });
}

TYPED_TEST(RowKernelsTest, TakesLogitsLikeThePlainLoop) {
  using T = TypeParam;
  this->on_every_path(
      [](const auto& fast, const auto& plain, std::int64_t vocabulary, const std::string& what) {
        for (const double offset : {0.0, 90.0, -90.0}) {  // far from 0, where unused lanes would show
          auto z = random_row<T>(kRows * vocabulary, 1, 3);
          for (auto& logit : z) logit = make<T>(value(logit) + offset);
          const std::int64_t targets[kRows] = {0, vocabulary - 1, vocabulary / 2};
          std::vector<T> d(z.size()), want(z.size());
          std::vector<float> loss(kRows), want_loss(kRows), alone(kRows);
          fast.cross_entropy(z.data(), targets, kRows, vocabulary, loss.data(), d.data());
          plain.cross_entropy(z.data(), targets, kRows, vocabulary, want_loss.data(), want.data());
          for (int row = 0; row < kRows; ++row)
            EXPECT_NEAR(loss[row], want_loss[row], 1e-5 * (1 + want_loss[row])) << what;
          expect_close(d, want, kTolerance<T>, what);
          fast.cross_entropy(z.data(), targets, kRows, vocabulary, alone.data(), nullptr);
          EXPECT_EQ(loss, alone) << what;
          fast.cross_entropy(z.data(), targets, kRows, vocabulary, alone.data(), z.data());
          EXPECT_EQ(std::memcmp(z.data(), d.data(), z.size() * sizeof(T)), 0) << what << ", in place";
        }
      });
}

TYPED_TEST(RowKernelsTest, DropsTheSameElementsOnEveryPath) {
  using T = TypeParam;
  const DropRow row{{11, 22}, 5, {33, 44}, 0x60000000, 1.6F};
  this->on_every_path([&](const auto& fast, const auto& plain, std::int64_t width, const std::string& what) {
    const auto x = random_row<T>(width, 1);
    std::vector<T> y(x.size()), want(x.size());
    fast.drop(x.data(), row, width, y.data());
    plain.drop(x.data(), row, width, want.data());
    EXPECT_EQ(std::memcmp(y.data(), want.data(), y.size() * sizeof(T)), 0) << what;
    for (std::uint32_t c = 0; c < x.size(); ++c) {
      const auto words =
          philox({row.position, c / 4, row.example[0], row.example[1]}, {row.key[0], row.key[1]});
      EXPECT_EQ(value(y[c]) == 0, words[c % 4] < row.threshold) << what << " at " << c;
    }
  });
}

TYPED_TEST(RowKernelsTest, SpreadsAGainsGradientLikeThePlainLoop) {
  using T = TypeParam;
  this->on_every_path([](const auto& fast, const auto& plain, std::int64_t width, const std::string& what) {
    const auto n = static_cast<std::size_t>(kRows * width);
    const auto dy = random_row<T>(kRows * width, 1), y = random_row<T>(kRows * width, 2);
    const auto gain = random_row<float>(width, 3);
    std::vector<T> dz(n), want_dz(n);
    std::vector<float> sums(static_cast<std::size_t>(width), 0.5F), want_sums = sums;
    fast.gain_backward(dy.data(), y.data(), gain.data(), kRows, width, dz.data(), sums.data());
    plain.gain_backward(dy.data(), y.data(), gain.data(), kRows, width, want_dz.data(), want_sums.data());
    EXPECT_EQ(std::memcmp(dz.data(), want_dz.data(), n * sizeof(T)), 0) << what;
    expect_close(sums, want_sums, kFloatTolerance, what + ", sums");
  });
}

TYPED_TEST(RowKernelsTest, ScalesLikeThePlainLoop) {
  using T = TypeParam;
  this->on_every_path([](const auto& fast, const auto& plain, std::int64_t count, const std::string& what) {
    const auto x = random_row<T>(count, 1);
    std::vector<T> y(x.size()), want(x.size());
    fast.scale(x.data(), 0.37F, count, y.data());
    plain.scale(x.data(), 0.37F, count, want.data());
    EXPECT_EQ(std::memcmp(y.data(), want.data(), y.size() * sizeof(T)), 0) << what;
  });
}

// exp is tested through swiglu: silu(x) = x / (1 + e^-x), with up = 1.
TEST(RowKernels, KeepSigmoidAccurateOverTheWholeRange) {
  std::vector<float> x;
  for (double v = -120; v < 120; v += 0.00173) x.push_back(static_cast<float>(v));
  const std::vector<float> ones(x.size(), 1.0F);
  for (const auto path : cpu_paths()) {
    std::vector<float> h(x.size());
    row_kernels<float>(path).swiglu(x.data(), ones.data(), static_cast<std::int64_t>(x.size()), h.data());
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double want = x[i] / (1.0 + std::exp(-static_cast<double>(x[i])));
      ASSERT_NEAR(h[i], want, 4e-7 * std::abs(want) + 1e-36) << name(path) << " at " << x[i];
    }
  }
}

TEST(RowKernels, RoundToNearestEvenAndKeepNan) {
  for (const auto path : cpu_paths()) {
    // The product of two bf16 is exact in fp32 and then rounded once.
    const std::vector<Bf16> a{{0x3f81}, {0x3f83}, {0x7f7f}, {0x7fff}, {0xff80}}, y = [&] {
      std::vector<Bf16> result(a.size());
      row_kernels<Bf16>(path).scale(a.data(), 1.00390625F, 5, result.data());
      return result;
    }();
    for (std::size_t i = 0; i < a.size(); ++i) {
      const auto want = bf16_of_f32(f32_of_bf16(a[i].bits) * 1.00390625F);
      if (std::isnan(f32_of_bf16(want)))
        EXPECT_TRUE(std::isnan(value(y[i]))) << name(path);
      else
        EXPECT_EQ(y[i].bits, want) << name(path) << " at " << i;
    }
  }
}

TEST(RowKernels, ChooseTheBestPathOfTheMachine) {
  EXPECT_EQ(cpu_paths().front(), CpuPath::kScalar);
  EXPECT_EQ(&row_kernels<float>(), &row_kernels<float>(cpu_paths().back()));
}

}  // namespace
}  // namespace graft
