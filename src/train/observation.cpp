#include "train/observation.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <ATen/record_function.h>
#include <c10/core/Allocator.h>

#include <algorithm>
#include <cassert>
#include <chrono>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace graft {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Where the callbacks find the recorder: the thread's debug info, as libtorch's own profiler has it. No
// global.
constexpr auto kPlace = c10::DebugInfoKind::PROFILER_STATE;

// Whose work a recorded stretch is.
struct Claim {
  Work work = Work::kRest;
  Phase phase = Phase::kForward;
  bool closed = false;  // what happens inside belongs to it too
};

bool is_closed(Work work) { return work != Work::kLora && work != Work::kRest; }

double bytes_of(std::span<const c10::IValue> values) {
  double bytes = 0;
  for (const c10::IValue& value : values)
    if (value.isTensor() && value.toTensor().defined())
      bytes += static_cast<double>(value.toTensor().nbytes());
  return bytes;
}

// The autograd nodes of ops, by the names of their Functions.
struct NodeName {
  std::string_view part;
  Work work;
};
constexpr NodeName kNodes[] = {{"LinearCrossEntropy", Work::kLoss}, {"LoraLinear", Work::kLora},
                               {"AccumulateGrad", Work::kLora},     {"Norm", Work::kNorm},
                               {"Rotary", Work::kRotary},           {"Swiglu", Work::kSwiglu},
                               {"Attention", Work::kAttention},     {"AddBackward", Work::kResidual}};

bool is_product(std::string_view name) {
  constexpr std::string_view kProducts[] = {"aten::linear", "aten::mm",     "aten::addmm",
                                            "aten::addmm_", "aten::matmul", "aten::bmm"};
  return std::find(std::begin(kProducts), std::end(kProducts), name) != std::end(kProducts);
}

// Multiply-adds of a product are rows x columns x depth, from the shapes of its two factors.
struct ProductSize {
  double flops = 0;
  std::int64_t least = 0;  // dimension
};

ProductSize size_of_product(std::string_view name, c10::ArrayRef<const c10::IValue> inputs) {
  const std::size_t first = name.starts_with("aten::addmm") ? 1 : 0;
  if (inputs.size() < first + 2 || !inputs[first].isTensor() || !inputs[first + 1].isTensor()) return {};
  const at::Tensor a = inputs[first].toTensor(), b = inputs[first + 1].toTensor();
  if (a.dim() < 2 || b.dim() < 2) return {};
  const std::int64_t depth = a.size(-1), columns = name == "aten::linear" ? b.size(0) : b.size(-1);
  const std::int64_t rows = a.numel() / std::max<std::int64_t>(1, depth);
  return {2.0 * static_cast<double>(rows) * static_cast<double>(columns) * static_cast<double>(depth),
          std::min({a.size(-2), columns, depth})};
}

}  // namespace

// What the callbacks write to.
class Observation::Recorder final : public c10::MemoryReportingInfoBase {
 public:
  explicit Recorder(std::int64_t least_feature) : least_feature_(least_feature) {}

  static std::unique_ptr<at::ObserverContext> on_enter(const at::RecordFunction& function) {
    here().enter(function);
    return nullptr;
  }
  static void on_leave(const at::RecordFunction& function, at::ObserverContext* /*context*/) {
    here().leave(function);
  }

  void start() { frames_.push_back({.start = Clock::now()}); }

  StepProfile finish() {
    assert(frames_.size() == 1);
    profile_.seconds = seconds_since(frames_.front().start);
    profile_.at(Work::kRest, Phase::kForward).seconds += profile_.seconds - frames_.front().inner;
    return std::move(profile_);
  }

  void reportMemoryUsage(void* /*block*/, std::int64_t bytes, std::size_t /*allocated*/,
                         std::size_t /*reserved*/, c10::Device /*device*/) override {
    tensor_bytes_ += bytes;
    profile_.peak_tensor_bytes = std::max(profile_.peak_tensor_bytes, tensor_bytes_);
  }
  bool memoryProfilingEnabled() const override { return true; }

 private:
  struct Frame {
    Claim claim = {};
    Clock::time_point start = {};
    double inner = 0;           // seconds of the frames inside
    double bytes = 0;           // of the operands
    bool counts_bytes = false;  // of operands and results
    std::string name = {};      // where the work is kRest
  };

  static Recorder& here() { return *static_cast<Recorder*>(c10::ThreadLocalDebugInfo::get(kPlace)); }

  void enter(const at::RecordFunction& function) {
    Frame frame{.claim = frames_.back().claim};
    if (!frame.claim.closed) claim(frame, function);
    add_size(frame.claim, function);
    frame.start = Clock::now();
    frames_.push_back(std::move(frame));
  }

  void leave(const at::RecordFunction& function) {
    const Frame frame = std::move(frames_.back());
    frames_.pop_back();
    const double seconds = seconds_since(frame.start);
    WorkTotals& totals = profile_.at(frame.claim.work, frame.claim.phase);
    totals.seconds += seconds - frame.inner;
    if (frame.counts_bytes) totals.bytes += frame.bytes + bytes_of(function.outputs());
    if (frame.claim.work == Work::kRest && !frame.name.empty())
      profile_.rest[frame.name] += {.seconds = seconds - frame.inner, .calls = 1};
    frames_.back().inner += seconds;
  }

  void claim(Frame& frame, const at::RecordFunction& function) {
    const std::string_view name = function.name();
    if (function.scope() == at::RecordScope::USER_SCOPE) {
      claim_scope(frame.claim, name);
    } else if (function.scope() == at::RecordScope::BACKWARD_FUNCTION) {
      claim_node(frame.claim, name);
    } else {
      claim_operation(frame, name, function.inputs());
    }
    if (frame.claim.work == Work::kRest) frame.name = name;
    if (frame.claim.work != frames_.back().claim.work)
      ++profile_.at(frame.claim.work, frame.claim.phase).calls;
  }

  static void take(Claim& claim, Work work) {
    claim.work = work;
    claim.closed = is_closed(work);
  }

  static void claim_scope(Claim& claim, std::string_view name) {
    if (name == kBackwardPass) claim.phase = Phase::kBackward;
    for (std::size_t i = 0; i < kWorkKinds; ++i)
      if (name == name_of(static_cast<Work>(i))) return take(claim, static_cast<Work>(i));
  }

  static void claim_node(Claim& claim, std::string_view name) {
    const bool repeats = name.find("Recompute") != std::string_view::npos;
    claim.phase = repeats ? Phase::kRecompute : Phase::kBackward;
    for (const NodeName& node : kNodes)
      if (name.find(node.part) != std::string_view::npos) return take(claim, node.work);
  }

  // An operation of ATen. Inside a LoRA scope sums are LoRA's; outside of all scopes they are the residual's.
  void claim_operation(Frame& frame, std::string_view name, c10::ArrayRef<const c10::IValue> inputs) {
    if (is_product(name)) {
      const ProductSize size = size_of_product(name, inputs);
      take(frame.claim, size.least < least_feature_ ? Work::kLora : Work::kBaseProduct);
      frame.claim.closed = true;
      profile_.at(frame.claim.work, frame.claim.phase).flops += size.flops;
    } else if (frame.claim.work == Work::kRest && (name == "aten::add" || name == "aten::add_")) {
      take(frame.claim, Work::kResidual);
    } else {
      return;
    }
    frame.counts_bytes = true;
    frame.bytes = bytes_of(inputs);
  }

  // The two numbers that a WorkScope carries.
  void add_size(const Claim& claim, const at::RecordFunction& function) {
    if (function.scope() != at::RecordScope::USER_SCOPE) return;
    const auto inputs = function.inputs();
    if (inputs.size() != 2 || !inputs[0].isDouble() || !inputs[1].isDouble()) return;
    WorkTotals& totals = profile_.at(claim.work, claim.phase);
    totals.flops += inputs[0].toDouble();
    totals.bytes += inputs[1].toDouble();
  }

  std::int64_t least_feature_;
  std::vector<Frame> frames_;  // the last is the innermost; the first is the whole stretch
  StepProfile profile_;
  std::int64_t tensor_bytes_ = 0;
};

Observation::Observation(std::int64_t least_feature)
    : recorder_(std::make_shared<Recorder>(least_feature)),
      guard_(kPlace, recorder_),
      callback_(at::addThreadLocalCallback(
          at::RecordFunctionCallback(&Recorder::on_enter, &Recorder::on_leave)
              .needsInputs(true)
              .needsOutputs(true)
              .scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION,
                       at::RecordScope::USER_SCOPE}))) {
  recorder_->start();
}

Observation::~Observation() { at::removeCallback(callback_); }

StepProfile Observation::finish() { return recorder_->finish(); }

WorkTotals& WorkTotals::operator+=(const WorkTotals& other) {
  seconds += other.seconds;
  flops += other.flops;
  bytes += other.bytes;
  calls += other.calls;
  return *this;
}

WorkTotals& StepProfile::at(Work kind, Phase phase) {
  return work[static_cast<std::size_t>(kind)][static_cast<std::size_t>(phase)];
}

const WorkTotals& StepProfile::at(Work kind, Phase phase) const {
  return work[static_cast<std::size_t>(kind)][static_cast<std::size_t>(phase)];
}

WorkTotals StepProfile::of(Work kind) const {
  WorkTotals sum;
  for (const WorkTotals& totals : work[static_cast<std::size_t>(kind)]) sum += totals;
  return sum;
}

StepProfile& StepProfile::operator+=(const StepProfile& other) {
  for (std::size_t kind = 0; kind < kWorkKinds; ++kind)
    for (std::size_t phase = 0; phase < kPhases; ++phase) work[kind][phase] += other.work[kind][phase];
  for (const auto& [name, totals] : other.rest) rest[name] += totals;
  seconds += other.seconds;
  peak_tensor_bytes = std::max(peak_tensor_bytes, other.peak_tensor_bytes);
  return *this;
}

}  // namespace graft
