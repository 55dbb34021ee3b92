#pragma once

#include <cstdint>

#include "base/file.h"
#include "bench/base_shapes.h"

namespace graft {

/// What to write.
struct RandomBase {
  BaseShape shape{};
  bool is_nf4 = false;  ///< the linears; embeddings, norms and head are bf16 always
  std::uint64_t seed = 1;
  Path tokenizer{};  ///< folder whose tokenizer and ids of special tokens are copied; empty: none
  std::int64_t shard_bytes = 4'000'000'000;
};

/// Writes the checkpoint as a new folder, which appears whole. Holds one tensor, or 32 MB of a bf16 one, at a
/// time.
void write_random_base(const RandomBase& base, const Path& out);

}  // namespace graft
