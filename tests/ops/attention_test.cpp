#include "ops/attention.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "base/error.h"

namespace graft {
namespace {

constexpr double kFp64Tolerance = 1e-12;  // sums of at most a few thousand terms
constexpr double kFp32Tolerance = 2e-5;   // the same in fp32, relative to the largest value
constexpr double kBf16Tolerance = 0.01;   // roundings of the result and of probabilities, each up to 2^-9
constexpr double kDifferenceStep = 1e-5;  // central differences: error about step^2
constexpr double kDifferenceTolerance = 1e-7;

struct Case {
  std::vector<std::int64_t> lengths;
  std::int64_t heads = 4, kv_heads = 2, width = 16;
  AttentionOptions options{0.25, 0, 0.0};
};

PackLayout layout_of(const std::vector<std::int64_t>& lengths) {
  PackLayout layout{{0}, {}};
  for (const auto length : lengths) layout.starts.push_back(layout.starts.back() + length);
  return layout;
}

struct Inputs {
  at::Tensor q, k, v, weight;  // weight [T,H,E]: the gradient of the result
};

Inputs inputs_of(const Case& c, at::ScalarType type, std::uint64_t seed = 1) {
  auto generator = at::detail::createCPUGenerator(seed);
  const auto tokens = std::accumulate(c.lengths.begin(), c.lengths.end(), std::int64_t{0});
  const auto draw = [&](std::int64_t heads) {
    return at::randn({tokens, heads, c.width}, generator, at::TensorOptions(at::kDouble)).to(type);
  };
  return {draw(c.heads), draw(c.kv_heads), draw(c.kv_heads), draw(c.heads)};
}

Inputs in_type(const Inputs& x, at::ScalarType type) {
  return {x.q.to(type), x.k.to(type), x.v.to(type), x.weight.to(type)};
}

/// Plain softmax attention of one sequence, K and V expanded, all scores at once.
at::Tensor plain_sequence(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                          const AttentionOptions& options) {
  const auto group = q.size(1) / k.size(1), n = q.size(0), m = k.size(0);
  const auto heads_first = [](const at::Tensor& x) { return x.permute({1, 0, 2}); };
  auto s =
      at::matmul(heads_first(q), heads_first(k.repeat_interleave(group, 1)).transpose(1, 2)) * options.scale;
  if (options.softcap > 0) s = at::tanh(s / options.softcap) * options.softcap;
  const auto queries = at::arange(m - n, m).unsqueeze(1), keys = at::arange(m).unsqueeze(0);
  auto hidden = keys > queries;
  if (options.window > 0) hidden = hidden | (queries - keys >= options.window);
  const auto p = at::softmax(s.masked_fill(hidden, -std::numeric_limits<double>::infinity()), -1);
  return at::matmul(p, heads_first(v.repeat_interleave(group, 1))).permute({1, 0, 2});
}

at::Tensor plain(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const PackLayout& layout,
                 const AttentionOptions& options) {
  std::vector<at::Tensor> parts;
  for (std::int64_t n = 0; n < layout.sequences(); ++n) {
    const auto of = [&](const at::Tensor& x) { return x.slice(0, layout.starts[n], layout.starts[n + 1]); };
    parts.push_back(plain_sequence(of(q), of(k), of(v), options));
  }
  return at::cat(parts);
}

/// The result and the gradients of q, k, v.
struct Outcome {
  std::vector<at::Tensor> values;
};
const char* const kNames[] = {"out", "dq", "dk", "dv"};

template <class F>
Outcome run(const F& f, const Inputs& x) {
  const auto leaf = [](const at::Tensor& t) { return t.detach().clone().requires_grad_(true); };
  const auto q = leaf(x.q), k = leaf(x.k), v = leaf(x.v);
  const auto out = f(q, k, v);
  const auto grads = torch::autograd::grad({out}, {q, k, v}, {x.weight});
  return {{out.detach(), grads[0], grads[1], grads[2]}};
}

Outcome run_ours(const Inputs& x, const Case& c) {
  const auto layout = layout_of(c.lengths);
  return run([&](auto& q, auto& k, auto& v) { return attention(q, k, v, layout, c.options); }, x);
}

Outcome run_plain(const Inputs& x, const Case& c) {
  const auto layout = layout_of(c.lengths);
  return run([&](auto& q, auto& k, auto& v) { return plain(q, k, v, layout, c.options); }, x);
}

/// Largest difference as a share of the largest value, or of 1 (the size of the inputs) where values vanish.
double distance(const at::Tensor& a, const at::Tensor& b) {
  const auto x = a.to(at::kDouble), y = b.to(at::kDouble);
  return ((x - y).abs().max() / y.abs().max().clamp_min(1.0)).item<double>();
}

void expect_close(const Outcome& got, const Outcome& want, double tolerance) {
  for (std::size_t i = 0; i < got.values.size(); ++i) {
    EXPECT_TRUE(got.values[i].isfinite().all().item<bool>()) << kNames[i];
    EXPECT_LE(distance(got.values[i], want.values[i]), tolerance) << kNames[i];
  }
}

void expect_same_bits(const Outcome& a, const Outcome& b) {
  for (std::size_t i = 0; i < a.values.size(); ++i)
    EXPECT_TRUE(at::equal(a.values[i], b.values[i])) << kNames[i];
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const std::int64_t length : {1, 2, 63, 64, 65, 127, 128, 129, 300})
    all.push_back({.lengths = {length}});
  all.push_back({.lengths = {5, 1, 64, 130, 2, 33}});
  all.push_back({.lengths = {500}, .heads = 9, .kv_heads = 3, .width = 64, .options = {0.125, 0, 0.0}});
  all.push_back({.lengths = {70, 40}, .heads = 9, .kv_heads = 1, .width = 80});
  all.push_back({.lengths = {70, 40}, .heads = 3, .kv_heads = 3, .width = 96});
  all.push_back({.lengths = {140, 40}, .heads = 2, .kv_heads = 1, .width = 128, .options = {0.09, 0, 0.0}});
  all.push_back({.lengths = {100, 40}, .heads = 2, .kv_heads = 2, .width = 256, .options = {0.0625, 0, 0.0}});
  all.push_back({.lengths = {20, 31}, .heads = 2, .kv_heads = 1, .width = 2});
  all.push_back({.lengths = {90, 200, 3}, .options = {0.25, 1, 0.0}});
  all.push_back({.lengths = {90, 200, 3}, .options = {0.25, 40, 0.0}});
  all.push_back({.lengths = {90, 300, 3}, .options = {0.25, 64, 0.0}});
  all.push_back({.lengths = {90, 200, 3}, .options = {0.25, 1000, 0.0}});
  all.push_back({.lengths = {90, 200, 3}, .options = {1.5, 0, 2.0}});
  all.push_back({.lengths = {90, 200, 3}, .options = {1.5, 70, 2.0}});
  return all;
}

std::string describe(const Case& c) {
  std::ostringstream text;
  text << "lengths";
  for (const auto length : c.lengths) text << ' ' << length;
  text << ", heads " << c.heads << '/' << c.kv_heads << ", width " << c.width << ", scale " << c.options.scale
       << ", window " << c.options.window << ", softcap " << c.options.softcap;
  return text.str();
}

TEST(Attention, EqualsPlainSoftmaxInFp64) {
  for (const auto& c : cases()) {
    SCOPED_TRACE(describe(c));
    const auto x = inputs_of(c, at::kDouble);
    expect_close(run_ours(x, c), run_plain(x, c), kFp64Tolerance);
  }
}

TEST(Attention, EqualsPlainSoftmaxInFp32) {
  for (const auto& c : cases()) {
    SCOPED_TRACE(describe(c));
    const auto x = inputs_of(c, at::kFloat);
    expect_close(run_ours(x, c), run_plain(in_type(x, at::kDouble), c), kFp32Tolerance);
  }
}

/// In bf16 we must be no further from fp64 than plain softmax attention written in bf16, which rounds scores
/// too.
TEST(Attention, IsNoFurtherFromFp64ThanPlainBf16) {
  for (const auto& c : cases()) {
    SCOPED_TRACE(describe(c));
    const auto x = inputs_of(c, at::kBFloat16);
    const auto want = run_plain(in_type(x, at::kDouble), c);
    const auto got = run_ours(x, c), peer = run_plain(x, c);
    for (std::size_t i = 0; i < got.values.size(); ++i) {
      ASSERT_EQ(got.values[i].scalar_type(), at::kBFloat16);
      const auto ours = (got.values[i].to(at::kDouble) - want.values[i]).norm().item<double>();
      const auto theirs = (peer.values[i].to(at::kDouble) - want.values[i]).norm().item<double>();
      // Below a thousand numbers the luck of single roundings decides, not the method.
      const auto rounding = std::ldexp(std::max(want.values[i].norm().item<double>(), 1.0),
                                       want.values[i].numel() < 1000 ? -7 : -9);
      EXPECT_LE(ours, std::max(1.05 * theirs, rounding)) << kNames[i];
    }
  }
}

TEST(Attention, GradientsEqualFiniteDifferences) {
  for (const double softcap : {0.0, 1.5}) {
    const Case c{.lengths = {3, 5}, .heads = 4, .kv_heads = 2, .width = 4, .options = {0.7, 3, softcap}};
    const auto x = inputs_of(c, at::kDouble);
    const auto layout = layout_of(c.lengths);
    const auto got = run_ours(x, c);
    const at::Tensor Inputs::*members[] = {&Inputs::q, &Inputs::k, &Inputs::v};
    const auto loss = [&](const Inputs& y) {
      return (attention(y.q, y.k, y.v, layout, c.options) * x.weight).sum().item<double>();
    };
    for (int m = 0; m < 3; ++m) {
      for (std::int64_t i = 0; i < (x.*members[m]).numel(); ++i) {
        double sides[2];
        for (int side = 0; side < 2; ++side) {
          Inputs y{x.q.clone(), x.k.clone(), x.v.clone(), x.weight};
          (y.*members[m]).data_ptr<double>()[i] += side ? kDifferenceStep : -kDifferenceStep;
          sides[side] = loss(y);
        }
        EXPECT_NEAR(got.values[m + 1].data_ptr<double>()[i], (sides[1] - sides[0]) / (2 * kDifferenceStep),
                    kDifferenceTolerance)
            << kNames[m + 1] << ' ' << i;
      }
    }
  }
}

TEST(Attention, PackedEqualsOneByOneBitForBit) {
  for (const auto type : {at::kBFloat16, at::kFloat}) {
    const Case c{
        .lengths = {100, 7, 1, 350, 64}, .heads = 9, .kv_heads = 3, .width = 64, .options = {0.125, 0, 0.0}};
    const auto x = inputs_of(c, type);
    const auto layout = layout_of(c.lengths);
    const auto packed = run_ours(x, c);
    for (std::int64_t n = 0; n < layout.sequences(); ++n) {
      const auto of = [&](const at::Tensor& t) { return t.slice(0, layout.starts[n], layout.starts[n + 1]); };
      Case one = c;
      one.lengths = {c.lengths[n]};
      Outcome part;
      for (const auto& value : packed.values) part.values.push_back(of(value));
      expect_same_bits(run_ours({of(x.q), of(x.k), of(x.v), of(x.weight)}, one), part);
    }
  }
}

TEST(Attention, GivesTheSameBitsTwice) {
  const Case c{.lengths = {400, 90}, .heads = 9, .kv_heads = 3, .width = 64, .options = {0.125, 0, 0.0}};
  for (const auto type : {at::kBFloat16, at::kFloat}) {
    const auto x = inputs_of(c, type);
    expect_same_bits(run_ours(x, c), run_ours(x, c));
  }
}

TEST(Attention, ReadsStridedInputs) {
  const Case c{.lengths = {40, 30}};
  const auto x = inputs_of(c, at::kFloat);
  const auto strided = [](const at::Tensor& t) {
    return t.permute({1, 2, 0}).contiguous().permute({2, 0, 1});
  };
  const Inputs y{strided(x.q), strided(x.k), strided(x.v), strided(x.weight)};
  expect_same_bits(run_ours(x, c), run_ours(y, c));
}

TEST(Attention, SurvivesLargeScores) {
  const Case c{.lengths = {150}, .options = {50.0, 0, 0.0}};
  for (const auto type : {at::kBFloat16, at::kFloat}) {
    const auto x = inputs_of(c, type);
    for (const auto& value : run_ours(x, c).values) EXPECT_TRUE(value.isfinite().all().item<bool>());
  }
}

TEST(Attention, RefusesShapesThatDoNotFit) {
  const auto q = at::zeros({4, 3, 8}), k = at::zeros({4, 2, 8});
  EXPECT_THROW(attention(q, k, k, PackLayout::single(4), {}), Error);
  EXPECT_THROW(attention(k, k, k, PackLayout::single(5), {}), Error);
  EXPECT_THROW(attention_cached(k, k.slice(0, 0, 3), k.slice(0, 0, 3), {}), Error);
}

TEST(AttentionCached, EqualsTheLastRowsOfPlainAttention) {
  const struct {
    at::ScalarType type;
    double tolerance;
  } types[] = {{at::kDouble, kFp64Tolerance}, {at::kFloat, kFp32Tolerance}, {at::kBFloat16, kBf16Tolerance}};
  for (const auto [type, tolerance] : types) {
    for (const std::int64_t queries : {1, 3, 4, 5, 70, 90}) {
      for (const AttentionOptions& options :
           {AttentionOptions{0.25, 0, 0.0}, AttentionOptions{0.25, 9, 1.0}}) {
        const Case c{.lengths = {90}, .heads = 9, .kv_heads = 3, .width = 20};
        const auto x = inputs_of(c, type);
        const auto last = x.q.slice(0, 90 - queries, 90);
        const auto want =
            plain_sequence(last.to(at::kDouble), x.k.to(at::kDouble), x.v.to(at::kDouble), options);
        const auto got = attention_cached(last, x.k, x.v, options);
        ASSERT_EQ(got.scalar_type(), type);
        EXPECT_LE(distance(got, want), tolerance) << queries << " queries of type " << type;
      }
    }
  }
}

TEST(AttentionCached, ReadsTheFilledPartOfALargerCache) {
  const auto x = inputs_of({.lengths = {50}}, at::kBFloat16);
  const auto cache = [](const at::Tensor& part) {
    auto whole =
        at::full({part.size(1), 80, part.size(2)}, std::numeric_limits<double>::quiet_NaN(), part.options());
    whole.slice(1, 0, 50).copy_(part.permute({1, 0, 2}));
    return whole.slice(1, 0, 50).permute({1, 0, 2});  // heads lie far apart
  };
  for (const std::int64_t queries : {1, 30}) {
    const auto last = x.q.slice(0, 50 - queries, 50);
    EXPECT_TRUE(
        at::equal(attention_cached(last, cache(x.k), cache(x.v), {}), attention_cached(last, x.k, x.v, {})));
  }
}

}  // namespace
}  // namespace graft
