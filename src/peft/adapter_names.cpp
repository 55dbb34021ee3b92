#include "peft/adapter_names.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/text.h"

namespace graft {
namespace {

constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kSharedPrefix = "base_model.";
constexpr std::string_view kModel = "model.";

// What stands for "model." where a language model is part of another one, the longest first.
constexpr std::array<std::string_view, 6> kWrappers = {
    "model.language_model.model.", "model.language_model.", "language_model.model.",
    "model.text_model.",           "language_model.",       "model.model."};
// What begins behind it.
constexpr std::array<std::string_view, 3> kParts = {"layers.", "embed_tokens.", "norm."};

bool begins_part(std::string_view rest) {
  return std::any_of(kParts.begin(), kParts.end(),
                     [&](std::string_view part) { return rest.starts_with(part); });
}

void drop_part(std::string& key, std::string_view part) {
  if (const std::size_t at = key.find(part); at != std::string::npos) key.erase(at, part.size() - 1);
}

// PEFT puts the adapter's name into keys on loading ("lora_A.default.weight"); files that kept it load there
// too, and so do those that kept the wrapper of a module trained whole.
std::string without_adapter_name(std::string key) {
  drop_part(key, ".modules_to_save.");
  if (key.ends_with(".default")) key.resize(key.size() - std::string_view(".default").size());
  const std::size_t dot = key.rfind('.');
  constexpr std::string_view kName = ".default";
  if (dot != std::string::npos && key.substr(0, dot).ends_with(kName))
    key.erase(dot - kName.size(), kName.size());
  constexpr std::string_view kMagnitude = ".lora_magnitude_vector.weight";
  if (key.ends_with(kMagnitude)) key.resize(key.size() - std::string_view(".weight").size());
  return key;
}

struct Unwrapped {
  std::string name;
  std::optional<std::string> wrapper;  // where the name shows one
};

Unwrapped unwrap(const std::string& name) {
  for (const std::string_view wrapper : kWrappers)
    if (name.starts_with(wrapper) && begins_part(std::string_view(name).substr(wrapper.size())))
      return {std::string(kModel) + name.substr(wrapper.size()), std::string(wrapper)};
  constexpr std::string_view kHead = "lm_head.";
  for (const std::string_view outer : {"language_model.", "model."})
    if (name.starts_with(outer) && std::string_view(name).substr(outer.size()).starts_with(kHead))
      return {name.substr(outer.size()), std::nullopt};
  if (name.starts_with(kModel) && begins_part(std::string_view(name).substr(kModel.size())))
    return {name, std::string(kModel)};
  return {name, std::nullopt};
}

// The module of a copy of the base's weight, which PEFT adds where an embedding or head has an adapter.
std::optional<std::string> base_copy(const std::string& name) {
  for (const std::string_view end : {".base_layer.weight", ".original_module.weight"})
    if (name.ends_with(end)) return name.substr(0, name.size() - end.size());
  return std::nullopt;
}

// What tensors that graft has no place for mean in PEFT's files.
struct Meaning {
  std::string_view part, meaning;
};
constexpr std::array kMeanings = {
    Meaning{"lora_magnitude_vector", "DoRA's magnitudes, but use_dora is off or does not target this module"},
    Meaning{"lora_embedding_", "an adapter of an embedding that target_modules does not name"},
    Meaning{"trainable_tokens_delta", "trained tokens, but trainable_token_indices names none"},
    Meaning{"lora_B.bias", "a bias on B is not supported yet"},
    Meaning{".bias", "a trained bias, but the config's bias does not say so"},
    Meaning{"vera_", "a tensor of VeRA, which the config does not name"},
    Meaning{"ia3_l", "a vector of IA3, which the config does not name"},
};

std::string reason_unexpected(const std::string& name) {
  for (const Meaning& entry : kMeanings)
    if (name.find(entry.part) != std::string::npos) return std::string(entry.meaning);
  if (name.find(".lora_A.") != std::string::npos || name.find(".lora_B.") != std::string::npos)
    return "target_modules of the config and the base's linears do not name this module";
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
    Unwrapped own = unwrap(key.substr(prefix.size()));
    if (own.wrapper && !wrapper) wrapper = own.wrapper;
    const bool same = !own.wrapper || *own.wrapper == *wrapper;
    check(same, where, ": ", printable(tensor.name), ": under ", same ? "" : printable(*own.wrapper),
          ", but other modules of the file are under ", printable(wrapper.value_or("")),
          Hint{"one of them is not of this base"});
    const auto copy = base_copy(own.name);
    auto& to = copy ? named.base_copies : named.tensors;
    const bool fresh = to.emplace(copy ? *copy : own.name, &tensor).second;
    check(fresh, where, ": ", printable(tensor.name),
          ": twice in the file, with and without the adapter's name");
  }
  if (wrapper) named.wrapper = *wrapper;
  return named;
}

void check_names(const std::string& where, const NamedTensors& found,
                 const std::vector<TensorSpec>& expected) {
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
         " such): ", reason_unexpected(unexpected.front()),
         near_hint(file_key(unexpected.front()), expected_keys, "the nearest expected name is "));
  }
  if (missing.empty()) return;
  fail(where, ": ", missing.front(), ": missing tensor (", missing.size(),
       " such), though adapter_config.json targets its module",
       near_hint(missing.front(), present, "the nearest name in the file is "));
}

}  // namespace graft
