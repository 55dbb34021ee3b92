#include <cmath>

#include "base/machine.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/plan_report.h"
#include "cli/recipe_arguments.h"
#include "train/gemm_probe.h"

namespace graft {
namespace {

// The rate of the base's products at the shapes of the run's mean micro-step: a second of measuring.
double probed_rate(const JobPlan& planned) {
  const PackSize pack = mean_pack(planned.work);
  const at::ScalarType type = planned.shape.dtype == ComputeDType::kBF16 ? at::kBFloat16 : at::kFloat;
  return probe_gemm(base_products(planned.shape.config, pack.tokens, pack.targets), type);
}

}  // namespace

ExitCode run_plan(const std::vector<std::string>& words) {
  RecipeArguments given;
  double price_per_hour = 0.0;
  Arguments parser({.verb = "plan",
                    .synopsis = "RECIPE [key=value…] [--price-per-hour P] [--json]",
                    .about = "Says what training a recipe will take on this machine: memory by part, steps "
                             "and tokens, time (from "
                             "a second of matrix products), cost. The rows are read; of the base only the "
                             "headers of its files.",
                    .example = "graft plan recipes/cooking.yaml --price-per-hour 0.5"});
  parser.option("price-per-hour", "P", price_per_hour, "what an hour of this machine costs, in any currency");
  given.declare(parser, "one JSON document instead of lines");
  if (!parser.parse(words)) return ExitCode::kDone;
  check(price_per_hour >= 0, ExitCode::kUsage, "--price-per-hour: below 0 (got ", price_per_hour, ")");

  const Job job = load_job(given.load());
  const JobPlan planned = plan_job(job, job.recipe.train);
  PlanReport report{.gemm_rate = probed_rate(planned), .installed_memory = installed_memory_bytes()};
  report.forecast = forecast_job(job, planned, report.gemm_rate);
  if (price_per_hour > 0)
    report.cost = cost_of(planned, job.data.train_report, report.forecast.seconds(), price_per_hour);
  if (given.json) {
    print_json(plan_json(job, planned, report));
  } else {
    print(plan_text(job, planned, report));
  }
  return ExitCode::kDone;
}

}  // namespace graft
