#include "generate/generate.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/error.h"
#include "generate/sampler.h"

namespace graft {
namespace {

std::size_t common_prefix(const std::vector<std::int32_t>& a, const std::vector<std::int32_t>& b) {
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

}  // namespace

at::Tensor Generator::read(std::size_t first) {
  const auto count = static_cast<std::int64_t>(tokens_.size() - first);
  const at::Tensor fresh = at::empty({count}, at::kLong);
  std::copy(tokens_.begin() + static_cast<std::ptrdiff_t>(first), tokens_.end(),
            fresh.mutable_data_ptr<std::int64_t>());
  Pass pass;
  pass.layout = PackLayout::single(count);
  pass.cache = &cache_;
  const at::Tensor hidden = model_.hidden(fresh, std::move(pass));
  return model_.logits(hidden.narrow(0, count - 1, 1)).squeeze(0);
}

Generated Generator::run(const std::vector<std::int32_t>& prompt, const SamplingOptions& options,
                         const std::vector<std::int32_t>& stop_ids,
                         const std::function<bool(std::int32_t)>& on_token) {
  const at::NoGradGuard no_grad;
  Sampler sampler(options);
  const auto limit = static_cast<std::size_t>(model_.config.max_position_embeddings);
  check(!prompt.empty(), "the prompt has no tokens, so there is nothing to go on from");
  check(prompt.size() < limit, "the prompt is longer than the model can read (got ", prompt.size(),
        " tokens, want less than ", limit, ")");
  // The last prompt token is read again even where all are known: its logits are needed.
  const std::size_t known = static_cast<std::size_t>(cache_.length);
  const std::vector<std::int32_t> read_before(tokens_.begin(),
                                              tokens_.begin() + static_cast<std::ptrdiff_t>(known));
  const std::size_t kept = std::min(common_prefix(read_before, prompt), prompt.size() - 1);
  cache_.length = static_cast<std::int64_t>(kept);
  tokens_ = prompt;
  at::Tensor logits = read(kept);
  Generated result;
  while (true) {
    const std::int32_t token = sampler.next(logits, tokens_);
    if (std::find(stop_ids.begin(), stop_ids.end(), token) != stop_ids.end()) {
      result.reason = StopReason::kStopToken;
      return result;
    }
    result.tokens.push_back(token);
    tokens_.push_back(token);
    if (on_token && !on_token(token))
      result.reason = StopReason::kCaller;
    else if (static_cast<std::int64_t>(result.tokens.size()) == options.max_new_tokens)
      result.reason = StopReason::kLength;
    else if (tokens_.size() >= limit)
      result.reason = StopReason::kContext;
    else {
      logits = read(tokens_.size() - 1);
      continue;
    }
    return result;
  }
}

}  // namespace graft
