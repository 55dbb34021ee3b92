#include "generate/generate.h"

#include <algorithm>

#include "base/error.h"

namespace graft {

void check_prompt(const std::vector<std::int32_t>& prompt, const ModelConfig& config,
                  const std::string& where) {
  check(!prompt.empty(), where, "the prompt has no tokens, so there is nothing to go on from");
  check(std::ssize(prompt) < config.max_position_embeddings, where,
        "the prompt is longer than the model can read (got ", prompt.size(), " tokens, want less than ",
        config.max_position_embeddings, ")");
}

Draft::Draft(const Request& request, Sequence& sequence, const ModelConfig& config)
    : request_(request),
      sequence_(sequence),
      sampler_(request.sampling),
      context_(config.max_position_embeddings) {}

void Draft::go_on(const at::Tensor& logits) {
  const std::int32_t token = sampler_.next(logits, sequence_.tokens);
  if (std::ranges::find(request_.stop_ids, token) != request_.stop_ids.end()) {
    reason_ = StopReason::kStopToken;
    return;
  }
  tokens_.push_back(token);
  sequence_.tokens.push_back(token);
  if (request_.on_token && !request_.on_token(token))
    reason_ = StopReason::kCaller;
  else if (std::ssize(tokens_) == request_.sampling.max_new_tokens)
    reason_ = StopReason::kLength;
  else if (std::ssize(sequence_.tokens) >= context_)
    reason_ = StopReason::kContext;
}

Generated Generator::run(const Request& request) {
  check_prompt(request.prompt, model_.config);
  Draft draft(request, sequence_, model_.config);
  // The last prompt token is read again even where all are known: its logits are needed.
  const auto same = std::ranges::mismatch(sequence_.tokens, request.prompt).in1 - sequence_.tokens.begin();
  sequence_.cache.length =
      std::min({sequence_.cache.length, static_cast<std::int64_t>(same), std::ssize(request.prompt) - 1});
  sequence_.tokens = request.prompt;
  Sequence* const all[] = {&sequence_};
  while (!draft.ended()) draft.go_on(read_on(model_, all).squeeze(0));
  return draft.result();
}

}  // namespace graft
