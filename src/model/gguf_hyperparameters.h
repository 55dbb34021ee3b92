#pragma once

#include <string>
#include <vector>

#include "model/config.h"
#include "store/gguf_metadata.h"

namespace graft {

/// A vector that belongs to a model's hyperparameters and that GGUF files hold as a tensor.
struct RopeFactors {
  std::string name;           ///< "rope_freqs.weight"
  std::vector<float> values;  ///< [dims/2]: what the angles of each pair are divided by
};

/// What GGUF says of a model in place of a config.json.
struct GgufHyperparameters {
  GgufMetadata metadata;  ///< general.architecture and the keys of the architecture
  std::vector<RopeFactors> rope;
};

/// The reverse of config_of_gguf. Warns of attention windows that llama.cpp does not honour for the
/// architecture. Errors (kBadInput): what GGUF or llama.cpp have no word for (named): rotary scaling of
/// another kind, another choice of windowed or unrotated layers, another scale of attention, blocks without
/// experts among those with them, experts' weights that do not sum to 1. Source: llama.cpp, llama-model.cpp
/// (load_hparams).
GgufHyperparameters gguf_hyperparameters(const ModelConfig& config);

}  // namespace graft
