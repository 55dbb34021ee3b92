#include "adapters/portability.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/text.h"

namespace graft {
namespace {

using Facts = AdapterFacts;
using Limits = LoaderLimits;

constexpr char kMerge[] = "graft merge --model BASE --adapter {adapter} --out merged";
constexpr char kPortable[] = "graft export --adapter {adapter} --model BASE --to portable --out portable";
constexpr char kGguf[] = "graft export --adapter {adapter} --model BASE --to gguf-lora --out adapter.gguf";
constexpr char kRename[] = "graft adapter rename {adapter} --out renamed";

// What one loader does with the thing that a rule is about.
struct Outcome {
  Fit fit = Fit::kLoads;
  const char* does = "";
};
constexpr Outcome kTaken = {};
constexpr char kPlainSave[] =
    "save it from PEFT with path_initial_model_for_weight_conversion, or as graft does";

Outcome refused(const char* does) { return {Fit::kRefused, does}; }
Outcome differs(const char* does) { return {Fit::kDiffers, does}; }
Outcome depends(const char* does) { return {Fit::kDepends, does}; }

// "12 tensors that are odd (first: NAME)", "tensor NAME that is odd"; empty where there are none.
std::string several(const std::vector<std::string>& names, const std::string& noun, const std::string& what) {
  if (names.empty()) return "";
  const std::string first = printable(names.front());
  if (names.size() == 1) return noun + " " + first + " " + what;
  return format_count(std::ssize(names)) + " " + noun + "s " + what + " (first: " + first + ")";
}

std::string when(bool holds, const std::string& text) { return holds ? text : ""; }

std::string parts_of_weight(const Facts& f, bool holds) {
  return when(!f.init.empty() && holds,
              "A and B are parts of the base's weight (init_lora_weights " + printable(f.init) + ")");
}

/// A row of the table: `found` says what of its thing an adapter has, empty where nothing.
struct Rule {
  const char* name;
  std::string (*found)(const Facts&, const Limits&);
  Outcome peft, vllm, llama;
  const char* fix;
};

// What is wrong with the file itself.
const std::vector<Rule>& file_rules() {
  static const std::vector<Rule> table = {
      {"not_finite",
       [](const Facts& f, const Limits&) {
         return several(f.not_finite, "tensor", "with values that are not finite");
       },
       differs("computes with them"), differs("computes with them"), differs("computes with them"),
       "take an earlier checkpoint"},
      {"type", [](const Facts& f, const Limits&) { return several(f.not_floats, "tensor", "of integers"); },
       differs("takes them for weights"), differs("takes them for weights"), refused("has no such factors"),
       "save the adapter in a floating-point type"},
      {"pairs",
       [](const Facts& f, const Limits&) {
         return several(f.unpaired, "module", "without A and B of the config's rank");
       },
       refused("refuses another rank, and starts a missing factor afresh without a word"),
       refused("needs both"), refused("needs both"), "save the adapter again where it was trained"},
      {"prefix",
       [](const Facts& f, const Limits&) {
         return several(f.unprefixed, "name", "without base_model.model.");
       },
       differs("drops them without a word"), kTaken, kTaken, kRename},
      {"names",
       [](const Facts& f, const Limits&) {
         return several(f.odd_names, "name", "that still has a wrapper's or the adapter's name in it");
       },
       differs("drops what a wrapper named without a word"), refused("has no such modules"),
       refused("has no such modules"), kRename},
      {"class",
       [](const Facts& f, const Limits&) {
         return several(f.wrapped, "module", "of a class for text and images");
       },
       depends("loads into that class; into the text class alone nothing of it, without a word"),
       depends("serves that class; with the text class it computes what the base does, without a word"),
       refused("converts by the names of the text class"),
       "graft adapter rename {adapter} --from {wrapper} --to {text} --out text"},
      {"targets",
       [](const Facts& f, const Limits&) {
         return several(f.untargeted, "module", "that target_modules does not name");
       },
       differs("drops their tensors without a word"), kTaken, kTaken, kRename},
      {"config",
       [](const Facts& f, const Limits&) {
         return when(!f.missing_keys.empty(), "a config without " + join(f.missing_keys, ", "));
       },
       depends("takes its defaults"), refused("needs them"), depends("needs lora_alpha"),
       "write them into adapter_config.json"},
      {"zero", [](const Facts& f, const Limits&) { return when(f.changes_nothing, "every B is zero"); },
       differs("computes what the base does"), differs("computes what the base does"),
       differs("computes what the base does"),
       "train it, or look for the file that was saved after training"},
      {"alpha", [](const Facts& f, const Limits&) { return when(f.alpha_is_zero, "lora_alpha 0"); },
       differs("computes what the base does"), differs("computes what the base does"),
       differs("takes 1 for the scale"), "set lora_alpha in adapter_config.json"},
  };
  return table;
}

// What was trained.
const std::vector<Rule>& method_rules() {
  static const std::vector<Rule> table = {
      {"method",
       [](const Facts& f, const Limits&) {
         return when(f.peft_type != "LORA", "peft_type " + printable(f.peft_type));
       },
       kTaken, refused("loads LoRA alone"), refused("converts LoRA alone"), kMerge},
      {"dora", [](const Facts& f, const Limits&) { return when(f.use_dora, "DoRA"); }, kTaken,
       refused("does not support it"), refused("has no magnitudes"), kMerge},
      {"variant", [](const Facts& f, const Limits&) { return f.variant; }, kTaken,
       differs("computes plain LoRA"), differs("computes plain LoRA"), kMerge},
      {"init", [](const Facts& f, const Limits&) { return parts_of_weight(f, !f.start_is_lost); },
       depends("takes them out of the base at each load: right on the very base of the training"),
       differs("adds them to the whole base"), differs("adds them to the whole base"), kPlainSave},
      {"lost_init", [](const Facts& f, const Limits&) { return parts_of_weight(f, f.start_is_lost); },
       differs("takes another part out of the base when it loads it, or none"),
       differs("adds them to the whole base"), differs("adds them to the whole base"), kPlainSave},
      {"modules_to_save",
       [](const Facts& f, const Limits&) { return several(f.saved_whole, "module", "trained whole"); },
       kTaken, refused("takes A and B alone"), refused("takes A and B alone"), kMerge},
      {"trained_tokens",
       [](const Facts& f, const Limits&) { return when(!f.trained_tokens.empty(), "trained tokens"); },
       kTaken, refused("takes A and B alone"), refused("takes A and B alone"), kMerge},
      {"bias",
       [](const Facts& f, const Limits&) {
         return when(!f.bias.empty(), "trained biases (" + printable(f.bias) + ")");
       },
       kTaken, refused("does not support them"), refused("takes A and B alone"), kMerge},
      {"base_weights",
       [](const Facts& f, const Limits&) { return several(f.base_weights, "tensor", "of the base's own"); },
       kTaken, depends("skips them (older ones refuse): right where the base has the same"),
       depends("skips them: right where the base has the same"), kMerge},
      {"embedding",
       [](const Facts& f, const Limits&) { return when(f.on_embedding, "an adapter on the embedding"); },
       kTaken, depends("needs a model class that takes one"), kTaken, kMerge},
      {"head", [](const Facts& f, const Limits&) { return when(f.on_head, "an adapter on lm_head"); }, kTaken,
       depends("needs a model class that takes one"), depends("refuses it where head and embedding are one"),
       kMerge},
      {"experts",
       [](const Facts& f, const Limits&) { return when(f.on_experts, "adapters on fused experts"); }, kTaken,
       depends("needs a model class that takes them fused"), refused("has no such factors"), kMerge},
      {"experts_apart",
       [](const Facts& f, const Limits&) {
         return when(f.experts_apart, "experts of a block not adapted alike, or gate and up without down");
       },
       differs("drops tensors of experts on transformers 5, which has them as one"),
       depends("needs one rank for all experts"), refused("has no such factors"), kMerge},
      {"layer_replication",
       [](const Facts& f, const Limits&) { return when(f.replicates_layers, "replicated layers"); }, kTaken,
       refused("has none"), refused("has none"), kMerge},
      {"activated", [](const Facts& f, const Limits&) { return when(f.is_activated, "an activated LoRA"); },
       kTaken, differs("applies it to all tokens"), kTaken, "serve it with PEFT or llama.cpp"},
  };
  return table;
}

// How strong it is.
const std::vector<Rule>& scale_rules() {
  static const std::vector<Rule> table = {
      {"rank",
       [](const Facts& f, const Limits& l) {
         return when(f.rank > l.max_lora_rank, "rank " + std::to_string(f.rank));
       },
       kTaken, refused("takes ranks up to its --max-lora-rank of {limit}"), kTaken,
       "start it with --max-lora-rank {served}, or graft adapter resize {adapter} --r {limit} --out resized"},
      {"scales",
       [](const Facts& f, const Limits&) {
         return when(f.scales_differ, "modules with a scale of their own (rank_pattern, alpha_pattern)");
       },
       kTaken, differs("gives all of them lora_alpha and r"), kTaken, kPortable},
      {"alphas",
       [](const Facts& f, const Limits&) {
         return when(f.alphas_differ, "modules with an alpha of their own (alpha_pattern)");
       },
       kTaken, kTaken, differs("gives all of them lora_alpha, where its own converter wrote the file"),
       kGguf},
      {"rslora", [](const Facts& f, const Limits&) { return when(f.use_rslora, "rsLoRA"); }, kTaken, kTaken,
       differs("takes alpha / r, where its own converter wrote the file: too weak by the root of r"), kGguf},
  };
  return table;
}

const Outcome& outcome_of(const Rule& rule, Loader loader) {
  switch (loader) {
    case Loader::kPeft:
      return rule.peft;
    case Loader::kVllm:
      return rule.vllm;
    case Loader::kLlamaCpp:
      break;
  }
  return rule.llama;
}

void replace_all(std::string& text, std::string_view mark, const std::string& value) {
  for (std::size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + value.size()))
    text.replace(at, mark.size(), value);
}

// The smallest rank that vLLM can be started with for this adapter.
std::int64_t served_rank(std::int64_t rank) {
  constexpr std::array<std::int64_t, 8> kAllowed = {1, 8, 16, 32, 64, 128, 256, 320};
  const auto fits = std::find_if(kAllowed.begin(), kAllowed.end(), [&](std::int64_t r) { return r >= rank; });
  return fits == kAllowed.end() ? 512 : *fits;
}

}  // namespace

std::string_view name_of(Loader loader) {
  constexpr std::string_view kNames[] = {"peft", "vllm", "llama.cpp"};
  return kNames[static_cast<std::size_t>(loader)];
}

Loader find_loader(const std::string& name) {
  for (const Loader loader : kLoaders)
    if (name_of(loader) == name) return loader;
  fail(ExitCode::kUsage, "--for: got ", printable(name), ", want peft, vllm or llama.cpp");
}

std::string_view name_of(Fit fit) {
  constexpr std::string_view kNames[] = {"loads", "depends", "differs", "refused"};
  return kNames[static_cast<std::size_t>(fit)];
}

std::vector<Finding> judge(const AdapterFacts& facts, Loader loader, const LoaderLimits& limits,
                           const std::string& adapter) {
  const auto filled = [&](std::string text) {
    replace_all(text, "{served}", std::to_string(served_rank(facts.rank)));
    replace_all(text, "{limit}", std::to_string(limits.max_lora_rank));
    replace_all(text, "{wrapper}", facts.wrapper);
    replace_all(text, "{text}", facts.wrapper.starts_with("model.") ? "model" : "''");
    replace_all(text, "{adapter}", adapter);
    return text;
  };
  std::vector<Finding> findings;
  for (const std::vector<Rule>* table : {&file_rules(), &method_rules(), &scale_rules()})
    for (const Rule& rule : *table) {
      const Outcome& outcome = outcome_of(rule, loader);
      if (outcome.fit == Fit::kLoads) continue;
      const std::string found = rule.found(facts, limits);
      if (found.empty()) continue;
      findings.push_back({rule.name, outcome.fit, found,
                          std::string(name_of(loader)) + " " + filled(outcome.does), filled(rule.fix)});
    }
  return findings;
}

Fit fit_of(const std::vector<Finding>& findings) {
  Fit worst = Fit::kLoads;
  for (const Finding& finding : findings) worst = std::max(worst, finding.fit);
  return worst;
}

}  // namespace graft
