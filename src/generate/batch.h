#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "generate/generate.h"

namespace graft {

/// How many answers are written at a time.
struct BatchLimits {
  std::int64_t tokens = 0;  ///< of all sequences at a time, as long as they may become; >= 1
  std::int64_t sequences = 64;
  std::int64_t prompt_tokens = 2048;  ///< read in one pass; a longer prompt is read in a pass of its own
};

/// The limits for a model on a machine of so much memory: keys and values take at most an eighth of it, and
/// at most 65,536 tokens are kept at a time.
BatchLimits batch_limits(const Decoder& model, std::uint64_t memory_bytes);

/// Writes the answers to all requests, several at a time: each pass of the model reads, as one pack, the last
/// token of every answer that is being written and the prompts that have room beside them. Requests begin in
/// their order; one that alone is beyond the limits is written alone. Each answer is what a Generator writes,
/// up to the rounding of its products. on_answer(index, answer) is called when an answer ends, the shortest
/// first. go_on is asked before each pass; false leaves what is not ended unwritten. Errors: as
/// Generator::run.
void generate_batch(const Decoder& model, std::span<const Request> requests, const BatchLimits& limits,
                    const std::function<void(std::size_t, Generated)>& on_answer,
                    const std::function<bool()>& go_on = {});

}  // namespace graft
