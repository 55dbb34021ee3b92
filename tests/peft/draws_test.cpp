#include "ops/frozen_weight.h"
#include "peft/lora.h"
#include "peft/pissa.h"
#include "peft/tiny_families.h"

namespace graft {
namespace {

const Path kStarts = kPeftGolden / "initialisations";

/// The linear of the script's draws.
AdaptedModule large_module() { return {.path = "linear", .out = 300, .in = 200, .r = 8, .scale = 1.0}; }

class PeftDraws : public testing::TestWithParam<LoraInit> {};
TEST_P(PeftDraws, FactorsAreOfTheSizesOfPefts) {
  const std::map<LoraInit, const char*> words = {
      {LoraInit::kKaiming, "true"}, {LoraInit::kGaussian, "gaussian"}, {LoraInit::kOrthogonal, "orthogonal"}};
  const Json wanted = read_json(kStarts / "draws.json")[words.at(GetParam())];
  AdapterLayout layout;
  layout.adapted = {large_module()};
  LoraOptions options;
  options.init = GetParam();
  at::Tensor sums = at::zeros({5}, at::kDouble);
  constexpr std::int64_t kSeeds = 64;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    AdapterTensors drawn;
    draw_lora(layout, options, seed, drawn);
    const at::Tensor a = drawn.at("linear.lora_A.weight"), b = drawn.at("linear.lora_B.weight");
    const at::Tensor values = at::linalg_svdvals(a);
    sums += at::stack({a.square().mean().sqrt(), a.abs().max(), b.square().mean().sqrt(), b.mm(a).abs().max(),
                       (values > 1e-3 * values[0]).sum()})
                .to(at::kDouble);
  }
  const auto got = [&](std::int64_t i) { return sums[i].item<double>() / kSeeds; };
  const auto near = [&](std::int64_t i, const char* key, double share) {
    const double value = wanted[key].get<double>();
    EXPECT_NEAR(got(i), value, share * value) << key;
  };
  near(0, "rms_a", 0.02);
  near(1, "largest_a", 0.05);
  near(2, "rms_b", 0.02);
  EXPECT_LT(got(3), 1e-6);
  EXPECT_LT(wanted["largest_product"].get<double>(), 1e-6);
  near(4, "directions_of_a", 0.0);
}
INSTANTIATE_TEST_SUITE_P(Peft, PeftDraws,
                         testing::Values(LoraInit::kKaiming, LoraInit::kGaussian, LoraInit::kOrthogonal));

TEST(PissaDraws, ARandomisedSvdTakesAtLeastAsMuchOfAWeightAsPefts) {
  const Json draws = read_json(kStarts / "draws.json");
  at::manual_seed(1);
  const at::Tensor values = at::randn({300, 200}) * 0.02;
  const auto weight = dense_weight(values);
  const auto taken = [&](std::int64_t rounds, std::uint64_t seed) {
    AdapterTensors drawn;
    derive_pissa(large_module(), *weight, rounds, seed, drawn);
    const at::Tensor product = drawn.at("linear.lora_B.weight").mm(drawn.at("linear.lora_A.weight"));
    return product.norm().item<double>() / values.norm().item<double>();
  };
  constexpr double kOtherWeight = 0.005;  // the same distribution, other numbers
  const double most = taken(0, 1);
  EXPECT_NEAR(most, draws["pissa"]["most_taken"].get<double>(), kOtherWeight);
  for (const std::int64_t rounds : {1, 4, 16})
    for (std::uint64_t seed = 0; seed < 4; ++seed) {
      const Json& peft = draws["pissa_niter_" + std::to_string(rounds)];
      EXPECT_GT(taken(rounds, seed), peft["least_taken"].get<double>() - kOtherWeight);
      EXPECT_LT(taken(rounds, seed), most + 1e-6);
    }
}

class PeftDrawsOf : public testing::TestWithParam<const char*> {};
TEST_P(PeftDrawsOf, ATrainingStartsFromTheBase) {
  const std::string name = GetParam();
  Decoder model = base_of(name);
  const at::Tensor before = all_log_probs(model);
  LoraOptions options;
  options.r = 4;
  options.init = name.ends_with("gaussian") ? LoraInit::kGaussian : LoraInit::kOrthogonal;
  attach_adapters(model, options, 1);
  EXPECT_LT(largest_difference(all_log_probs(model), before), kPeftTolerance);
}
INSTANTIATE_TEST_SUITE_P(Peft, PeftDrawsOf,
                         testing::Values("llama_gaussian", "qwen2_gaussian", "gemma2_gaussian",
                                         "llama_orthogonal", "qwen2_orthogonal", "gemma2_orthogonal"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace graft
