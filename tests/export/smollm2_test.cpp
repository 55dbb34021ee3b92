#include <gtest/gtest.h>

#include <memory>

#include "base/sha256.h"
#include "export/hf_folder.h"
#include "generate/generate.h"
#include "model/golden.h"

// The real base, converted to a Hugging Face folder and compared with transformers on the same weights.
namespace graft {
namespace {

constexpr double kFp32Tolerance = 1e-4;
/// How much further from fp32 than transformers' own bf16 ours may be.
constexpr double kBf16Share = 1.1;

/// One converted folder for all tests of this file.
class SmolLM2Folder : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!std::filesystem::exists(smollm2_gguf())) return;
    scratch_ = std::make_unique<TemporaryFolder>();
    document_ = read_json(golden("model/smollm2.json"));
    const Decoder model = load_model({.path = smollm2_gguf().string(), .dtype = ComputeDType::kBF16});
    write_hf_folder(model, smollm2_gguf(), folder(), WeightType::kBF16);
  }
  static void TearDownTestSuite() { scratch_.reset(); }
  void SetUp() override { GRAFT_NEED_SMOLLM2(); }
  static Path folder() { return scratch_->path() / "hf"; }

  static std::unique_ptr<TemporaryFolder> scratch_;
  static Json document_;
};
std::unique_ptr<TemporaryFolder> SmolLM2Folder::scratch_;
Json SmolLM2Folder::document_;

/// |log-probability - golden| of the golden top tokens of a prompt's kept positions, the last position's at
/// the end.
std::vector<std::vector<double>> differences(const Decoder& model, const Json& row) {
  const auto ids = row["ids"].get<std::vector<std::int32_t>>();
  const at::Tensor got = at::log_softmax(sequence_logits(model, ids), -1);
  const auto first = static_cast<std::int64_t>(ids.size() - row["top"].size());
  std::vector<std::vector<double>> positions;
  for (const Json& top : row["top"]) {
    const at::Tensor line = got[first + static_cast<std::int64_t>(positions.size())];
    std::vector<double>& position = positions.emplace_back();
    for (std::size_t i = 0; i < top["ids"].size(); ++i) {
      const double value = line[top["ids"][i].get<std::int64_t>()].item<double>();
      position.push_back(std::abs(value - top["logprobs"][i].get<double>()));
    }
  }
  return positions;
}

TEST_F(SmolLM2Folder, EveryTensorIsByteForByteWhatTransformersMakesOfTheGguf) {
  const SafetensorsFolder written(folder());
  ASSERT_EQ(written.names().size(), document_["sha256"].size());
  for (const auto& [name, hash] : document_["sha256"].items()) {
    const TensorView* tensor = written.find(name);
    ASSERT_NE(tensor, nullptr) << name;
    EXPECT_EQ(sha256_hex(tensor->bytes), hash.get<std::string>()) << name;
  }
}

TEST_F(SmolLM2Folder, Fp32LogProbabilitiesAreTransformers) {
  const Decoder model = load_fp32(folder());
  double worst = 0.0;
  for (std::size_t i = 0; i < 3; ++i) {
    for (const auto& position : differences(model, document_["prompts"][i])) {
      worst = std::max(worst, *std::max_element(position.begin(), position.end()));
    }
  }
  RecordProperty("largest_difference", std::to_string(worst));
  EXPECT_LT(worst, kFp32Tolerance);
}

struct Spread {
  double mean, p95;
};

Spread spread_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  double sum = 0.0;
  for (const double value : values) sum += value;
  return {sum / static_cast<double>(values.size()),
          values[static_cast<std::size_t>(0.95 * static_cast<double>(values.size() - 1))]};
}

TEST_F(SmolLM2Folder, Bf16IsNoFurtherFromFp32ThanTransformersOwn) {
  const Decoder model = load_model({.path = folder().string(), .dtype = ComputeDType::kBF16});
  std::vector<double> last, all;
  ASSERT_EQ(document_["prompts"].size(), 20U);
  for (const Json& row : document_["prompts"]) {
    const auto positions = differences(model, row);
    last.insert(last.end(), positions.back().begin(), positions.back().end());
    for (const auto& position : positions) all.insert(all.end(), position.begin(), position.end());
  }
  for (const auto& [name, values] : {std::pair{"last", last}, {"all", all}}) {
    const Json& want = document_["transformers_bf16"][name];
    const Spread got = spread_of(values);
    RecordProperty(std::string(name) + "_mean", std::to_string(got.mean));
    RecordProperty(std::string(name) + "_p95", std::to_string(got.p95));
    EXPECT_LE(got.mean, kBf16Share * want["mean"].get<double>()) << name;
    EXPECT_LE(got.p95, kBf16Share * want["p95"].get<double>()) << name;
  }
}

TEST_F(SmolLM2Folder, GreedyTokensAreTransformers) {
  const Decoder model = load_fp32(folder());
  const SamplingOptions options{
      .max_new_tokens = 48, .temperature = 0.0, .top_p = 1.0, .repetition_penalty = 1.0};
  ASSERT_GE(document_["greedy"].size(), 2U);
  for (const Json& one : document_["greedy"]) {
    Generator generator(model);
    const auto got = generator.run({.prompt = one["prompt"], .sampling = options}).tokens;
    EXPECT_EQ(got, one["greedy"].get<std::vector<std::int32_t>>());
  }
}

TEST_F(SmolLM2Folder, F32GivesTheNumbersOfTheGguf) {
  const Path out = scratch_->path() / "f32";
  const Decoder model = load_fp32(smollm2_gguf());
  EXPECT_LT(write_hf_folder(model, smollm2_gguf(), out, WeightType::kF32).largest_difference, 1e-5);
  double worst = 0.0;
  const Decoder written = load_fp32(out);
  for (const Json& row : document_["gguf"]) {
    const auto ids = row["ids"].get<std::vector<std::int32_t>>();
    worst = std::max(worst, largest_difference(at::log_softmax(sequence_logits(written, ids), -1),
                                               at::log_softmax(sequence_logits(model, ids), -1)));
  }
  EXPECT_LT(worst, 1e-5);
}

}  // namespace
}  // namespace graft
