#include "train/metrics.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/format.h"
#include "base/text.h"

namespace graft {
namespace {

constexpr std::uint64_t kMaxMetricsBytes = std::uint64_t{1} << 30;

std::string step_of_total(std::int64_t step, std::int64_t total) {
  const auto width = static_cast<int>(std::to_string(total).size());
  return format("step %*lld/%lld", width, static_cast<long long>(step), static_cast<long long>(total));
}

// The step that a line of metrics.jsonl is about, or -1 where the line is torn.
std::int64_t step_of_line(const std::string& line) {
  try {
    const Json json = parse_json(line, "metrics.jsonl");
    return JsonView(json, "metrics.jsonl").at("step").as_int(0);
  } catch (const Error&) {
    return -1;
  }
}

}  // namespace

std::string metrics_line(const StepMetrics& m) {
  const Json json = {{"step", m.step},
                     {"epoch", m.epoch},
                     {"loss", m.loss},
                     {"lr", m.lr},
                     {"grad_norm", m.grad_norm},
                     {"tokens", m.tokens},
                     {"target_tokens", m.target_tokens},
                     {"tokens_per_second", static_cast<double>(m.tokens) / std::max(m.step_seconds, 1e-9)},
                     {"seconds", m.seconds},
                     {"rss_bytes", m.rss_bytes}};
  return to_text(json) + "\n";
}

std::string metrics_line(const Evaluation& evaluation) {
  return to_text({{"step", evaluation.step},
                  {"eval_loss", evaluation.loss},
                  {"eval_tokens", evaluation.tokens}}) +
         "\n";
}

std::string console_line(const StepMetrics& m, std::int64_t total_steps, double seconds_left) {
  const double rate = static_cast<double>(m.tokens) / std::max(m.step_seconds, 1e-9);
  const double percent = 100.0 * static_cast<double>(m.step) / static_cast<double>(total_steps);
  return step_of_total(m.step, total_steps) +
         format("  %5.1f%%  loss %.4f  lr %.1e  norm %.2f  %5.0f tok/s  ", percent, m.loss, m.lr, m.grad_norm,
                rate) +
         format_bytes(m.rss_bytes) + "  left " + format_seconds(seconds_left);
}

std::string console_line(const Evaluation& evaluation, std::int64_t total_steps, bool best) {
  return step_of_total(evaluation.step, total_steps) +
         format("  eval loss %.4f  perplexity %.2f", evaluation.loss, std::exp(evaluation.loss)) +
         (best ? "  (best)" : "");
}

void cut_metrics(const Path& path, std::int64_t step) {
  if (!std::filesystem::exists(path)) return;
  std::string kept;
  for (const std::string& line : split(read_file(path, kMaxMetricsBytes), '\n')) {
    if (line.empty()) continue;
    const std::int64_t line_step = step_of_line(line);
    if (line_step >= 0 && line_step <= step) kept += line + "\n";
  }
  write_file(path, kept);
}

}  // namespace graft
