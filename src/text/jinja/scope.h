#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/value.h"

namespace graft {

/// The variables that a block of a template has set; what it has not is looked for outside of it.
struct JinjaScope {
  explicit JinjaScope(std::shared_ptr<JinjaScope> outer) : parent(std::move(outer)) {}

  const JinjaValue* find_here(std::string_view name) const {
    const auto found =
        std::ranges::find_if(variables, [&](const auto& entry) { return entry.first == name; });
    return found == variables.end() ? nullptr : &found->second;
  }
  const JinjaValue* find(std::string_view name) const {
    for (const JinjaScope* scope = this; scope != nullptr; scope = scope->parent.get())
      if (const JinjaValue* found = scope->find_here(name)) return found;
    return nullptr;
  }
  void set(const std::string& name, JinjaValue value) {
    for (auto& [known, old] : variables)
      if (known == name) return void(old = std::move(value));
    variables.emplace_back(name, std::move(value));
  }

  std::shared_ptr<JinjaScope> parent;
  std::vector<std::pair<std::string, JinjaValue>> variables;
};

}  // namespace graft
