#include "train/state.h"

#include <cmath>

namespace graft {

Json to_json(const RunState& state) {
  Json evaluations = Json::array();
  for (const Evaluation& e : state.evaluations) {
    evaluations.push_back({{"step", e.step}, {"eval_loss", e.loss}, {"eval_tokens", e.tokens}});
  }
  return {{"step", state.step},
          {"best_step", state.best_step},
          {"best_loss", std::isfinite(state.best_loss) ? Json(state.best_loss) : Json(nullptr)},
          {"evaluations_without_better", state.evaluations_without_better},
          {"evaluations", evaluations},
          {"trained_tokens", state.trained_tokens},
          {"seconds", state.seconds},
          {"first_step_seconds", state.first_step_seconds},
          {"last_loss", state.last_loss},
          {"micro_batch_tokens", state.micro_batch_tokens},
          {"hashes", state.hashes}};
}

RunState run_state_from(const JsonView& json) {
  RunState state;
  state.step = json.at("step").as_int(0);
  state.best_step = json.at("best_step").as_int(-1);
  if (const auto best = json.find("best_loss")) state.best_loss = best->as_double();
  state.evaluations_without_better = json.at("evaluations_without_better").as_int(0);
  json.at("evaluations").each_element([&](const JsonView& e) {
    state.evaluations.push_back(
        {e.at("step").as_int(0), e.at("eval_loss").as_double(), e.at("eval_tokens").as_int(0)});
  });
  state.trained_tokens = json.at("trained_tokens").as_int(0);
  state.seconds = json.at("seconds").as_double();
  state.first_step_seconds = json.at("first_step_seconds").as_double();
  state.last_loss = json.at("last_loss").as_double();
  state.micro_batch_tokens = json.at("micro_batch_tokens").as_int(1);
  json.at("hashes").each_member(
      [&](const std::string& name, const JsonView& hash) { state.hashes[name] = hash.as_string(); });
  return state;
}

}  // namespace graft
