#pragma once

#include <set>
#include <string>
#include <vector>

#include "adapters/combine.h"
#include "peft/identity_record.h"

namespace graft {

/// What the config of a combination is to say.
struct CombinedTargets {
  std::vector<std::string> modules;     ///< adapted ones, by path
  std::vector<std::string> parameters;  ///< adapted by target_parameters: paths
  std::set<std::string> doubled;        ///< of these: two linears in one, so twice the rank
  bool tied = false;                    ///< the head's factors are the embedding's
};

/// The first adapter's config with one rank, scale 1 and the targets of all of them.
Json combined_config(const std::vector<WeightedAdapter>& adapters, const CombinedTargets& targets,
                     std::int64_t rank);

/// Names where each adapter has names alone, one expression where each has one, as PEFT joins them; null
/// where they cannot be joined. `key`: target_modules, feedforward_modules.
Json joined_names(const std::vector<WeightedAdapter>& adapters, const char* key);

/// Metadata that holds for all of them. Error: trained on different bases, unless `any_base`.
AdapterMetadata combined_identity(const std::vector<WeightedAdapter>& adapters, bool any_base);

}  // namespace graft
