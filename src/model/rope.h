#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"

namespace graft {

/// How the angles of rotary embedding are stretched for contexts longer than a base was first trained on.
enum class RopeType { kDefault, kLinear, kDynamic, kYarn, kLlama3, kLongrope };

/// Rotary embedding of some blocks, in the words of Hugging Face's rope_parameters.
struct RopeConfig {
  RopeType type = RopeType::kDefault;
  double rope_theta = 10000.0;
  std::int64_t dims = 0;  ///< of a head that are rotated: the first ones; even
  double factor = 1.0;
  double attention_factor = 1.0;                      ///< of cos and sin
  std::int64_t original_max_position_embeddings = 0;  ///< dynamic: max_position_embeddings
  double low_freq_factor = 1.0, high_freq_factor = 4.0;
  double beta_fast = 32.0, beta_slow = 1.0;
  bool truncate = true;
  std::vector<double> short_factor{}, long_factor{};  ///< [dims/2]

  /// Whether sequences of both lengths are rotated by the same angles.
  bool same_angles(std::int64_t length, std::int64_t other) const;
  /// Angle per position of each pair of dims, [dims/2], for a sequence of `length` tokens. Computed in fp32
  /// in Hugging Face's order, so that they are equal to the bit. Source: transformers' modeling_rope_utils.
  std::vector<double> frequencies(std::int64_t length) const;
};

/// What a rope needs of the config around it.
struct RopeContext {
  double rope_theta;     ///< where the parameters have none
  double partial = 1.0;  ///< partial_rotary_factor, where the parameters have none
  std::int64_t head_dim;
  std::int64_t max_position_embeddings;
  std::int64_t original_max_position_embeddings = 0;  ///< beside the parameters, which it overrules; 0 = none
  bool only_longrope = false;                         ///< Phi-3, whose "su" and "yarn" mean longrope
};

/// Reads rope_parameters (or rope_scaling) of either spelling. Errors name the pointer: an unknown type, a
/// missing or absurd number.
RopeConfig parse_rope(const JsonView& parameters, const RopeContext& context);
/// The rope of a config without parameters.
RopeConfig plain_rope(const RopeContext& context);

}  // namespace graft
