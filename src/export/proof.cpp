#include "export/proof.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "model/load_in_files.h"
#include "text/tokenizer.h"

namespace graft {
namespace {

/// Letters, digits, accents, other scripts, an emoji: what tokenizers differ on.
constexpr const char* kProbe =
    "The quick brown fox jumps over 13 lazy dogs, doesn't it? Naïve café: 3.14159 x 2 = 6.28318;\n\n\tif (a "
    ">= b) {\n"
    "    return \"你好，世界\";\n}\n 2026-11-22 🙂 Привет!  three   spaces";
constexpr std::int64_t kRandomTokens = 64;
constexpr std::int64_t kTop = 20;
/// Sums in another order: nothing else differs in fp32.
constexpr double kOrderTolerance = 1e-3;
/// One rounding of every weight to 8 bits, seen through a network: measured 0.12 on SmolLM2 and 0.17 on the
/// tiny test model; several times that is a wrong tensor, not rounding.
constexpr double kRoundingTolerance = 1.0;

bool has_tokenizer(const Path& base) {
  return !std::filesystem::is_directory(base) || std::filesystem::exists(base / "tokenizer.json");
}

std::vector<std::int32_t> random_tokens(const ModelConfig& config) {
  std::vector<std::int32_t> ids;
  RandomStream random(0);
  for (std::int64_t i = 0; i < kRandomTokens; ++i) {
    ids.push_back(static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(config.vocab_size))));
  }
  return ids;
}

std::vector<std::int32_t> probe_tokens(const ModelConfig& config, const Path& base, const Path& written) {
  if (!has_tokenizer(base)) return random_tokens(config);
  const auto want = load_tokenizer(base).encode(kProbe, SpecialTokens::kAdd).ids;
  const auto got = load_tokenizer(written).encode(kProbe, SpecialTokens::kAdd).ids;
  check(got == want, ExitCode::kInternal, "the exported tokenizer does not encode as the base's does");
  const bool fits =
      std::all_of(want.begin(), want.end(), [&](std::int32_t id) { return id < config.vocab_size; });
  return fits ? want : random_tokens(config);
}

/// Log-probabilities after each token, [T,V] fp32.
at::Tensor log_probabilities(const Decoder& model, const std::vector<std::int32_t>& ids) {
  const auto count = static_cast<std::int64_t>(ids.size());
  const at::Tensor tokens = at::empty({count}, at::kLong);
  std::copy(ids.begin(), ids.end(), tokens.mutable_data_ptr<std::int64_t>());
  Pass pass;
  pass.layout = PackLayout::single(count);
  return at::log_softmax(model.logits(model.hidden(tokens, std::move(pass))), -1);
}

}  // namespace

Proof prove_export(const Decoder& model, const Path& base, const Path& written, Rounding rounding) {
  const at::NoGradGuard no_grad;
  const std::vector<std::int32_t> ids = probe_tokens(model.config, base, written);
  const auto compute = model.dtype == at::kBFloat16 ? ComputeDType::kBF16 : ComputeDType::kF32;
  const Decoder loaded = compute == ComputeDType::kF32
                             ? load_in_files(written.string())
                             : load_model({.path = written.string(), .dtype = compute});
  const auto [want, indices] =
      log_probabilities(model, ids).topk(std::min<std::int64_t>(kTop, model.config.vocab_size), -1);
  const at::Tensor got = log_probabilities(loaded, ids).gather(-1, indices);
  const Proof proof{.largest_difference = (got - want).abs().max().item<double>(),
                    .positions = static_cast<std::int64_t>(ids.size())};
  const double limit = rounding == Rounding::kNone ? kOrderTolerance : kRoundingTolerance;
  // The negation also catches a difference that is no number.
  check(proof.largest_difference <= limit, ExitCode::kInternal,
        "the exported model differs from the one it was made of (largest difference of log-probabilities ",
        proof.largest_difference, ", want at most ", limit, ")");
  return proof;
}

}  // namespace graft
