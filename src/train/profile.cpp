#include "train/profile.h"

#include <algorithm>
#include <vector>

#include "base/format.h"
#include "base/machine.h"
#include "base/text.h"
#include "train/gemm_probe.h"

namespace graft {
namespace {

constexpr std::size_t kRestNamed = 12;

struct WorkTitle {
  const char *key, *title;
};
WorkTitle title_of(Work work) {
  static constexpr WorkTitle kTitles[kWorkKinds] = {{"base_products", "products of the base"},
                                                    {"lora", "LoRA"},
                                                    {"attention", "attention"},
                                                    {"norms", "norms"},
                                                    {"rotary", "rotary"},
                                                    {"swiglu", "SwiGLU"},
                                                    {"residual", "residual"},
                                                    {"loss", "head and loss"},
                                                    {"optimizer", "optimizer"},
                                                    {"rest", "the rest"}};
  return kTitles[static_cast<std::size_t>(work)];
}

std::string tera(double rate) { return rate > 0 ? format("%.3f", rate / 1e12) : ""; }

std::string size_text(double bytes) {
  return bytes > 0 ? format_bytes(static_cast<std::uint64_t>(bytes)) : "";
}

double ratio(double part, double whole) { return whole > 0 ? part / whole : 0.0; }

Json json_of(const WorkTotals& totals) {
  return {
      {"seconds", totals.seconds}, {"calls", totals.calls}, {"bytes", totals.bytes}, {"flops", totals.flops}};
}

StepCounts counts_of(const Step& step) {
  StepCounts counts{.tokens = static_cast<double>(step.tokens),
                    .target_tokens = static_cast<double>(step.target_tokens)};
  for (const Pack& pack : step.packs) {
    for (std::size_t n = 0; n + 1 < pack.starts.size(); ++n) {
      const auto length = static_cast<double>(pack.starts[n + 1] - pack.starts[n]);
      counts.squared_lengths += length * length;
    }
  }
  return counts;
}

}  // namespace

Profile::Profile(const ModelConfig& config, ComputeDType dtype, std::int64_t adapter_parameters)
    : config_(config), dtype_(dtype), adapter_parameters_(adapter_parameters) {}

std::unique_ptr<Observation> Profile::observe() const {
  std::int64_t least = std::min(
      {config_.hidden_size, config_.intermediate_size, config_.num_key_value_heads * config_.head_dim});
  if (config_.experts.count > 0) least = std::min({least, config_.experts.width, config_.experts.count});
  return std::make_unique<Observation>(least);
}

void Profile::add(const StepProfile& profile, const Step& step) {
  if (steps_ == 0) first_seconds_ = profile.seconds;
  if (steps_ == 0 || only_first_) {
    only_first_ = steps_ == 0;
    totals_ = {};
    counts_ = {};
    steps_ = micro_steps_ = 0;
  }
  totals_ += profile;
  counts_ += counts_of(step);
  micro_steps_ += std::ssize(step.packs);
  ++steps_;
}

void Profile::probe() {
  if (steps_ == 0) return;
  // token_losses rounds heights up likewise.
  const auto height = [&](double count, std::int64_t unit) {
    const auto mean = static_cast<std::int64_t>(count / static_cast<double>(micro_steps_));
    return (mean + unit - 1) / unit * unit;
  };
  const at::ScalarType type = dtype_ == ComputeDType::kBF16 ? at::kBFloat16 : at::kFloat;
  const auto shapes = base_products(config_, height(counts_.tokens, 64), height(counts_.target_tokens, 32));
  step_shapes_rate_ = probe_gemm(shapes, type, 1.0);
  large_rate_ = probe_gemm({kLargeProduct}, type, 0.3);
}

double Profile::step_rate() const {
  return ratio(step_flops(config_, adapter_parameters_, counts_).total(), totals_.seconds);
}

std::string Profile::row_of(Work work) const {
  const WorkTotals sum = totals_.of(work);
  const auto seconds = [&](Phase phase) { return totals_.at(work, phase).seconds; };
  return format("%-22s%9.3f%10.3f%11.3f%8.1f %%%9lld%11s%8s\n", title_of(work).title,
                seconds(Phase::kForward), seconds(Phase::kBackward), seconds(Phase::kRecompute),
                100 * ratio(sum.seconds, totals_.seconds), static_cast<long long>(sum.calls),
                size_text(sum.bytes).c_str(), tera(ratio(sum.flops, sum.seconds)).c_str());
}

std::string Profile::table() const {
  if (steps_ == 0) return "profile: no step was taken";
  std::string text = "profile of " + counted(steps_, "step") + " (" + counted(micro_steps_, "micro-step") +
                     "), " + counted(static_cast<std::int64_t>(counts_.tokens), "token") + ", " +
                     format_count(static_cast<std::int64_t>(counts_.target_tokens)) + " of them learned" +
                     (only_first_ ? "" : "; the first step is not in it") + "\n";
  text += format("%-22s%9s%10s%11s%10s%9s%11s%8s\n", "", "forward s", "backward", "recompute", "share",
                 "calls", "bytes", "TF/s");
  for (std::size_t i = 0; i < kWorkKinds; ++i) text += row_of(static_cast<Work>(i));
  text += format("%-22s%9.3f s, %.1f tokens/s, %s TF/s needed", "wall", totals_.seconds,
                 ratio(counts_.tokens, totals_.seconds), tera(step_rate()).c_str());
  if (step_shapes_rate_ > 0)
    text += format(": %.1f %% of the GEMM rate\nGEMM rate %s TF/s at the steps' shapes, %s at 2048x2048x8192",
                   100 * step_rate() / step_shapes_rate_, tera(step_shapes_rate_).c_str(),
                   tera(large_rate_).c_str());
  text += "\npeak " + format_bytes(peak_rss_bytes()) + " resident; a step's own tensors " +
          format_bytes(static_cast<std::uint64_t>(totals_.peak_tensor_bytes));
  return text;
}

Json Profile::json_of(Work work) const {
  const WorkTotals sum = totals_.of(work);
  const auto phase = [&](Phase p) { return graft::json_of(totals_.at(work, p)); };
  const double rate = ratio(sum.flops, sum.seconds);
  return {{"name", title_of(work).key},
          {"seconds", sum.seconds},
          {"share", ratio(sum.seconds, totals_.seconds)},
          {"calls", sum.calls},
          {"bytes", sum.bytes},
          {"flops", sum.flops},
          {"flops_per_second", rate},
          {"share_of_gemm", ratio(rate, step_shapes_rate_)},
          {"forward", phase(Phase::kForward)},
          {"backward", phase(Phase::kBackward)},
          {"recompute", phase(Phase::kRecompute)}};
}

Json Profile::json() const {
  const StepFlops flops = step_flops(config_, adapter_parameters_, counts_);
  Json work = Json::array(), rest = Json::array();
  for (std::size_t i = 0; i < kWorkKinds; ++i) work.push_back(json_of(static_cast<Work>(i)));
  std::vector<std::pair<std::string, WorkTotals>> named(totals_.rest.begin(), totals_.rest.end());
  std::sort(named.begin(), named.end(),
            [](const auto& a, const auto& b) { return a.second.seconds > b.second.seconds; });
  if (named.size() > kRestNamed) named.resize(kRestNamed);
  for (const auto& [name, totals] : named)
    rest.push_back({{"name", name}, {"seconds", totals.seconds}, {"calls", totals.calls}});
  return {{"steps", steps_},
          {"micro_steps", micro_steps_},
          {"tokens", static_cast<std::int64_t>(counts_.tokens)},
          {"target_tokens", static_cast<std::int64_t>(counts_.target_tokens)},
          {"seconds", totals_.seconds},
          {"first_step_seconds", first_seconds_},
          {"tokens_per_second", ratio(counts_.tokens, totals_.seconds)},
          {"flops_needed",
           {{"base", flops.base},
            {"lora", flops.lora},
            {"attention", flops.attention},
            {"head", flops.head},
            {"total", flops.total()}}},
          {"flops_per_second", step_rate()},
          {"gemm", {{"step_shapes", step_shapes_rate_}, {"large", large_rate_}}},
          {"share_of_gemm", ratio(step_rate(), step_shapes_rate_)},
          {"peak_rss_bytes", peak_rss_bytes()},
          {"peak_tensor_bytes", totals_.peak_tensor_bytes},
          {"work", work},
          {"rest", rest}};
}

}  // namespace graft
