#pragma once

#include <c10/util/ThreadLocalDebugInfo.h>

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "ops/work_scope.h"

namespace graft {

/// When in a step the work is done.
enum class Phase : std::uint8_t {
  kForward,
  kBackward,
  kRecompute,  ///< the forward repeated inside the backward, for activation checkpointing
};
inline constexpr std::size_t kPhases = 3;

struct WorkTotals {
  double seconds = 0;  ///< of the thread that steps; work that it does inside other work is that one's
  double flops = 0, bytes = 0;
  std::int64_t calls = 0;  ///< stretches of this work inside other work

  WorkTotals& operator+=(const WorkTotals& other);
};

/// Where the time of one stretch went. The seconds of all kinds and phases, kRest included, add up to
/// `seconds`.
struct StepProfile {
  std::array<std::array<WorkTotals, kPhases>, kWorkKinds> work{};
  std::map<std::string, WorkTotals, std::less<>> rest;  ///< parts of kRest that have names: libtorch's own
  double seconds = 0;                                   ///< wall time
  /// Most bytes of tensors at a time, above those at its start; tensors below 64 kB are not counted.
  std::int64_t peak_tensor_bytes = 0;

  WorkTotals& at(Work kind, Phase phase);
  const WorkTotals& at(Work kind, Phase phase) const;
  WorkTotals of(Work kind) const;  ///< all phases
  StepProfile& operator+=(const StepProfile& other);
};

/// Observes the calling thread from its construction to finish(), through libtorch's RecordFunction:
/// WorkScopes, autograd nodes by the name of their Function, and ATen's products and sums. Nothing outside a
/// living Observation is slowed down, and what it observes computes the same bits.
class Observation {
 public:
  /// A product of ATen outside any WorkScope is LoRA's where one of its dimensions is below `least_feature`
  /// (the smallest side of a frozen linear), else the base's.
  explicit Observation(std::int64_t least_feature);
  Observation(const Observation&) = delete;
  Observation& operator=(const Observation&) = delete;
  ~Observation();

  /// Ends it. To be called once, on the same thread, with every scope left.
  StepProfile finish();

 private:
  class Recorder;
  std::shared_ptr<Recorder> recorder_;
  c10::DebugInfoGuard guard_;
  std::uint64_t callback_;  // libtorch's handle
};

}  // namespace graft
