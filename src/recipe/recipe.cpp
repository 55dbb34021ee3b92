#include "recipe/recipe.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "recipe/fields.h"
#include "recipe/layers.h"

namespace graft {
namespace {

bool is_off(const YamlNode& node, const Json& off) {
  if (off.is_null()) return false;
  if (off.is_array()) return node.kind == YamlKind::kList && node.items.empty();
  return node.kind == YamlKind::kScalar && parse_number(node.text) == off.get<double>();
}

void check_exclusive(const YamlNode& tree) {
  for (const auto& [first, second] : exclusive_keys()) {
    const YamlNode* one = find_path(tree, first.path);
    const YamlNode* other = find_path(tree, second.path);
    if (!one || !other || is_off(*one, first.off) || is_off(*other, second.off)) continue;
    fail(ExitCode::kUsage, other->place.text(), ": ", second.path, ": excludes ", first.path, " (written at ",
         one->place.text(), ")", Hint{"keep one of them"});
  }
}

void require(const YamlNode& tree, const std::string& path, bool present, const std::string& want) {
  if (present) return;
  const YamlNode* node = find_path(tree, path);
  const YamlNode* section = find_path(tree, path.substr(0, path.find('.')));
  fail_at(node ? node->place : section ? section->place : tree.place, path, "missing", "nothing", want);
}

/// True where `inner` is `outer` or lies in it.
bool lies_in(const Path& inner, const Path& outer) {
  const Path a = std::filesystem::weakly_canonical(std::filesystem::absolute(inner));
  const Path b = std::filesystem::weakly_canonical(std::filesystem::absolute(outer));
  return std::mismatch(b.begin(), b.end(), a.begin(), a.end()).first == b.end();
}

/// A key of section lora that another one contradicts.
void check_lora(const LoraOptions& lora, const YamlNode& tree) {
  const auto refuse = [&](bool bad, const char* key, const std::string& what, const std::string& got,
                          const std::string& want) {
    const YamlNode* node = find_path(tree, std::string("lora.") + key);
    if (bad) fail_at(node ? node->place : tree.place, std::string("lora.") + key, what, got, want);
  };
  refuse(!lora.layers_pattern.empty() && lora.layers_to_transform.empty(), "layers_pattern",
         "needs lora.layers_to_transform", "none", "numbers of blocks there");
  refuse(!lora.layers_to_transform.empty() && !lora.target_modules.pattern.empty(), "layers_to_transform",
         "does not go with an expression in lora.target_modules", printable(lora.target_modules.pattern),
         "a list of names there");
  const bool factors = lora.method == AdapterMethod::kLora || lora.method == AdapterMethod::kDora;
  const auto of_factors = [&](bool said, const char* key) {
    refuse(!factors && said, key, "does not go with lora.method",
           lora.method == AdapterMethod::kVera ? "vera" : "ia3", "lora or dora there");
  };
  of_factors(lora.init != LoraInit::kKaiming, "init");
  of_factors(lora.use_rslora, "use_rslora");
  of_factors(lora.freeze_a, "freeze_a");
  of_factors(lora.lora_bias, "lora_bias");
  of_factors(lora.ensure_weight_tying, "ensure_weight_tying");
  of_factors(!lora.rank_pattern.empty(), "rank_pattern");
  of_factors(!lora.alpha_pattern.empty(), "alpha_pattern");
  of_factors(!lora.trainable_tokens.empty(), "trainable_tokens");
  refuse(lora.method == AdapterMethod::kIa3 && lora.bias != TrainedBias::kNone, "bias",
         "does not go with lora.method", "ia3", "lora, dora or vera there");
}

/// The rules that join several keys.
void check_together(const Recipe& recipe, const YamlNode& tree) {
  check_exclusive(tree);
  require(tree, "model.path", !recipe.model.path.empty(), "a Hugging Face folder or a .gguf file");
  require(tree, "data.train", !recipe.data.train.empty(), "a list of {path: FILE}");
  require(tree, "output_dir", !recipe.output_dir.empty(), "a folder for the run");
  for (const auto& [key, input] :
       {std::pair{"model.path", recipe.model.path}, {"lora.from", recipe.lora.from}}) {
    if (input.empty() || !lies_in(recipe.output_dir, input)) continue;
    fail_at(find_path(tree, "output_dir")->place, "output_dir", std::string("lies in ") + key,
            printable(recipe.output_dir), "a folder outside it");
  }
  if (recipe.model.compute == Compute::kInt8 && recipe.model.dtype == ComputeDType::kF32) {
    fail_at(find_path(tree, "model.compute")->place, "model.compute", "does not go with model.dtype",
            "int8 beside fp32", "model.dtype: bf16, or model.compute: auto");
  }
  const TargetModules& targets = recipe.lora.target_modules;
  const bool targets_nothing = !targets.all_linear && targets.pattern.empty() && targets.names.empty();
  if (targets_nothing) {
    fail_at(find_path(tree, "lora.target_modules")->place, "lora.target_modules", "names no module",
            "nothing", "all-linear, names, or a regular expression");
  }
  check_lora(recipe.lora, tree);
  if (recipe.lora.exclude_modules.all_linear) {
    fail_at(find_path(tree, "lora.exclude_modules")->place, "lora.exclude_modules", "leaves no module",
            "all-linear", "names, or a regular expression");
  }
  const bool has_eval = !recipe.data.eval.empty() || recipe.data.eval_fraction > 0;
  if (recipe.evaluation.early_stopping_patience > 0 && !has_eval) {
    fail_at(find_path(tree, "evaluation.early_stopping_patience")->place,
            "evaluation.early_stopping_patience", "needs held-out rows", "none",
            "data.eval or data.eval_fraction");
  }
}

std::string scalar_text(const Json& value) {
  return value.is_string() ? yaml_scalar(value.get_ref<const std::string&>()) : to_text(value);
}

/// `[a, b]`, `{a: 1, b: 2}`, or a scalar, on one line.
std::string flow_text(const Json& value) {
  if (!value.is_structured()) return scalar_text(value);
  std::vector<std::string> parts;
  for (const auto& [key, item] : value.items()) {
    parts.push_back(value.is_object() ? yaml_scalar(key) + ": " + flow_text(item) : flow_text(item));
  }
  return (value.is_object() ? "{" : "[") + join(parts, ", ") + (value.is_object() ? "}" : "]");
}

void write_keys(const Json& keys, const std::string& indent, std::string& yaml) {
  for (const auto& [key, value] : keys.items()) {
    const bool section = value.is_object() && !value.empty();
    const bool list_of_maps = value.is_array() && !value.empty() && value.front().is_object();
    yaml += indent + yaml_scalar(key) + ":";
    if (!section && !list_of_maps) yaml += " " + flow_text(value);
    yaml += "\n";
    if (section) write_keys(value, indent + "  ", yaml);
    if (!list_of_maps) continue;
    for (const Json& item : value) yaml += indent + "  - " + flow_text(item) + "\n";
  }
}

}  // namespace

Recipe load_recipe(const Path& path, const std::vector<std::string>& overrides) {
  const YamlNode tree = load_layers(path, overrides);
  Recipe recipe;
  recipe_type().read(tree, "", recipe);
  if (const YamlNode* lora = find_path(tree, "lora")) {
    for (const YamlEntry& entry : lora->entries) recipe.lora.given.push_back(entry.key);
  }
  check_together(recipe, tree);
  recipe.data.raw_rows_only = recipe.train.objective == Objective::kPretrain;
  return recipe;
}

Json to_json(const Recipe& recipe) {
  Json json = recipe_type().write(recipe);
  // a key that is not in use must not meet the one that excludes it
  if (recipe.train.max_steps > 0) json["train"].erase("epochs");
  if (recipe.schedule.warmup_steps > 0) json["schedule"].erase("warmup_ratio");
  // what the adapter of lora.from decides is written only where the recipe said it: then they must agree
  const auto& given = recipe.lora.given;
  for (const char* key : {"method", "r", "alpha", "target_modules", "exclude_modules", "layers_to_transform",
                          "layers_pattern", "rank_pattern", "alpha_pattern", "modules_to_save",
                          "trainable_tokens", "bias", "use_rslora", "feedforward_modules"}) {
    const bool decided_elsewhere =
        !recipe.lora.from.empty() && std::find(given.begin(), given.end(), key) == given.end();
    if (decided_elsewhere) json["lora"].erase(key);
  }
  return json;
}

std::string to_yaml(const Recipe& recipe) {
  std::string yaml;
  write_keys(to_json(recipe), "", yaml);
  return yaml;
}

Json recipe_schema() {
  Json schema = recipe_type().schema;
  const Recipe defaults;
  const Json values = recipe_type().write(defaults);
  for (auto& [name, key] : schema["properties"].items()) {
    if (!key.contains("properties")) {
      key["default"] = values[name];
      continue;
    }
    for (auto& [leaf, inner] : key["properties"].items()) inner["default"] = values[name][leaf];
  }
  schema["properties"]["extends"] = {{"type", "string"},
                                     {"description", "parent recipe, relative to this file"}};
  Json whole = {{"$schema", "https://json-schema.org/draft/2020-12/schema"}, {"title", "graft recipe"}};
  whole.update(schema);
  return whole;
}

}  // namespace graft
