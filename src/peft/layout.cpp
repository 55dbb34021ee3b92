#include "peft/layout.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <unordered_set>

#include "base/console.h"
#include "base/error.h"
#include "base/text.h"
#include "peft/methods.h"
#include "peft/target_modules.h"

namespace graft {
namespace {

constexpr std::string_view kModelPrefix = "model.";

ExitCode code_of(TargetSource source) {
  return source == TargetSource::kRecipe ? ExitCode::kUsage : ExitCode::kBadInput;
}

std::vector<std::int64_t> shape_of(const FrozenWeight& weight) {
  return {weight.out_features(), weight.in_features()};
}

/// One call of lay_out.
class Selection {
 public:
  Selection(const Decoder& model, const LoraOptions& options, TargetSource source, const std::string& where,
            const std::string& wrapper)
      : options_(options),
        source_(source),
        where_(where),
        wrapper_(wrapper),
        modules_(modules_of(model)),
        matcher_(options),
        ranks_("rank_pattern", options.rank_pattern),
        alphas_("alpha_pattern", options.alpha_pattern) {
    layout_.width = model.config.hidden_size;
    layout_.vocabulary = model.config.vocab_size;
    layout_.tied = model.head.weight == model.embedding;
    layout_.experts = expert_parameters(model);
  }

  AdapterLayout choose() {
    choose_whole();
    choose_adapted();
    say_what_is_tied();
    choose_biases();
    choose_tokens();
    check_names();
    const bool any = !layout_.adapted.empty() || !layout_.whole.empty() || !layout_.tokens.empty();
    check(any, code_of(source_), where_, ": no linear of this base is targeted", Hint{offered_names()});
    return std::move(layout_);
  }

 private:
  // The path as the adapter's files have it.
  std::string file_path(const std::string& path) const {
    return path.starts_with(kModelPrefix) ? wrapper_ + path.substr(kModelPrefix.size()) : path;
  }

  std::string offered_names() const {
    std::vector<std::string> paths;
    for (const ModuleView& module : modules_)
      if (module.kind == ModuleKind::kLinear) paths.push_back(module.path);
    return "the linears of this base are " + join(leaf_names(paths), ", ");
  }

  // PEFT's rule: the end of the name of a module or of one that it lies in, with or without a dot.
  bool saved_whole(const std::string& path) const {
    return std::any_of(
        options_.modules_to_save.begin(), options_.modules_to_save.end(), [&](const std::string& name) {
          for (std::string part = path; !part.empty();
               part =
                   part.substr(0, part.find_last_of('.') == std::string::npos ? 0 : part.find_last_of('.')))
            if (part.ends_with(name)) return true;
          return false;
        });
  }

  // PEFT's ensure_weight_tying: either end of a tied matrix stands for both.
  bool is_tied_end(const ModuleView& module) const {
    const bool end = module.kind == ModuleKind::kEmbedding || module.kind == ModuleKind::kHead;
    return options_.ensure_weight_tying && layout_.tied && end;
  }

  template <class Chosen>
  bool chosen_with_ties(const ModuleView& module, const Chosen& chosen) const {
    if (!is_tied_end(module)) return chosen(module);
    return std::any_of(modules_.begin(), modules_.end(),
                       [&](const ModuleView& other) { return is_tied_end(other) && chosen(other); });
  }

  void say_what_is_tied() {
    if (!options_.ensure_weight_tying) return;
    layout_.tied_head = layout_.tied && (is_whole(kEmbeddingPath) || layout_.find(kEmbeddingPath) != nullptr);
    if (!layout_.tied_head && options_.trainable_tokens.empty())
      warn(where_ + ": ensure_weight_tying has nothing to tie: " +
           (layout_.tied ? "neither embed_tokens nor lm_head is trained"
                         : "embedding and head of this base are two matrices"));
  }

  void choose_whole() {
    const auto named = [&](const ModuleView& module) { return saved_whole(file_path(module.path)); };
    for (const ModuleView& module : modules_)
      if (chosen_with_ties(module, named)) layout_.whole.push_back(module);
    for (const std::string& name : options_.modules_to_save) {
      const bool found = std::any_of(layout_.whole.begin(), layout_.whole.end(), [&](const auto& module) {
        return file_path(module.path).find(name) != std::string::npos;
      });
      if (found) continue;
      const std::string message = "modules_to_save: '" + printable(name) + "' matches no module of this base";
      check(source_ == TargetSource::kFile, code_of(source_), "lora.", message,
            Hint{"they are embed_tokens, lm_head, the norms and linears: " + offered_names()});
      warn(where_ + ": " + message);
    }
  }

  bool is_whole(const std::string& path) const {
    return std::any_of(layout_.whole.begin(), layout_.whole.end(),
                       [&](const ModuleView& module) { return module.path == path; });
  }

  void choose_adapted() {
    for (const ModuleView& module : modules_) {
      if (module.kind == ModuleKind::kNorm || is_whole(module.path)) continue;
      if (options_.target_modules.all_linear && module.kind != ModuleKind::kLinear) continue;
      const std::string path = file_path(module.path);
      const auto matches = [&](const ModuleView& one) { return matcher_.matches(file_path(one.path)); };
      if (!chosen_with_ties(module, matches)) continue;
      const bool has_form = module.kind != ModuleKind::kEmbedding || options_.method == AdapterMethod::kLora;
      check(has_form, code_of(source_), where_, ": of ", module.path, " only lora adapters are supported",
            Hint{offered_names()});
      const std::int64_t r = ranks_.value_of(path, options_.r);
      const bool even = options_.init != LoraInit::kOrthogonal || r % 2 == 0;
      check(even, code_of(source_), "lora.init: orthogonal factors need an even rank (got ", r, " for ",
            module.path, ")");
      check_start(module);
      check_b_bias(module);
      layout_.adapted.push_back(
          {.path = module.path,
           .kind = module.kind,
           .out = module.shape[0],
           .in = module.shape[1],
           .r = r,
           .scale = lora_scale(r, alphas_.value_of(path, options_.alpha), options_.use_rslora),
           .b_bias = options_.lora_bias,
           .mirrors = is_tied_end(module) && module.kind == ModuleKind::kHead});
    }
  }

  // Factors that start as parts of the weight.
  void check_start(const ModuleView& module) const {
    if (!starts_from_weight(options_)) return;
    check(module.kind != ModuleKind::kEmbedding, code_of(source_),
          "lora.init: pissa and olora start from the weight of a linear, not from ", module.path);
    const bool of_both = source_ == TargetSource::kFile && module.kind == ModuleKind::kHead && layout_.tied;
    check(!of_both, code_of(source_), where_, ": ", module.path,
          ": PEFT took its start out of the embedding too, which is the same matrix: not supported");
  }

  // Where PEFT has a bias on B.
  void check_b_bias(const ModuleView& module) const {
    if (!options_.lora_bias) return;
    check(options_.method == AdapterMethod::kLora && options_.init == LoraInit::kKaiming, code_of(source_),
          "lora_bias: only plain LoRA of the usual initialisation has a bias on B");
    check(module.kind != ModuleKind::kEmbedding, code_of(source_), "lora_bias: ", module.path,
          ": the adapter of an embedding has no bias on B");
  }

  void choose_biases() {
    if (options_.bias == TrainedBias::kNone) return;
    std::unordered_set<std::string_view> adapted;
    for (const AdaptedModule& module : layout_.adapted) adapted.insert(module.path);
    for (const ModuleView& module : modules_) {
      if (!module.has_bias || is_whole(module.path)) continue;
      if (options_.bias == TrainedBias::kAll || adapted.contains(module.path))
        layout_.biases.push_back(module);
    }
  }

  void choose_tokens() {
    layout_.tokens = options_.trainable_tokens;
    std::set<std::int64_t> seen;
    for (const std::int64_t id : layout_.tokens) {
      check(id >= 0 && id < layout_.vocabulary, code_of(source_), "trainable_tokens: token ", id,
            " is not in the vocabulary (want 0 to ", layout_.vocabulary - 1, ")");
      check(seen.insert(id).second, code_of(source_), "trainable_tokens: token ", id, " is there twice");
    }
    if (layout_.tokens.empty()) return;
    for (const char* path : {kEmbeddingPath, "lm_head"}) {
      const bool free = !is_whole(path) && layout_.find(path) == nullptr;
      check(free || (path != std::string(kEmbeddingPath) && !layout_.tied), code_of(source_),
            "trainable_tokens: ", path, " is trained otherwise too",
            Hint{"leave it out of target_modules and modules_to_save, or train no single tokens"});
    }
  }

  void check_names() const {
    std::vector<std::string> paths;
    for (const ModuleView& module : modules_)
      if (module.kind != ModuleKind::kNorm) paths.push_back(file_path(module.path));
    for (const std::string& name : matcher_.unmatched_names(paths)) {
      const std::string message = where_ + ": '" + printable(name) + "' matches no linear of this base";
      if (source_ == TargetSource::kFile) {
        warn(message);
        continue;
      }
      const std::vector<std::string> leaves = leaf_names(paths);
      const auto near = nearest(name, leaves);
      fail(code_of(source_), message, Hint{(near ? "did you mean '" + *near + "'? " : "") + offered_names()});
    }
  }

  const LoraOptions& options_;
  TargetSource source_;
  const std::string &where_, &wrapper_;
  std::vector<ModuleView> modules_;
  ModuleMatcher matcher_;
  PatternTable<std::int64_t> ranks_;
  PatternTable<double> alphas_;
  AdapterLayout layout_;
};

}  // namespace

double lora_scale(std::int64_t r, double alpha, bool use_rslora) {
  const auto rank = static_cast<double>(r);
  return alpha / (use_rslora ? std::sqrt(rank) : rank);
}

std::vector<ModuleView> modules_of(const Decoder& model) {
  std::vector<ModuleView> modules = {{kEmbeddingPath, ModuleKind::kEmbedding, shape_of(*model.embedding)}};
  const auto add_norm = [&](const RmsNorm& norm) {
    if (norm.present()) modules.push_back({norm.name, ModuleKind::kNorm, norm.weight.sizes().vec()});
  };
  model.each_group([&](const LinearGroup& group) {
    for (const Linear& linear : group.linears)
      modules.push_back({linear.name, ModuleKind::kLinear, shape_of(*linear.weight), linear.bias.defined()});
  });
  for (const Block& block : model.blocks) block.each_norm(add_norm);
  add_norm(model.norm);
  modules.push_back(
      {model.head.name, ModuleKind::kHead, shape_of(*model.head.weight), model.head.bias.defined()});
  return modules;
}

const AdaptedModule* AdapterLayout::find(const std::string& path) const {
  const auto found = std::find_if(adapted.begin(), adapted.end(),
                                  [&](const AdaptedModule& module) { return module.path == path; });
  return found == adapted.end() ? nullptr : &*found;
}

std::vector<std::string> AdapterLayout::adapted_paths() const {
  std::vector<std::string> paths;
  for (const AdaptedModule& module : adapted) paths.push_back(module.path);
  return paths;
}

std::vector<std::string> AdapterLayout::matrices() const {
  std::vector<std::string> paths = adapted_paths();
  for (const ModuleView& module : whole)
    if (module.kind != ModuleKind::kNorm) paths.push_back(module.path);
  if (!tokens.empty()) paths.emplace_back(kEmbeddingPath);
  return paths;
}

AdapterLayout lay_out(const Decoder& model, const LoraOptions& options, TargetSource source,
                      const std::string& where, const std::string& wrapper) {
  return Selection(model, options, source, where, wrapper).choose();
}

}  // namespace graft
