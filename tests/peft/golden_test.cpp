#include <ATen/ATen.h>

#include "evaluate/compare.h"
#include "evaluate/loss.h"
#include "peft/fixture.h"

namespace graft {
namespace {

// fp32 on both sides, sums in another order.
constexpr double kTolerance = 1e-4;

class PeftGolden : public testing::TestWithParam<const char*> {
 protected:
  Path folder() const { return kPeftGolden / GetParam(); }
  std::map<std::string, at::Tensor> expected() const {
    return read_tensors(folder() / "expected.safetensors");
  }

  /// At the positions of scripts/golden/peft_adapters.py.
  static at::Tensor golden_positions(const Decoder& model) {
    const std::vector<Example> examples = golden_examples();
    const at::Tensor first = log_probabilities(model, examples[0].tokens),
                     second = log_probabilities(model, examples[1].tokens);
    return at::stack({first[4], first[8], second[4]});
  }
};

TEST_P(PeftGolden, LogProbabilitiesAreThoseOfPeft) {
  Decoder model = tiny_model();
  const at::Tensor base = golden_positions(model);
  load_adapter(model, folder(), ZeroAdapter::kRefuse);
  const auto golden = expected();
  EXPECT_LT(largest_difference(golden_positions(model), golden.at("log_probs")), kTolerance);
  EXPECT_GT(largest_difference(base, golden.at("log_probs")), 100 * kTolerance);
}

TEST_P(PeftGolden, GradientsAreThoseOfPeft) {
  Decoder model = tiny_model();
  const AdapterSet adapters = load_adapter(model, folder(), ZeroAdapter::kRefuse);
  const std::vector<Example> examples = golden_examples();
  const Step step = make_step(examples, {0, 1}, 1024);
  ASSERT_EQ(step.packs.size(), 1U);
  const at::Tensor loss = token_losses(model, step.packs[0]).sum() / static_cast<double>(step.target_tokens);
  const auto golden = expected();
  EXPECT_NEAR(loss.item<double>(), golden.at("loss").item<double>(), kTolerance);
  loss.backward();
  for (const Parameter& parameter : adapters.parameters) {
    const auto wanted = golden.find("grad.base_model.model." + parameter.name);
    ASSERT_NE(wanted, golden.end()) << parameter.name;
    EXPECT_LT(relative_difference(parameter.value.grad(), wanted->second), kTolerance) << parameter.name;
  }
  const auto is_gradient = [](const auto& entry) { return entry.first.starts_with("grad."); };
  EXPECT_EQ(std::ssize(adapters.parameters), std::count_if(golden.begin(), golden.end(), is_gradient));
}

TEST_P(PeftGolden, MergedRowsAreThoseOfMergeAndUnload) {
  Decoder model = tiny_model();
  load_adapter(model, folder(), ZeroAdapter::kRefuse);
  std::map<std::string, at::Tensor> rows;
  model.each_group([&](const LinearGroup& group) {
    for (const Linear& linear : group.linears) {
      const at::Tensor own = linear.weight->rows(0, 2);
      rows[linear.name] = group.adapter ? group.adapter->merge_into(linear, own, 0) : own;
    }
  });
  std::vector<at::Tensor> chosen;
  for (const char* layer : {"model.layers.0.", "model.layers.1."})
    for (const char* module : {"self_attn.q_proj", "self_attn.k_proj", "mlp.gate_proj", "mlp.down_proj"})
      chosen.push_back(rows.at(std::string(layer) + module).flatten());
  EXPECT_LT(largest_difference(at::cat(chosen), expected().at("merged_rows")), 1e-6);
}

INSTANTIATE_TEST_SUITE_P(Peft, PeftGolden, testing::Values("plain", "rslora", "subset", "regex"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace graft
