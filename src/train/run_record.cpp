#include "train/run_record.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <torch/headeronly/version.h>

#include "base/json.h"
#include "base/machine.h"

namespace graft {
namespace {

Json to_json(const DataReport& report) {
  Json files = Json::array();
  for (const DataReport::File& file : report.files) {
    files.push_back(
        {{"path", file.path}, {"format", file.format}, {"rows", file.rows}, {"sha256", file.sha256}});
  }
  return {{"files", files},
          {"rows", report.rows},
          {"examples", report.examples},
          {"tokens", report.tokens},
          {"target_tokens", report.target_tokens},
          {"longest", report.longest},
          {"dropped_long", report.dropped_long},
          {"dropped_without_target", report.dropped_without_target},
          {"truncated", report.truncated},
          {"control_tokens_in_text", report.control_tokens}};
}

Json machine() {
  return {{"cpu", cpu_name()},
          {"cpu_capability", at::get_cpu_capability()},
          {"threads", at::get_num_threads()},
          {"memory_bytes", installed_memory_bytes()}};
}

}  // namespace

Json result_json(const RunState& state) {
  Json before = nullptr, after = nullptr;
  if (!state.evaluations.empty()) {
    before = state.evaluations.front().step == 0 ? Json(state.evaluations.front().loss) : Json(nullptr);
    after = state.best_step >= 0 ? Json(state.best_loss) : Json(state.evaluations.back().loss);
  }
  return {{"final_loss", state.last_loss},
          {"eval_loss_before", before},
          {"eval_loss_after", after},
          {"best_step", state.best_step},
          {"steps", state.step},
          {"trained_tokens", state.trained_tokens},
          {"seconds", state.seconds},
          {"peak_rss_bytes", peak_rss_bytes()},
          {"first_step_seconds", state.first_step_seconds}};
}

void write_run_record(const RunFolder& folder, const RunRecord& record, const RunState* result) {
  Json json = {{"graft", GRAFT_VERSION},
               {"libtorch", TORCH_VERSION},
               {"base", record.base_path},
               {"chat_template", record.chat_template},
               {"seed", record.seed},
               {"trainable_parameters", record.trainable_parameters},
               {"micro_batch_tokens", record.plan.micro_batch_tokens},
               {"activation_checkpointing", name_of(record.plan.recompute)},
               {"total_steps", record.plan.total_steps},
               {"hashes", record.hashes},
               {"machine", machine()},
               {"train", to_json(record.train_data)},
               {"eval", to_json(record.eval_data)}};
  if (result != nullptr) json["result"] = result_json(*result);
  write_file(folder.record(), to_text(json, 1) + "\n");
}

bool run_is_finished(const Path& folder) {
  const Path path = folder / "run.json";
  return std::filesystem::exists(path) && read_json(path).contains("result");
}

}  // namespace graft
