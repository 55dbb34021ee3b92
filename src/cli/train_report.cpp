#include "cli/train_report.h"

#include <cstdio>

#include "base/text.h"

namespace graft {
namespace {

template <class... Values>
std::string format(const char* pattern, Values... values) {
  char buffer[256];
  std::snprintf(buffer, sizeof buffer, pattern, values...);
  return buffer;
}

std::string counted(std::int64_t count, const std::string& noun) {
  return format_count(count) + " " + noun + (count == 1 ? "" : "s");
}

std::string millions(std::int64_t count) { return format("%.1f M", static_cast<double>(count) / 1e6); }

std::int64_t parameters_of(const Decoder& model) {
  std::int64_t count = model.embedding->out_features() * model.embedding->in_features();
  if (model.head.weight != model.embedding) count *= 2;
  model.each_group([&](const LinearGroup& group) {
    for (const Linear& linear : group.linears)
      count += linear.weight->out_features() * linear.weight->in_features();
  });
  return count;
}

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

std::string adapter_text(const Recipe& recipe, const Decoder& model, const AdapterSet& adapters) {
  const auto all = static_cast<double>(parameters_of(model));
  const double share = 100.0 * static_cast<double>(adapters.parameter_count()) / all;
  std::string text = "adapter  lora r " + std::to_string(adapters.options.r) + " alpha " +
                     format("%g", adapters.options.alpha) + " on " +
                     counted(static_cast<std::int64_t>(adapters.modules.size()), "linear") + ": " +
                     millions(adapters.parameter_count()) + " parameters (" + format("%.2f", share) +
                     " % of the base)";
  if (!recipe.lora.from.empty()) text += ", from " + recipe.lora.from;
  return text;
}

}  // namespace

std::string header_text(const Recipe& recipe, const Decoder& model, const AdapterSet& adapters,
                        const RunRecord& record) {
  const Plan& plan = record.plan;
  std::string text = "base     " + recipe.model.path + ": " + model.config.architecture + ", " +
                     millions(parameters_of(model)) + " parameters, " +
                     (recipe.model.dtype == ComputeDType::kBF16 ? "bf16" : "fp32") + "; chat template " +
                     record.chat_template;
  text += "\n" + data_text("data     ", record.train_data);
  if (record.eval_data.examples > 0) text += "\n" + data_text("held out ", record.eval_data);
  text += "\n" + adapter_text(recipe, model, adapters);
  text += "\nplan     " + counted(plan.total_steps, "step") + " of " +
          counted(recipe.train.batch_size, "example") + ", micro-steps of up to " +
          format_count(plan.micro_batch_tokens) + " tokens";
  return text;
}

std::string result_text(const TrainingResult& result, const RunFolder& folder, const Recipe& recipe) {
  const RunState& state = result.state;
  std::string text;
  if (result.outcome == Outcome::kStoppedEarly) text += "stopped early: the held-out loss no longer falls\n";
  if (state.evaluations.size() > 1 && state.best_step >= 0) {
    const double before = state.evaluations.front().loss;
    text += format("held-out loss %.4f -> %.4f (%+.1f %%), best at step %lld\n", before, state.best_loss,
                   100.0 * (state.best_loss - before) / before, static_cast<long long>(state.best_step));
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
