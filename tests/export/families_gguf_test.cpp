#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <set>

#include "export/hf_folder.h"
#include "model/golden.h"

namespace graft {
namespace {

/// fp32 on both sides, sums in another order.
constexpr double kTolerance = 1e-4;

struct GgufCase {
  const char* name;
  const char* family;  ///< the folder of tests/golden/families whose modules it has
};

/// What transformers says of the weights of a tiny GGUF file: scripts/golden/families_gguf.py.
class FamilyGguf : public ::testing::TestWithParam<GgufCase> {
 protected:
  Path file() const { return golden("families/gguf") / (std::string(GetParam().name) + ".gguf"); }
  Path folder() const { return golden("families") / GetParam().family; }
  double distance(const Decoder& model) const {
    const SafetensorsFile sequences(folder() / "expected.safetensors"),
        want(golden("families/gguf") / (std::string(GetParam().name) + ".safetensors"));
    const at::Tensor starts = golden_tensor(sequences, "starts");
    const auto* first = starts.const_data_ptr<std::int64_t>();
    const at::Tensor got = pack_logits(model, golden_tensor(sequences, "tokens"),
                                       std::vector<std::int64_t>(first, first + starts.numel()));
    return largest_difference(at::log_softmax(got, -1), golden_tensor(want, "log_probs"));
  }
};

/// Names and shapes of the linears of the first two blocks, which is how many the folders have.
std::set<std::string> modules_of(const Decoder& model) {
  std::set<std::string> names;
  model.each_group([&](const LinearGroup& group) {
    for (const Linear& linear : group.linears) {
      const std::string shape = std::to_string(linear.weight->out_features()) + " x " +
                                std::to_string(linear.weight->in_features());
      if (linear.name.starts_with("model.layers.0.") || linear.name.starts_with("model.layers.1."))
        names.insert(linear.name + " " + shape + (linear.bias.defined() ? " bias" : ""));
    }
  });
  return names;
}

TEST_P(FamilyGguf, HasTheLogProbabilitiesOfTransformers) {
  const double difference = distance(load_fp32(file()));
  RecordProperty("largest_difference", std::to_string(difference));
  EXPECT_LT(difference, kTolerance);
}

TEST_P(FamilyGguf, NamesModulesAsTheFolderDoes) {
  const std::set<std::string> names = modules_of(load_fp32(file()));
  EXPECT_GE(names.size(), 8U);
  EXPECT_EQ(names, modules_of(load_fp32(folder())));
}

TEST_P(FamilyGguf, TheFolderMadeOfItHasTheSameLogProbabilities) {
  const TemporaryFolder made;
  write_hf_folder(load_fp32(file()), folder(), made.path() / "out", WeightType::kF32);
  EXPECT_LT(distance(load_fp32(made.path() / "out")), kTolerance);
}

INSTANTIATE_TEST_SUITE_P(All, FamilyGguf,
                         ::testing::Values(GgufCase{"llama", "llama"}, GgufCase{"llama_factors", "llama"},
                                           GgufCase{"mistral", "mistral"}, GgufCase{"qwen2", "qwen2"},
                                           GgufCase{"qwen3", "qwen3"}, GgufCase{"smollm3", "smollm3"},
                                           GgufCase{"gemma2", "gemma2"}, GgufCase{"gemma3", "gemma3"},
                                           GgufCase{"phi3", "phi3"}, GgufCase{"olmo2", "olmo2"},
                                           GgufCase{"granite", "granite"}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace graft
