#pragma once

#include <string>

#include "base/error.h"
#include "cli/adapter_arguments.h"

namespace graft {

/// What `score --golden` was asked.
struct GoldenRequest {
  Path file, model;
  AdapterArgument adapter;  ///< or the model alone, into which one was merged
  std::string dtype;        ///< bf16, fp32, or empty: as recorded
  OtherBase other = OtherBase::kRefuse;
};

/// Runs the prompts of a golden file again, prints a JSON line for each and one for all. Errors: kNumerics
/// where the predictions are further from the recorded ones than their types explain, or nearer to those of
/// the base alone; a malformed file, another base.
ExitCode replay_golden(const GoldenRequest& request);

}  // namespace graft
