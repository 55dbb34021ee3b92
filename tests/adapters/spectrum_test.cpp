#include "adapters/spectrum.h"

#include <cmath>

#include "adapters/report.h"
#include "peft/adapter_maker.h"

namespace graft {
namespace {

constexpr double kExact = 1e-9;  // fp64 over fp32 numbers

TEST(AdapterSpectrum, NormsAndSingularValuesAreThoseOfTheProduct) {
  const Json golden = read_json(kPeftGolden / "tools/spectrum.json");
  const AdapterFolder adapter = open_adapter_folder(kPeftGolden / "tools/one");
  ASSERT_EQ(adapter.pairs.size(), 2U);
  for (const FactorPair& pair : adapter.pairs) {
    const Json& wanted = golden.at(pair.module);
    const ProductSpectrum found = spectrum_of(read_values(*pair.a), read_values(*pair.b));
    EXPECT_NEAR(found.norm_a, wanted["norm_a"].get<double>(), kExact);
    EXPECT_NEAR(found.norm_b, wanted["norm_b"].get<double>(), kExact);
    EXPECT_NEAR(found.norm(), wanted["norm"].get<double>(), kExact);
    ASSERT_EQ(found.singular_values.size(), wanted["singular_values"].size());
    for (std::size_t i = 0; i < found.singular_values.size(); ++i)
      EXPECT_NEAR(found.singular_values[i], wanted["singular_values"][i].get<double>(), kExact);
  }
}

TEST(AdapterSpectrum, EffectiveRankCountsEqualValuesAndForgetsZeros) {
  EXPECT_NEAR(effective_rank({2.0, 2.0, 2.0, 0.0}), 3.0, kExact);
  EXPECT_NEAR(effective_rank({5.0}), 1.0, kExact);
  EXPECT_EQ(effective_rank({0.0, 0.0}), 0.0);
  EXPECT_EQ(rank_of_energy({3.0, 1.0, 1.0}, 0.8), 1);
  EXPECT_EQ(rank_of_energy({3.0, 1.0, 1.0}, 0.9), 2);
  EXPECT_EQ(rank_of_energy({3.0, 1.0, 1.0}, 1.0), 3);
  EXPECT_EQ(rank_of_energy({0.0, 0.0}, 0.99), 0);
}

TEST(AdapterSpectrum, TheNearestProductIsTheTruncatedSvd) {
  at::manual_seed(1);
  const at::Tensor a = at::randn({5, 9}), b = at::randn({7, 5});
  const at::Tensor product = b.to(at::kDouble).mm(a.to(at::kDouble));
  const auto [u, s, vt] = at::linalg_svd(product, false);
  for (const std::int64_t rank : {1, 3, 5, 8}) {
    const std::int64_t kept = std::min<std::int64_t>(rank, 5);
    const at::Tensor wanted = (u.narrow(1, 0, kept) * s.narrow(0, 0, kept)).mm(vt.narrow(0, 0, kept));
    const NearestProduct nearest = nearest_product(a, b, rank);
    EXPECT_EQ(nearest.a.sizes(), (at::IntArrayRef{rank, 9}));
    EXPECT_EQ(nearest.b.sizes(), (at::IntArrayRef{7, rank}));
    EXPECT_LT(largest_difference(nearest.b.mm(nearest.a), wanted), 1e-5);
    const double energy = s.square().sum().item<double>();
    EXPECT_NEAR(nearest.kept, s.narrow(0, 0, kept).square().sum().item<double>() / energy, 1e-12);
  }
}

TEST(AdapterSpectrum, AProductOfZeroKeepsWhatTrainingNeeds) {
  const at::Tensor a = at::randn({4, 6});
  const NearestProduct nearest = nearest_product(a, at::zeros({5, 4}), 2);
  EXPECT_TRUE(nearest.a.equal(a.narrow(0, 0, 2)));
  EXPECT_TRUE(nearest.b.equal(at::zeros({5, 2})));
  EXPECT_EQ(nearest.kept, 1.0);
}

TEST(AdapterSpectrum, DifferencesSurviveNearEquality) {
  at::manual_seed(2);
  const at::Tensor a = at::randn({4, 20}), b = at::randn({30, 4}), other = at::randn({3, 20});
  const ProductDifference same = difference_of(a, b, 2.0, a, b, 2.0);
  EXPECT_LT(same.norm, 1e-12 * same.norm_first);
  EXPECT_NEAR(same.cosine, 1.0, 1e-12);
  at::Tensor near = b.clone();
  near[3][1] += 1e-4F;
  const double wanted =
      (near.to(at::kDouble) - b.to(at::kDouble)).mm(a.to(at::kDouble)).norm().item<double>();
  EXPECT_NEAR(difference_of(a, b, 1.0, a, near, 1.0).norm, wanted, 1e-6 * wanted);
  const at::Tensor second = at::randn({30, 3});
  const at::Tensor one = 0.5 * b.to(at::kDouble).mm(a.to(at::kDouble));
  const at::Tensor two = -3.0 * second.to(at::kDouble).mm(other.to(at::kDouble));
  const ProductDifference found = difference_of(a, b, 0.5, other, second, -3.0);
  EXPECT_NEAR(found.norm_first, one.norm().item<double>(), 1e-9);
  EXPECT_NEAR(found.norm_second, two.norm().item<double>(), 1e-9);
  EXPECT_NEAR(found.norm, (one - two).norm().item<double>(), 1e-9);
  EXPECT_NEAR(found.cosine, (one * two).sum().item<double>() / (one.norm() * two.norm()).item<double>(),
              1e-9);
}

TEST(AdapterReport, TellsEveryModuleWithItsScale) {
  const AdapterReport report = report_adapter(open_adapter_folder(kPeftGolden / "rslora"));
  EXPECT_EQ(report.method, "rsLoRA");
  EXPECT_EQ(report.dtype, "f32");
  EXPECT_FALSE(report.changes_nothing);
  ASSERT_EQ(report.modules.size(), 6U);
  EXPECT_EQ(report.modules.front().module, "model.layers.0.mlp.down_proj");
  std::int64_t parameters = 0;
  for (const ModuleReport& module : report.modules) {
    EXPECT_EQ(module.scale, 3.0);  // 6 / sqrt(4)
    parameters += module.rank * (module.in + module.out);
    EXPECT_LE(module.product.effective_rank, 4.0 + 1e-9);
    EXPECT_GT(module.product.norm, module.product.largest - 1e-9);
  }
  EXPECT_EQ(report.parameters, parameters);
}

}  // namespace
}  // namespace graft
