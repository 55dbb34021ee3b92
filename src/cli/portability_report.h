#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "adapters/portability.h"

namespace graft {

/// What one loader makes of an adapter.
struct Verdict {
  Loader loader = Loader::kPeft;
  std::vector<Finding> findings;
};

/// The verdicts of the loaders that `names` lists with commas, of all where it is empty. `adapter` stands in
/// fixes. Error (kUsage): no such loader.
std::vector<Verdict> verdicts_of(const AdapterFacts& facts, const std::string& names,
                                 const LoaderLimits& limits, const std::string& adapter);

/// A line per loader and three per finding.
std::string verdicts_text(const std::vector<Verdict>& verdicts);
/// {"vllm": {"verdict": "refused", "findings": [{"rule", "fit", "found", "does", "fix"}]}, …}
Json verdicts_json(const std::vector<Verdict>& verdicts);

/// True where no loader refuses the adapter or computes something else.
bool is_portable(const std::vector<Verdict>& verdicts);

}  // namespace graft
