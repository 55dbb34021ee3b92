#pragma once

#include <string>

#include "base/json.h"
#include "cli/job.h"
#include "train/run_folder.h"
#include "train/trainer.h"

namespace graft {

/// What will be done, said before the first step: base, data (with everything dropped), adapter, plan,
/// memory. Several lines, without the last line's end.
std::string header_text(const Job& job, const JobPlan& planned);

/// What came of it: held-out loss before and after, what was written, the command that tries it. Ends with a
/// newline.
std::string result_text(const TrainingResult& result, const RunFolder& folder, const Recipe& recipe);

/// The same as one document: "outcome", "output_dir", "adapter", "result" as in run.json, "profile" (null
/// without one).
Json result_document(const TrainingResult& result, const RunFolder& folder, const Json& profile);

}  // namespace graft
