#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "cli/job.h"

namespace graft {

/// What a run costs where the machine costs so much an hour, in the same currency.
struct Cost {
  double price_per_hour = 0.0;
  double total = 0.0;
  double per_1000_tokens = 0.0;  ///< of the data that the run sees, for all passes over it together
  std::optional<double> per_1000_chinese_characters = {};  ///< the same; empty where the data has none
};
Cost cost_of(const JobPlan& planned, const DataReport& data, double seconds, double price_per_hour);

/// What `graft plan` answers beside the header of a run.
struct PlanReport {
  Forecast forecast = {};
  double gemm_rate = 0.0;              ///< FLOP/s as probed
  std::uint64_t installed_memory = 0;  ///< bytes; 0: unknown
  std::optional<Cost> cost = {};
};

Json plan_json(const Job& job, const JobPlan& planned, const PlanReport& report);
/// Lines for a reader, from the header on; ends with a newline.
std::string plan_text(const Job& job, const JobPlan& planned, const PlanReport& report);

}  // namespace graft
