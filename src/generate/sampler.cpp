#include "generate/sampler.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>
#include <vector>

namespace graft {
namespace {

constexpr char kStreamName[] = "generate";
constexpr double kNegligible = -40.0;  // e^-40 of the likeliest: less than a draw of 53 bits resolves

/// logit: above the likeliest's by so much, after temperature; <= 0.
struct Candidate {
  double logit;
  std::int32_t id;
};

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

/// The k most likely, and what is as likely as the last of them.
void keep_top_k(std::vector<Candidate>& candidates, std::int64_t k) {
  if (k == 0 || k >= std::ssize(candidates)) return;
  std::vector<double> logits;
  for (const Candidate& one : candidates) logits.push_back(one.logit);
  std::nth_element(logits.begin(), logits.begin() + (k - 1), logits.end(), std::greater<>());
  const double least = logits[static_cast<std::size_t>(k - 1)];
  std::erase_if(candidates, [&](const Candidate& one) { return one.logit < least; });
}

double sum_of(const std::vector<Candidate>& candidates) {
  double sum = 0.0;
  for (const Candidate& one : candidates) sum += std::exp(one.logit);
  return sum;
}

/// Keeps the most likely candidates up to the one that makes their share reach p.
/// Source: Holtzman et al., "The Curious Case of Neural Text Degeneration" (2019).
void keep_top_p(std::vector<Candidate>& candidates, double p) {
  if (p >= 1.0) return;
  const double total = sum_of(candidates);
  // All candidates below this logit together hold less than 1 - p: none of them is kept, so none need be
  // sorted.
  const double floor = std::log((1.0 - p) * total / static_cast<double>(candidates.size()));
  std::erase_if(candidates, [&](const Candidate& one) { return one.logit < floor && one.logit < 0.0; });
  // Of equals the later id first, as an ascending stable sort cut from below leaves them.
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id > b.id;
  });
  double before = 0.0;
  std::size_t kept = 0;
  for (; kept < candidates.size() && before < p * total; ++kept) before += std::exp(candidates[kept].logit);
  candidates.resize(kept);
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
}

/// Keeps what is at least p times as likely as the likeliest. Source: Nguyen et al., "Min-p Sampling" (2024).
void keep_min_p(std::vector<Candidate>& candidates, double p) {
  if (p == 0.0) return;
  const double least = std::log(p);
  std::erase_if(candidates, [&](const Candidate& one) { return one.logit < least; });
}

}  // namespace

void check_sampling(const SamplingOptions& options, const std::string& where, ExitCode code) {
  check(options.max_new_tokens >= 1, code, where, "max_new_tokens is out of range (got ",
        options.max_new_tokens, ", want >= 1)");
  check(options.temperature >= 0.0 && std::isfinite(options.temperature), code, where,
        "temperature is out of range (got ", options.temperature, ", want >= 0)");
  check(options.top_k >= 0, code, where, "top_k is out of range (got ", options.top_k, ", want >= 0)");
  check(options.top_p > 0.0 && options.top_p <= 1.0, code, where, "top_p is out of range (got ",
        options.top_p, ", want above 0, at most 1)");
  check(options.min_p >= 0.0 && options.min_p <= 1.0, code, where, "min_p is out of range (got ",
        options.min_p, ", want 0 to 1)");
  check(options.repetition_penalty > 0.0 && std::isfinite(options.repetition_penalty), code, where,
        "repetition_penalty is out of range (got ", options.repetition_penalty, ", want > 0)");
  check(std::ranges::none_of(options.stop, &std::string::empty), code, where,
        "stop: an empty text would end every answer before it begins");
}

std::vector<TokenChance> token_chances(const at::Tensor& logits, std::span<const std::int32_t> seen,
                                       const SamplingOptions& options) {
  const at::Tensor row = logits.contiguous();
  const float* first = row.const_data_ptr<float>();
  std::vector<float> scores(first, first + row.numel());
  const bool numbers =
      std::none_of(scores.begin(), scores.end(), [](float score) { return std::isnan(score); });
  penalise(scores, seen, options.repetition_penalty);
  const auto best = std::max_element(scores.begin(), scores.end());
  check(numbers && std::isfinite(*best), ExitCode::kNumerics, "the model's logits are not finite",
        Hint{"try --dtype fp32; if that fails too, the weights or the adapter are broken"});
  if (options.temperature == 0.0) return {{static_cast<std::int32_t>(best - scores.begin()), 1.0}};
  std::vector<Candidate> candidates;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    // From the best score on, so that a temperature near 0 makes no infinities of them all.
    const double logit = (static_cast<double>(scores[i]) - *best) / options.temperature;
    if (logit > kNegligible) candidates.push_back({logit, static_cast<std::int32_t>(i)});
  }
  keep_top_k(candidates, options.top_k);
  keep_top_p(candidates, options.top_p);
  keep_min_p(candidates, options.min_p);
  const double total = sum_of(candidates);
  std::vector<TokenChance> chances;
  chances.reserve(candidates.size());
  for (const Candidate& one : candidates) chances.push_back({one.id, std::exp(one.logit) / total});
  return chances;
}

Sampler::Sampler(const SamplingOptions& options)
    : options_(options), random_(mix(options.seed, hash_name(kStreamName, sizeof(kStreamName) - 1))) {
  check_sampling(options);
}

std::int32_t Sampler::next(const at::Tensor& logits, std::span<const std::int32_t> seen) {
  const std::vector<TokenChance> chances = token_chances(logits, seen, options_);
  if (chances.size() == 1) return chances.front().id;
  double left = random_.uniform();
  for (const TokenChance& one : chances) {
    left -= one.probability;
    if (left < 0.0) return one.id;
  }
  return chances.back().id;  // rounding of the sum
}

}  // namespace graft
