#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "peft/module_scale.h"
#include "peft/options.h"

namespace graft {

/// Modules by their paths, each with its rank and scale, and the options that say just that.
class ResolvedTargets {
 public:
  explicit ResolvedTargets(std::int64_t layers) : layers_(layers) {}
  void add(const std::string& path, const ModuleScale& scale) { modules_[path] = scale; }
  /// target_modules becomes one expression for all modules, ranks and alphas that differ from what the
  /// options give get patterns in front of those there are; what chose modules before is emptied. `wrapper`
  /// stands for the "model." of paths. Many layers and experts are one term.
  void write(LoraOptions& options, const std::string& wrapper) const;

 private:
  std::int64_t layers_;
  std::map<std::string, ModuleScale> modules_;
};

/// The text as a regular expression that matches it alone.
std::string escaped_expression(const std::string& text);

}  // namespace graft
