#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/decoder.h"

namespace graft {

/// The linears of a block's experts that transformers 5 holds as one parameter [X,out,in].
struct ExpertStack {
  std::string parameter;  ///< its path there: "model.layers.0.mlp.experts.gate_up_proj"
  std::vector<std::vector<std::string>>
      linears;  ///< [X] paths here, in the order of its rows: gate and up, or down
};

/// A base's experts as the classes of transformers 5 have them, whatever the family called them before.
struct ExpertParameters {
  std::vector<ExpertStack> stacks;             ///< two of each block with experts: gate_up_proj, down_proj
  std::map<std::string, std::string> routers;  ///< path here -> path there: "model.layers.0.mlp.gate"
};

ExpertParameters expert_parameters(const Decoder& model);

}  // namespace graft
