#include "generate/sampler.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>
#include <vector>

#include "base/error.h"

namespace graft {
namespace {

constexpr char kStreamName[] = "generate";

struct Candidate {
  float logit;
  std::int32_t id;
};

bool more_likely(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

/// Source: Keskar et al., "CTRL" (2019), with Hugging Face's rule for negative scores.
void penalise(std::vector<float>& logits, std::span<const std::int32_t> seen, double penalty) {
  if (penalty == 1.0) return;
  const auto factor = static_cast<float>(penalty);
  for (const std::int32_t id : std::unordered_set<std::int32_t>(seen.begin(), seen.end())) {
    if (id < 0 || static_cast<std::size_t>(id) >= logits.size()) continue;
    float& logit = logits[static_cast<std::size_t>(id)];
    logit = logit < 0.0F ? logit * factor : logit / factor;
  }
}

void keep_top_k(std::vector<Candidate>& candidates, std::int64_t k) {
  if (k == 0 || k >= static_cast<std::int64_t>(candidates.size())) return;
  std::nth_element(candidates.begin(), candidates.begin() + k, candidates.end(), more_likely);
  candidates.resize(static_cast<std::size_t>(k));
}

/// exp(logit - best) per candidate.
std::vector<double> weights_of(const std::vector<Candidate>& candidates) {
  const float best = std::min_element(candidates.begin(), candidates.end(), more_likely)->logit;
  std::vector<double> weights;
  weights.reserve(candidates.size());
  for (const Candidate& one : candidates) weights.push_back(std::exp(static_cast<double>(one.logit) - best));
  return weights;
}

/// Keeps the most likely candidates up to the one that makes their share reach p, most likely first.
/// Source: Holtzman et al., "The Curious Case of Neural Text Degeneration" (2019).
void keep_top_p(std::vector<Candidate>& candidates, double p) {
  if (p >= 1.0) return;
  const std::vector<double> weights = weights_of(candidates);
  double total = 0.0;
  for (const double weight : weights) total += weight;
  // All candidates below this weight together hold less than 1 - p: none of them is kept, so none need be
  // sorted.
  const double floor = (1.0 - p) * total / static_cast<double>(candidates.size());
  std::vector<Candidate> likely;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (weights[i] >= floor) likely.push_back(candidates[i]);
  }
  std::sort(likely.begin(), likely.end(), more_likely);
  const float best = likely.front().logit;
  double before = 0.0;
  std::size_t kept = 0;
  for (; kept < likely.size() && before < p * total; ++kept) {
    before += std::exp(static_cast<double>(likely[kept].logit) - best);
  }
  likely.resize(kept);
  candidates = std::move(likely);
}

std::int32_t draw(const std::vector<Candidate>& candidates, double uniform) {
  const std::vector<double> weights = weights_of(candidates);
  double total = 0.0;
  for (const double weight : weights) total += weight;
  double left = uniform * total;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    left -= weights[i];
    if (left < 0.0) return candidates[i].id;
  }
  return candidates.back().id;  // rounding of the sum
}

void check_options(const SamplingOptions& options) {
  const auto bad = ExitCode::kUsage;
  check(options.max_new_tokens >= 1, bad, "max_new_tokens is out of range (got ", options.max_new_tokens,
        ", want >= 1)");
  check(options.temperature >= 0.0 && std::isfinite(options.temperature), bad,
        "temperature is out of range (got ", options.temperature, ", want >= 0)");
  check(options.top_k >= 0, bad, "top_k is out of range (got ", options.top_k, ", want >= 0)");
  check(options.top_p > 0.0 && options.top_p <= 1.0, bad, "top_p is out of range (got ", options.top_p,
        ", want above 0, at most 1)");
  check(options.repetition_penalty > 0.0 && std::isfinite(options.repetition_penalty), bad,
        "repetition_penalty is out of range (got ", options.repetition_penalty, ", want > 0)");
}

}  // namespace

Sampler::Sampler(const SamplingOptions& options)
    : options_(options), random_(mix(options.seed, hash_name(kStreamName, sizeof(kStreamName) - 1))) {
  check_options(options);
}

std::int32_t Sampler::next(const at::Tensor& logits, std::span<const std::int32_t> seen) {
  const at::Tensor row = logits.contiguous();
  const float* first = row.const_data_ptr<float>();
  std::vector<float> scores(first, first + row.numel());
  const bool numbers =
      std::none_of(scores.begin(), scores.end(), [](float score) { return std::isnan(score); });
  penalise(scores, seen, options_.repetition_penalty);
  const auto best = std::max_element(scores.begin(), scores.end());
  check(numbers && std::isfinite(*best), ExitCode::kNumerics, "the model's logits are not finite",
        Hint{"try --dtype fp32; if that fails too, the weights or the adapter are broken"});
  if (options_.temperature == 0.0) return static_cast<std::int32_t>(best - scores.begin());
  std::vector<Candidate> candidates(scores.size());
  for (std::size_t i = 0; i < scores.size(); ++i) {
    // From the best score on, so that a temperature near 0 makes no infinities of them all.
    candidates[i] = {static_cast<float>((scores[i] - *best) / options_.temperature),
                     static_cast<std::int32_t>(i)};
  }
  keep_top_k(candidates, options_.top_k);
  keep_top_p(candidates, options_.top_p);
  return draw(candidates, random_.uniform());
}

}  // namespace graft
