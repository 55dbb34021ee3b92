#include "model/families.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "data/example.h"
#include "evaluate/loss.h"
#include "export/gguf_model.h"
#include "export/hf_folder.h"
#include "generate/generate.h"
#include "model/golden.h"
#include "peft/adapter_set.h"

namespace graft {
namespace {

/// fp32 on both sides, sums in another order.
constexpr double kTolerance = 1e-4;

/// What transformers and PEFT say of one family's tiny model: scripts/golden/families.py.
class FamilyGolden : public ::testing::TestWithParam<const char*> {
 protected:
  Path base() const { return golden("families") / GetParam(); }
  Path adapter() const { return base() / "adapter"; }
  Decoder load(AdapterSet* adapters = nullptr) const {
    Decoder model = load_fp32(base());
    AdapterSet set = load_adapter(model, adapter(), ZeroAdapter::kRefuse);
    if (adapters) *adapters = std::move(set);
    return model;
  }
  at::Tensor expected(const std::string& name) const { return golden_tensor(file_, name); }
  std::vector<std::int64_t> integers(const std::string& name) const {
    const at::Tensor values = expected(name);
    const auto* first = values.const_data_ptr<std::int64_t>();
    return {first, first + values.numel()};
  }
  double distance(const Decoder& model) const {
    const at::Tensor got = pack_logits(model, expected("tokens"), integers("starts"));
    return largest_difference(at::log_softmax(got, -1), expected("log_probs"));
  }

  SafetensorsFile file_{golden("families") / GetParam() / "expected.safetensors"};
};

TEST_P(FamilyGolden, APackHasTheLogProbabilitiesOfTransformersWithTheAdapter) {
  EXPECT_GT(distance(load_fp32(base())), 1000 * kTolerance) << "the adapter changes nothing";
  const double difference = distance(load());
  RecordProperty("largest_difference", std::to_string(difference));
  EXPECT_LT(difference, kTolerance);
}

/// What a GGUF file has no word for: dynamic rotary scaling, rotation of other layers than three of four,
/// blocks without experts among those with them.
bool has_gguf_form(const std::string& family) {
  return family != "smollm3" && family != "olmo2" && family != "qwen3_moe";
}

TEST_P(FamilyGolden, TheMergedGgufHasTheSameLogProbabilities) {
  const TemporaryFolder folder;
  const Path out = folder.path() / "merged.gguf";
  Decoder model = load();
  if (!has_gguf_form(GetParam())) {
    EXPECT_THROW(write_gguf_model(model, base(), out, parse_gguf_types("f32")), Error);
    EXPECT_FALSE(std::filesystem::exists(out));
    return;
  }
  write_gguf_model(model, base(), out, parse_gguf_types("f32"));
  const Decoder written = load_fp32(out);
  // Windows of these families are left out, with a warning: llama.cpp has none for them.
  for (std::size_t i = 0; i < model.blocks.size(); ++i)
    model.blocks[i].attention.options.window = written.config.layers[i].window;
  const auto pack = [&](const Decoder& decoder) {
    return at::log_softmax(pack_logits(decoder, expected("tokens"), integers("starts")), -1);
  };
  EXPECT_LT(largest_difference(pack(written), pack(model)), kTolerance);
}

/// The two sequences as a pack whose every token but the last is learned from.
Pack learning_pack(const std::vector<std::int64_t>& tokens, const std::vector<std::int64_t>& starts) {
  Pack pack;
  pack.starts = starts;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const bool last =
        std::find(starts.begin(), starts.end(), static_cast<std::int64_t>(i) + 1) != starts.end();
    pack.tokens.push_back(static_cast<std::int32_t>(tokens[i]));
    pack.targets.push_back(last ? kNoTarget : static_cast<std::int32_t>(tokens[i + 1]));
  }
  for (std::size_t i = 0; i + 1 < starts.size(); ++i) {
    pack.ids.push_back(i);
    pack.weights.push_back(1.0F);
  }
  return pack;
}

TEST_P(FamilyGolden, GradientsOfEveryFactorAreThoseOfPeft) {
  const Pack pack = learning_pack(integers("tokens"), integers("starts"));
  for (const Recompute what : {Recompute::kNothing, Recompute::kMlp, Recompute::kBlocks}) {
    AdapterSet adapters;
    const Decoder model = load(&adapters);
    Pass pass;
    pass.recompute = what;
    const at::Tensor loss = token_losses(model, pack, std::move(pass)).mean();
    EXPECT_NEAR(loss.item<double>(), expected("loss").item<double>(), kTolerance);
    loss.backward();
    ASSERT_FALSE(adapters.parameters.empty());
    for (const Parameter& parameter : adapters.parameters) {
      ASSERT_NE(file_.find("grad." + parameter.name), nullptr) << parameter.name;
      const at::Tensor want = expected("grad." + parameter.name);
      ASSERT_TRUE(parameter.value.grad().defined()) << parameter.name;
      const double error = ((parameter.value.grad() - want).norm() / want.norm()).item<double>();
      EXPECT_LT(error, kTolerance) << parameter.name;
    }
  }
}

TEST_P(FamilyGolden, GreedyTokensAreTheSameWithACacheAndWithout) {
  const at::NoGradGuard no_grad;
  const Decoder model = load();
  const std::vector<std::int64_t> given = integers("prompt"), want = integers("greedy");
  std::vector<std::int32_t> ids(given.begin(), given.end());
  Generator generator(model);
  const auto count = static_cast<std::int64_t>(want.size());
  const SamplingOptions greedy{.max_new_tokens = count, .temperature = 0.0, .repetition_penalty = 1.0};
  const Generated written = generator.run({.prompt = ids, .sampling = greedy});
  EXPECT_EQ(std::vector<std::int64_t>(written.tokens.begin(), written.tokens.end()), want);
  std::vector<std::int64_t> anew;
  while (std::ssize(anew) < count) {
    anew.push_back(sequence_logits(model, ids)[-1].argmax().item<std::int64_t>());
    ids.push_back(static_cast<std::int32_t>(anew.back()));
  }
  EXPECT_EQ(anew, want);
}

TEST_P(FamilyGolden, TheMergedFolderHasTheSameLogProbabilities) {
  const TemporaryFolder folder;
  write_hf_folder(load(), base(), folder.path() / "out", WeightType::kF32);
  EXPECT_LT(distance(load_fp32(folder.path() / "out")), kTolerance);
}

TEST_P(FamilyGolden, AFolderWithoutAdapterComesBackToTheBit) {
  const TemporaryFolder folder;
  const Path out = folder.path() / "out";
  write_hf_folder(load_model({.path = base().string(), .dtype = ComputeDType::kBF16}), base(), out,
                  WeightType::kBF16);
  const SafetensorsFile want(base() / "model.safetensors"), got(out / "model.safetensors");
  ASSERT_EQ(got.tensors().size(), want.tensors().size());
  for (const TensorView& tensor : want.tensors()) {
    const TensorView* written = got.find(tensor.name);
    ASSERT_NE(written, nullptr) << tensor.name;
    EXPECT_TRUE(
        std::equal(tensor.bytes.begin(), tensor.bytes.end(), written->bytes.begin(), written->bytes.end()))
        << tensor.name;
  }
}

TEST_P(FamilyGolden, Bf16StaysNearFp32) {
  const Decoder model = load_model({.path = base().string(), .dtype = ComputeDType::kBF16});
  const at::Tensor got = pack_logits(model, expected("tokens"), integers("starts"));
  const at::Tensor want = pack_logits(load_fp32(base()), expected("tokens"), integers("starts"));
  const at::Tensor difference = (at::log_softmax(got, -1) - at::log_softmax(want, -1)).abs();
  EXPECT_LT(difference.mean().item<double>(), 0.2);  // 8 bits of mantissa through two blocks of large weights
  EXPECT_GT(difference.max().item<double>(), kTolerance) << "bf16 was not computed in bf16";
}

/// Bases whose experts are one tensor for all in a GGUF file, in Q8_0: the log-probabilities that
/// transformers computes from the decoded numbers.
class ExpertGguf : public ::testing::TestWithParam<const char*> {
 protected:
  Path base() const { return golden("families") / (GetParam() + std::string(".gguf")); }
  double distance(const Decoder& model) const {
    const SafetensorsFile file(base().string() + ".safetensors");
    const at::Tensor want = golden_tensor(file, "log_probs");
    const at::Tensor got = pack_logits(model, golden_tensor(file, "tokens"), {0, want.size(0)});
    return largest_difference(at::log_softmax(got, -1), want);
  }
};

TEST_P(ExpertGguf, HasTheNumbersOfTransformersDecodedAndInItsBlocks) {
  EXPECT_LT(distance(load_fp32(base())), kTolerance);
  const Decoder kept =
      load_model({.path = base().string(), .dtype = ComputeDType::kF32, .quantization = Quantization::kKeep});
  EXPECT_LT(distance(kept), kTolerance);
}

TEST_P(ExpertGguf, ComesBackAsAFolderWithAMatrixPerExpert) {
  const TemporaryFolder folder;
  const Path family = golden("families") / GetParam();
  write_hf_folder(load_fp32(base()), family, folder.path() / "out", WeightType::kF32);
  EXPECT_LT(distance(load_fp32(folder.path() / "out")), kTolerance);
}

INSTANTIATE_TEST_SUITE_P(All, ExpertGguf, ::testing::Values("qwen3_moe", "mixtral"),
                         [](const auto& info) { return std::string(info.param); });

INSTANTIATE_TEST_SUITE_P(All, FamilyGolden,
                         ::testing::Values("llama", "mistral", "qwen2", "qwen3", "smollm3", "gemma2",
                                           "gemma3", "phi3", "olmo2", "granite", "qwen3_moe", "mixtral"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace graft
