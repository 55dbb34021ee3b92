#include "peft/adapter_names.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "peft/adapter_key.h"

namespace graft {
namespace {

constexpr std::string_view kPrefix = kAdapterKeyPrefix;
constexpr std::string_view kSharedPrefix = "base_model.";

// What tensors that graft has no place for mean in PEFT's files.
struct Meaning {
  std::string_view part, meaning;
};
constexpr std::array kMeanings = {
    Meaning{"lora_magnitude_vector", "DoRA's magnitudes, but use_dora is off or does not target this module"},
    Meaning{"lora_embedding_", "an adapter of an embedding that target_modules does not name"},
    Meaning{"trainable_tokens_delta", "trained tokens, but trainable_token_indices names none"},
    Meaning{"lora_B.bias", "a bias on B, but lora_bias of the config is off or the module is not targeted"},
    Meaning{".bias", "a trained bias, but the config's bias does not say so"},
    Meaning{"vera_", "a tensor of VeRA, which the config does not name"},
    Meaning{"ia3_l", "a vector of IA3, which the config does not name"},
};

std::string reason_unexpected(const std::string& name, const std::string& targets) {
  for (const Meaning& entry : kMeanings)
    if (name.find(entry.part) != std::string::npos) return std::string(entry.meaning);
  if (name.find(".lora_A.") != std::string::npos || name.find(".lora_B.") != std::string::npos)
    return targets + " of the config and the base's linears do not name this module";
  return "a weight trained whole that modules_to_save of the config does not name";
}

Hint near_hint(const std::string& key, const std::vector<std::string>& names, const char* lead) {
  const auto near = nearest(key, names);
  return Hint{near ? lead + printable(*near) : std::string()};
}

}  // namespace

std::string file_key(const std::string& name) {
  const bool shared = name.find('.') == std::string::npos;
  return std::string(shared ? kSharedPrefix : kPrefix) + name;
}

NamedTensors name_tensors(const std::vector<TensorView>& tensors, const std::string& where) {
  NamedTensors named;
  std::optional<std::string> wrapper;
  for (const TensorView& tensor : tensors) {
    const std::string key = without_adapter_name(tensor.name);
    const std::string_view prefix = key.starts_with(kPrefix) ? kPrefix : kSharedPrefix;
    const bool known = key.starts_with(kPrefix) || key == "base_model.vera_A" || key == "base_model.vera_B";
    check(known, where, ": ", printable(tensor.name), ": unexpected tensor: PEFT's keys start with ", kPrefix,
          Hint{"it may be of another tool, or keys were renamed"});
    const UnwrappedPath own = unwrapped_path(key.substr(prefix.size()));
    if (own.wrapper && !wrapper) wrapper = own.wrapper;
    const bool same = !own.wrapper || *own.wrapper == *wrapper;
    check(same, where, ": ", printable(tensor.name), ": under ", same ? "" : printable(*own.wrapper),
          ", but other modules of the file are under ", printable(wrapper.value_or("")),
          Hint{"one of them is not of this base"});
    const AdapterKey parts = parse_adapter_key(own.path);
    if (parts.part == AdapterPart::kTraining) continue;
    const bool copy = parts.part == AdapterPart::kBaseWeight;
    auto& to = copy ? named.base_copies : named.tensors;
    const bool fresh = to.emplace(copy ? parts.module : own.path, &tensor).second;
    check(fresh, where, ": ", printable(tensor.name),
          ": twice in the file, with and without the adapter's name");
  }
  if (wrapper) named.wrapper = *wrapper;
  return named;
}

void check_names(const std::string& where, const NamedTensors& found, const std::vector<TensorSpec>& expected,
                 const std::string& targets) {
  std::set<std::string> wanted;
  std::vector<std::string> expected_keys, present, unexpected, missing;
  for (const TensorSpec& spec : expected) {
    wanted.insert(spec.name);
    expected_keys.push_back(file_key(spec.name));
    if (!found.tensors.contains(spec.name)) missing.push_back(file_key(spec.name));
  }
  for (const auto& [name, tensor] : found.tensors) {
    present.push_back(tensor->name);
    if (!wanted.contains(name)) unexpected.push_back(name);
  }
  if (!unexpected.empty()) {
    const TensorView& tensor = *found.tensors.at(unexpected.front());
    fail(where, ": ", printable(tensor.name), ": unexpected tensor (", unexpected.size(),
         " such): ", reason_unexpected(unexpected.front(), targets),
         near_hint(file_key(unexpected.front()), expected_keys, "the nearest expected name is "));
  }
  if (missing.empty()) return;
  fail(where, ": ", missing.front(), ": missing tensor (", missing.size(),
       " such), though adapter_config.json targets its module",
       near_hint(missing.front(), present, "the nearest name in the file is "));
}

}  // namespace graft
