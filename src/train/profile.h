#pragma once

#include <string>

#include "base/json.h"
#include "data/example.h"
#include "model/config.h"
#include "model/options.h"
#include "train/flops.h"
#include "train/observation.h"

namespace graft {

/// Where a run's time went: the observations of its steps. The first step, which meets every shape for the
/// first time, counts only while it is the only one.
class Profile {
 public:
  /// adapter_parameters: numbers that train and that a token passes.
  Profile(const ModelConfig& config, ComputeDType dtype, std::int64_t adapter_parameters);

  /// Starts to observe the calling thread's next step.
  std::unique_ptr<Observation> observe() const;
  void add(const StepProfile& profile, const Step& step);

  /// Measures the machine's rate at the steps' own shapes (about a second and a half). For the end of a run.
  void probe();

  /// The table that a reader gets, several lines; a line that says so where no step was added.
  std::string table() const;
  /// The same as data. Seconds, bytes, FLOPs and FLOP/s; a share is of the wall time, or of the probed rate.
  Json json() const;

 private:
  Json json_of(Work work) const;
  std::string row_of(Work work) const;
  /// FLOPs that the steps needed over wall time.
  double step_rate() const;

  ModelConfig config_;
  ComputeDType dtype_;
  std::int64_t adapter_parameters_;
  StepProfile totals_;
  StepCounts counts_;
  std::int64_t steps_ = 0, micro_steps_ = 0;
  bool only_first_ = false;  // totals_ hold the first step alone
  double first_seconds_ = 0, step_shapes_rate_ = 0, large_rate_ = 0;
};

}  // namespace graft
