#include "cli/plan_report.h"

#include <algorithm>
#include <array>

#include "base/format.h"
#include "base/text.h"
#include "cli/train_report.h"

namespace graft {
namespace {

// The parts of memory under the names that --json and the table give them.
struct Part {
  const char* key;
  const char* shown;
  std::uint64_t MemoryBytes::*bytes;
};
constexpr std::array kParts = {
    Part{"weights", "weights of the base", &MemoryBytes::weights},
    Part{"adapters", "adapters and their gradients", &MemoryBytes::adapters},
    Part{"optimizer", "optimizer", &MemoryBytes::optimizer},
    Part{"activations", "activations kept", &MemoryBytes::activations},
    Part{"loss", "loss", &MemoryBytes::loss},
    Part{"scratch", "backward, and slack of the allocator", &MemoryBytes::scratch},
    Part{"data", "tokens of the data", &MemoryBytes::data},
    Part{"program", "graft and libtorch", &MemoryBytes::program},
};

std::string memory_lines(const MemoryBytes& memory, std::uint64_t installed) {
  std::string text;
  for (const Part& part : kParts) {
    text += format("         %10s  %s\n", format_bytes(memory.*part.bytes).c_str(), part.shown);
  }
  if (installed == 0) return text;
  text += "         this machine has " + format_bytes(installed);
  return text + (memory.total() > installed ? ": not enough\n" : "\n");
}

std::string time_text(const JobPlan& planned, const PlanReport& report) {
  const Forecast& forecast = report.forecast;
  const double rate = static_cast<double>(planned.work.tokens) / forecast.training_seconds;
  std::string text = "about " + format_seconds(forecast.seconds()) + ": " +
                     format_count(planned.work.tokens) + " tokens, " +
                     format_count(planned.work.target_tokens) + " of them learned, at " +
                     format_count(static_cast<std::int64_t>(rate)) + " a second";
  if (planned.work.evaluations > 0)
    text += "; " + format_seconds(forecast.evaluation_seconds) + " of it evaluation";
  return text + " (products run at " + format("%.2f", report.gemm_rate / 1e12) + " TFLOP/s here)";
}

std::string cost_text(const Cost& cost) {
  std::string text = format("%.4g", cost.total) + " at " + format("%g", cost.price_per_hour) + " an hour; " +
                     format("%.3g", cost.per_1000_tokens) + " per 1,000 tokens of the data";
  if (cost.per_1000_chinese_characters)
    text += ", " + format("%.3g", *cost.per_1000_chinese_characters) + " per 1,000 Chinese characters";
  return text;
}

Json json_of(const Cost& cost) {
  Json json = {{"price_per_hour", cost.price_per_hour},
               {"total", cost.total},
               {"per_1000_tokens", cost.per_1000_tokens}};
  if (cost.per_1000_chinese_characters)
    json["per_1000_chinese_characters"] = *cost.per_1000_chinese_characters;
  return json;
}

Json data_json(const Dataset& data) {
  const DataReport& rows = data.train_report;
  Json json = {{"examples", rows.examples},
               {"tokens", rows.tokens},
               {"target_tokens", rows.target_tokens},
               {"longest", rows.longest},
               {"held_out", data.eval_report.examples}};
  if (rows.chinese_characters > 0) json["chinese_characters"] = rows.chinese_characters;
  return json;
}

Json bytes_json(const MemoryBytes& memory) {
  Json json = Json::object();
  for (const Part& part : kParts) json[part.key] = memory.*part.bytes;
  return json;
}

}  // namespace

Cost cost_of(const JobPlan& planned, const DataReport& data, double seconds, double price_per_hour) {
  Cost cost{.price_per_hour = price_per_hour, .total = seconds / 3600.0 * price_per_hour};
  const double seen = std::min(1.0, planned.work.passes);
  const auto per_1000 = [&](std::int64_t count) {
    return 1000.0 * cost.total / (seen * static_cast<double>(count));
  };
  cost.per_1000_tokens = per_1000(data.tokens);
  if (data.chinese_characters > 0) cost.per_1000_chinese_characters = per_1000(data.chinese_characters);
  return cost;
}

Json plan_json(const Job& job, const JobPlan& planned, const PlanReport& report) {
  const Forecast& forecast = report.forecast;
  const BaseSizes& base = planned.shape.base;
  Json json = {
      {"base",
       {{"path", job.recipe.model.path},
        {"architecture", planned.shape.config.architecture},
        {"parameters", base.linears.values + base.embeddings.values}}},
      {"adapter", {{"modules", planned.adapter.modules.size()}, {"parameters", planned.adapter.parameters}}},
      {"data", data_json(job.data)},
      {"steps", planned.plan.total_steps},
      {"steps_per_epoch", planned.plan.steps_per_epoch},
      {"micro_steps", planned.work.micro_steps},
      {"tokens", planned.work.tokens},
      {"target_tokens", planned.work.target_tokens},
      {"micro_batch_tokens", planned.plan.micro_batch_tokens},
      {"activation_checkpointing", name_of(planned.plan.recompute)},
      {"activation_checkpointing_long", name_of(planned.plan.recompute_long)},
      {"bytes", bytes_json(forecast.memory)},
      {"peak_bytes", forecast.memory.total()},
      {"installed_bytes", report.installed_memory},
      {"flops", {{"training", forecast.training.total()}, {"evaluation", forecast.evaluation.total()}}},
      {"gemm_flops_per_second", report.gemm_rate},
      {"seconds",
       {{"training", forecast.training_seconds},
        {"evaluation", forecast.evaluation_seconds},
        {"total", forecast.seconds()}}},
      {"tokens_per_second", static_cast<double>(planned.work.tokens) / forecast.training_seconds}};
  if (report.cost) json["cost"] = json_of(*report.cost);
  return json;
}

std::string plan_text(const Job& job, const JobPlan& planned, const PlanReport& report) {
  std::string text = header_text(job, planned) + "\n";
  text += memory_lines(report.forecast.memory, report.installed_memory);
  text += "time     " + time_text(planned, report) + "\n";
  if (report.cost) text += "cost     " + cost_text(*report.cost) + "\n";
  return text;
}

}  // namespace graft
