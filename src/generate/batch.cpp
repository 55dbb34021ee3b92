#include "generate/batch.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cassert>
#include <list>
#include <memory>

namespace graft {
namespace {

constexpr std::int64_t kMostTokens = 65'536;
constexpr std::uint64_t kShareOfMemory = 8;

/// A request whose answer is being written.
struct Live {
  std::size_t index;
  std::unique_ptr<Sequence> sequence;
  Draft draft;
};

/// Tokens that a request's sequence may come to have.
std::int64_t room_of(const Request& request, const ModelConfig& config) {
  const std::int64_t most = config.max_position_embeddings;
  return std::min(std::ssize(request.prompt) + std::min(request.sampling.max_new_tokens, most), most);
}

class Batch {
 public:
  Batch(const Decoder& model, std::span<const Request> requests, const BatchLimits& limits)
      : model_(model), requests_(requests), limits_(limits) {}

  bool done() const { return live_.empty() && next_ == requests_.size(); }

  /// Takes in the next requests, as many as have room.
  void admit() {
    std::int64_t fresh = 0;
    while (next_ < requests_.size()) {
      const Request& request = requests_[next_];
      const std::int64_t room = room_of(request, model_.config), length = std::ssize(request.prompt);
      const bool fits = room_ + room <= limits_.tokens && std::ssize(live_) < limits_.sequences;
      if (!live_.empty() && (!fits || (fresh > 0 && fresh + length > limits_.prompt_tokens))) return;
      fresh += length;
      room_ += room;
      auto sequence = std::make_unique<Sequence>();
      sequence->tokens = request.prompt;
      sequence->cache.limit = room;
      Draft draft(request, *sequence, model_.config);
      live_.push_back({next_++, std::move(sequence), std::move(draft)});
    }
  }

  /// One pass: a token for every answer that is being written.
  void step(const std::function<void(std::size_t, Generated)>& on_answer) {
    std::vector<Sequence*> sequences;
    for (const Live& one : live_) sequences.push_back(one.sequence.get());
    const at::Tensor logits = read_on(model_, sequences);  // [N,V]
    std::int64_t row = 0;
    for (auto one = live_.begin(); one != live_.end();) {
      one->draft.go_on(logits.select(0, row++));
      if (!one->draft.ended()) {
        ++one;
        continue;
      }
      room_ -= room_of(requests_[one->index], model_.config);
      const std::size_t index = one->index;
      const Generated answer = one->draft.result();
      one = live_.erase(one);
      on_answer(index, answer);
    }
  }

 private:
  const Decoder& model_;
  std::span<const Request> requests_;
  BatchLimits limits_;
  std::list<Live> live_;   // in the order of the requests
  std::size_t next_ = 0;   // the first request that has not begun
  std::int64_t room_ = 0;  // tokens that the live ones may come to have
};

}  // namespace

BatchLimits batch_limits(const Decoder& model, std::uint64_t memory_bytes) {
  const ModelConfig& config = model.config;
  const std::int64_t of_a_token = 2 * config.num_hidden_layers * config.num_key_value_heads *
                                  config.head_dim * static_cast<std::int64_t>(c10::elementSize(model.dtype));
  const auto fitting = static_cast<std::int64_t>(memory_bytes / kShareOfMemory) / of_a_token;
  return {.tokens = std::clamp<std::int64_t>(fitting, 1, kMostTokens)};
}

void generate_batch(const Decoder& model, std::span<const Request> requests, const BatchLimits& limits,
                    const std::function<void(std::size_t, Generated)>& on_answer,
                    const std::function<bool()>& go_on) {
  assert(limits.tokens > 0 && limits.sequences > 0);
  for (const Request& request : requests) check_prompt(request.prompt, model.config);
  Batch batch(model, requests, limits);
  while (!batch.done()) {
    if (go_on && !go_on()) return;
    batch.admit();
    batch.step(on_answer);
  }
}

}  // namespace graft
