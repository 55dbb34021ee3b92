#include <gtest/gtest.h>

#include "base/json.h"
#include "model/golden.h"

// The real base read from its GGUF file; its Hugging Face folder is proven in tests/export.
namespace graft {
namespace {

constexpr double kFp32Tolerance = 1e-4;

TEST(SmolLM2, GgufHasTransformersLogProbabilities) {
  GRAFT_NEED_SMOLLM2();
  const Decoder model = load_fp32(smollm2_gguf());
  const Json document = read_json(golden("model/smollm2.json"));
  double worst = 0.0;
  for (const Json& row : document["gguf"]) {
    const auto ids = row["ids"].get<std::vector<std::int32_t>>();
    const at::Tensor got = at::log_softmax(sequence_logits(model, ids), -1);
    const std::int64_t first = static_cast<std::int64_t>(ids.size() - row["top"].size());
    for (std::size_t p = 0; p < row["top"].size(); ++p) {
      const Json& top = row["top"][p];
      for (std::size_t i = 0; i < top["ids"].size(); ++i) {
        const double value =
            got[first + static_cast<std::int64_t>(p)][top["ids"][i].get<std::int64_t>()].item<double>();
        worst = std::max(worst, std::abs(value - top["logprobs"][i].get<double>()));
      }
    }
  }
  RecordProperty("largest_difference", std::to_string(worst));
  EXPECT_LT(worst, kFp32Tolerance);
}

}  // namespace
}  // namespace graft
