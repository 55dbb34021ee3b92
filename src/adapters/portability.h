#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "adapters/facts.h"

namespace graft {

/// Programs that load PEFT adapter folders.
enum class Loader { kPeft, kVllm, kLlamaCpp };
inline constexpr Loader kLoaders[] = {Loader::kPeft, Loader::kVllm, Loader::kLlamaCpp};

/// "peft", "vllm", "llama.cpp".
std::string_view name_of(Loader loader);
/// Error (kUsage): no such loader.
Loader find_loader(const std::string& name);

/// How a loader takes an adapter, from best to worst.
enum class Fit {
  kLoads,    ///< and computes what was trained
  kDepends,  ///< on the base or on how the loader is started
  kDiffers,  ///< loads without a word and computes something else
  kRefused,
};
/// "loads", "depends", "differs", "refused".
std::string_view name_of(Fit fit);

/// One thing that a loader does not take as it is.
struct Finding {
  std::string rule;  ///< short name, stable: "rank", "dora"
  Fit fit = Fit::kLoads;
  std::string found;  ///< in the adapter
  std::string does;   ///< what the loader does with it
  std::string fix;    ///< what to do about it, a command line where there is one
};

/// Limits that a loader is started with.
struct LoaderLimits {
  std::int64_t max_lora_rank = 16;  ///< vLLM's --max-lora-rank
};

/// What stands between an adapter and a loader, by the tables in portability.cpp: the one home of what
/// loaders accept. `adapter` stands in the commands of fixes. Sources: PEFT 0.21 (set_peft_model_state_dict);
/// vLLM's peft_helper.py, lora_model.py and utils.py; llama.cpp's convert_lora_to_gguf.py and
/// llama-adapter.cpp.
std::vector<Finding> judge(const AdapterFacts& facts, Loader loader, const LoaderLimits& limits,
                           const std::string& adapter);

/// The worst of the findings.
Fit fit_of(const std::vector<Finding>& findings);

}  // namespace graft
