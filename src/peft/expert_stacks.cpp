#include "peft/expert_stacks.h"

namespace graft {
namespace {

std::vector<std::string> names_of(const LinearGroup& group) {
  std::vector<std::string> names;
  for (const Linear& linear : group.linears) names.push_back(linear.name);
  return names;
}

}  // namespace

ExpertParameters expert_parameters(const Decoder& model) {
  ExpertParameters parameters;
  for (std::size_t layer = 0; layer < model.blocks.size(); ++layer) {
    const Experts& experts = model.blocks[layer].experts;
    if (!experts.present()) continue;
    const std::string mlp = "model.layers." + std::to_string(layer) + ".mlp.";
    ExpertStack gate_up{.parameter = mlp + "experts.gate_up_proj", .linears = {}},
        down{.parameter = mlp + "experts.down_proj", .linears = {}};
    for (const Mlp& expert : experts.experts) {
      gate_up.linears.push_back(names_of(expert.gate_up));
      down.linears.push_back(names_of(expert.down));
    }
    parameters.stacks.push_back(std::move(gate_up));
    parameters.stacks.push_back(std::move(down));
    for (const Linear& router : experts.router.linears) parameters.routers[router.name] = mlp + "gate";
  }
  return parameters;
}

}  // namespace graft
