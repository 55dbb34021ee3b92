#include "cli/train_report.h"

#include "base/format.h"
#include "base/text.h"
#include "train/run_record.h"

namespace graft {
namespace {

std::string millions(std::int64_t count) { return format("%.1f M", static_cast<double>(count) / 1e6); }

std::string data_text(const char* label, const DataReport& report) {
  std::string text = std::string(label) + counted(report.examples, "example") + ", " +
                     format_count(report.tokens) + " tokens, " + format_count(report.target_tokens) +
                     " of them learned; longest " + format_count(report.longest);
  const std::string indent = "\n         ";
  if (report.dropped_long > 0)
    text += indent + counted(report.dropped_long, "row") + " dropped: longer than data.max_seq_len";
  if (report.truncated > 0)
    text += indent + counted(report.truncated, "row") + " shortened to data.max_seq_len";
  if (report.dropped_without_target > 0) {
    text += indent + counted(report.dropped_without_target, "row") + " dropped: nothing to learn in them";
  }
  for (const std::string& place : report.dropped_at) text += indent + "  " + place;
  if (report.control_tokens > 0) {
    text +=
        indent + counted(report.control_tokens, "control token") + " inside the text of rows, read as such:";
    for (const std::string& place : report.control_at) text += indent + "  " + place;
  }
  return text;
}

std::string base_text(const Job& job, const JobPlan& planned) {
  const BaseSizes& base = planned.shape.base;
  return "base     " + job.recipe.model.path + ": " + planned.shape.config.architecture + ", " +
         millions(base.linears.values + base.embeddings.values) + " parameters, " +
         (planned.shape.dtype == ComputeDType::kBF16 ? "bf16" : "fp32") + "; chat template " +
         (job.chat ? job.chat->name() : "none");
}

std::string adapter_text(const Job& job, const JobPlan& planned) {
  const BaseSizes& base = planned.shape.base;
  const auto all = static_cast<double>(base.linears.values + base.embeddings.values);
  const double share = 100.0 * static_cast<double>(planned.adapter.parameters) / all;
  std::string text = "adapter  lora r " + std::to_string(planned.adapter.options.r) + " alpha " +
                     format("%g", planned.adapter.options.alpha) + " on " +
                     counted(std::ssize(planned.adapter.modules), "linear") + ": " +
                     millions(planned.adapter.parameters) + " parameters (" + format("%.2f", share) +
                     " % of the base)";
  if (!job.recipe.lora.from.empty()) text += ", from " + job.recipe.lora.from;
  return text;
}

std::string plan_text(const Job& job, const JobPlan& planned) {
  const Plan& plan = planned.plan;
  std::string text = "plan     " + counted(plan.total_steps, "step") + " of " +
                     counted(job.recipe.train.batch_size, "example") + ", micro-steps of up to " +
                     format_count(plan.micro_batch_tokens) + " tokens, activation checkpointing " +
                     name_of(plan.recompute);
  if (planned.work.largest_long.tokens > 0 && plan.recompute_long != plan.recompute)
    text += ", for longer examples " + std::string(name_of(plan.recompute_long));
  return text;
}

std::string memory_text(const MemoryBytes& memory) {
  return "memory   about " + format_bytes(memory.total()) + " at the peak: weights " +
         format_bytes(memory.weights) + ", adapters and optimizer " +
         format_bytes(memory.adapters + memory.optimizer) + ", micro-step " +
         format_bytes(memory.of_micro_step()) + ", the rest " + format_bytes(memory.data + memory.program);
}

}  // namespace

std::string header_text(const Job& job, const JobPlan& planned) {
  std::string text = base_text(job, planned);
  text += "\n" + data_text("data     ", job.data.train_report);
  if (job.data.eval_report.examples > 0) text += "\n" + data_text("held out ", job.data.eval_report);
  text += "\n" + adapter_text(job, planned);
  text += "\n" + plan_text(job, planned);
  return text + "\n" + memory_text(forecast_job(job, planned, 0).memory);
}

std::string result_text(const TrainingResult& result, const RunFolder& folder, const Recipe& recipe) {
  const RunState& state = result.state;
  std::string text;
  if (result.outcome == Outcome::kStoppedEarly) text += "stopped early: the held-out loss no longer falls\n";
  if (state.evaluations.size() > 1 && state.best_step >= 0) {
    const double before = state.evaluations.front().loss;
    text += format("held-out loss %.4f -> %.4f (%+.1f %%), best at step %lld", before, state.best_loss,
                   100.0 * (state.best_loss - before) / before, static_cast<long long>(state.best_step));
    // Its rounding is in both: the same adapter on the base as it is scores a little better.
    text += recipe.model.compute == Compute::kInt8 ? ", both computed in int8\n" : "\n";
  }
  const Path adapter = folder.adapter() / "adapter_model.safetensors";
  text +=
      "trained " + format_count(state.trained_tokens) + " tokens in " + format_seconds(state.seconds) + "\n";
  text +=
      "wrote " + folder.adapter().string() + " (" + format_bytes(std::filesystem::file_size(adapter)) + ")\n";
  text +=
      "try it: graft chat --model " + recipe.model.path + " --adapter " + folder.adapter().string() + "\n";
  return text;
}

Json result_document(const TrainingResult& result, const RunFolder& folder, const Json& profile) {
  const char* outcome = result.outcome == Outcome::kFinished       ? "finished"
                        : result.outcome == Outcome::kStoppedEarly ? "stopped_early"
                                                                   : "interrupted";
  const bool interrupted = result.outcome == Outcome::kInterrupted;
  return {{"outcome", outcome},
          {"output_dir", folder.path().string()},
          {"adapter", interrupted ? Json(nullptr) : Json(folder.adapter().string())},
          {"result", result_json(result.state)},
          {"profile", profile}};
}

}  // namespace graft
