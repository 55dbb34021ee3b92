#pragma once

#include "base/file.h"
#include "model/decoder.h"

namespace graft {

/// How far an exported model is from the one it was made of.
struct Proof {
  double largest_difference =
      0.0;  ///< of log-probabilities in nats, over the reference's 20 likeliest tokens per position
  std::int64_t positions = 0;
};

/// What lies between the two models.
enum class Rounding {
  kNone,     ///< nothing: fp32 in memory and on disk; only the order of sums may differ
  kWeights,  ///< weights were rounded, or products are
};

/// Loads the model at `written` in model's own compute type and compares their log-probabilities on a fixed
/// text, which the tokenizers of both must encode alike (where the base has one). Errors (kInternal): the
/// tokenizers differ, or the models do by more than `rounding` can explain.
Proof prove_export(const Decoder& model, const Path& base, const Path& written, Rounding rounding);

}  // namespace graft
