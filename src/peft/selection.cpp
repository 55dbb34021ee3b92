#include "peft/selection.h"

#include <algorithm>
#include <memory>
#include <unordered_set>
#include <utility>

#include "base/console.h"
#include "base/text.h"
#include "peft/target_modules.h"

namespace graft {
namespace {

constexpr char kEmbedding[] = "model.embed_tokens";

std::string offered_names(const std::vector<std::string>& paths) {
  return "the linears of this base are " + join(leaf_names(paths), ", ");
}

ExitCode code_of(TargetSource source) {
  return source == TargetSource::kRecipe ? ExitCode::kUsage : ExitCode::kBadInput;
}

void check_names(const ModuleMatcher& matcher, const std::vector<std::string>& paths, TargetSource source,
                 const std::string& where) {
  for (const std::string& name : matcher.unmatched_names(paths)) {
    const std::string message = where + ": '" + printable(name) + "' matches no linear of this base";
    if (source == TargetSource::kFile) {
      warn(message);
      continue;
    }
    const std::vector<std::string> leaves = leaf_names(paths);
    const auto near = nearest(name, leaves);
    fail(code_of(source), message,
         Hint{(near ? "did you mean '" + *near + "'? " : "") + offered_names(paths)});
  }
}

}  // namespace

std::vector<std::string> linear_paths(const Decoder& model) {
  std::vector<std::string> paths;
  model.each_group([&](const LinearGroup& group) {
    for (const Linear& linear : group.linears) paths.push_back(linear.name);
  });
  return paths;
}

std::vector<std::string> select_modules(const Decoder& model, const LoraOptions& options, TargetSource source,
                                        const std::string& where) {
  const ModuleMatcher matcher(options.target_modules, options.exclude_modules);
  const std::vector<std::string> paths = linear_paths(model);
  if (!options.target_modules.all_linear)
    for (const std::string& path : {model.head.name, std::string(kEmbedding)})
      check(!matcher.matches(path), code_of(source), where, ": an adapter on ", path, " is not supported yet",
            Hint{offered_names(paths)});
  std::vector<std::string> selected;
  std::copy_if(paths.begin(), paths.end(), std::back_inserter(selected),
               [&](const std::string& path) { return matcher.matches(path); });
  check_names(matcher, paths, source, where);
  check(!selected.empty(), code_of(source), where, ": no linear of this base is targeted",
        Hint{offered_names(paths)});
  return selected;
}

void install_lora(Decoder& model, AdapterSet& set,
                  const std::function<LoraFactors(const Linear&)>& factors_of) {
  const std::unordered_set<std::string> chosen(set.modules.begin(), set.modules.end());
  set.parameters.clear();
  model.each_group([&](LinearGroup& group) {
    std::vector<LoraFactors> factors;
    bool any = false;
    for (const Linear& linear : group.linears) {
      const bool adapted = chosen.contains(linear.name);
      factors.push_back(adapted ? factors_of(linear) : LoraFactors{linear.name, {}, {}});
      any = any || adapted;
    }
    if (!any) return;
    const auto lora = std::make_shared<Lora>(std::move(factors), set.options);
    for (Parameter& parameter : lora->parameters()) set.parameters.push_back(std::move(parameter));
    group.adapter = lora;
  });
}

}  // namespace graft
