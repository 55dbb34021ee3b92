#include "peft/install.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "peft/embedding_lora.h"
#include "peft/lora.h"
#include "peft/methods.h"
#include "peft/token_rows.h"
#include "peft/whole.h"

namespace graft {
namespace {

/// The trained biases with the names of their tensors, in the layout's order.
std::vector<std::pair<const ModuleView*, std::string>> named_biases(const AdapterLayout& layout) {
  std::unordered_set<std::string_view> adapted;
  for (const AdaptedModule& module : layout.adapted) adapted.insert(module.path);
  std::vector<std::pair<const ModuleView*, std::string>> named;
  for (const ModuleView& module : layout.biases)
    named.emplace_back(&module, module.path + (adapted.contains(module.path) ? ".base_layer.bias" : ".bias"));
  return named;
}

at::Tensor copy_of(const at::Tensor& values) { return values.to(at::kFloat).clone(); }

/// Adapters of one model out of one set of tensors.
class Installation {
 public:
  Installation(Decoder& model, const AdapterLayout& layout, const LoraOptions& options,
               const AdapterTensors& tensors)
      : model_(model), layout_(layout), options_(options), method_(method_of(options)), tensors_(tensors) {
    for (const AdaptedModule& module : layout.adapted) adapted_[module.path] = &module;
    for (const ModuleView& module : layout.whole) whole_.insert(module.path);
    for (const auto& [module, name] : named_biases(layout)) biases_[module->path] = name;
  }

  AdapterSet run() {
    install_embedding();
    model_.each_group([&](LinearGroup& group) { group.adapter = group_adapter(group.linears); });
    for (Block& block : model_.blocks) block.each_norm([&](RmsNorm& norm) { install_norm(norm); });
    install_norm(model_.norm);
    model_.head_adapter = group_adapter({model_.head});
    store_shared();
    set_.options = options_;
    set_.layout = layout_;
    set_.modules = layout_.adapted_paths();
    set_.touched = layout_.matrices();
    set_.parameters = trained_parts(set_.stored);
    return std::move(set_);
  }

 private:
  void store(const TrainedAdapter& adapter) {
    for (StoredTensor& tensor : adapter.stored()) set_.stored.push_back(std::move(tensor));
  }

  void install_embedding() {
    std::shared_ptr<const TrainedAdapter> adapter;
    if (const auto found = adapted_.find(kEmbeddingPath); found != adapted_.end())
      adapter = std::make_shared<EmbeddingLora>(*found->second, tensors_);
    else if (whole_.contains(kEmbeddingPath))
      adapter = std::make_shared<WholeEmbedding>(kEmbeddingPath,
                                                 tensors_.at(std::string(kEmbeddingPath) + ".weight"));
    else if (!layout_.tokens.empty())
      adapter = std::make_shared<TokenRows>(layout_.tokens, tensors_.at(kTokenRowsName));
    model_.embedding_adapter = adapter;
    if (adapter) store(*adapter);
  }

  // Tensors that no module owns are stored once, and trained by none.
  void store_shared() {
    for (const TensorSpec& spec : method_.tensors(layout_, options_))
      if (spec.name.find('.') == std::string::npos)
        set_.stored.push_back({spec.name, {tensors_.at(spec.name)}});
  }

  std::shared_ptr<const LinearAdapter> linear_adapter(const Linear& linear) {
    if (const auto found = adapted_.find(linear.name); found != adapted_.end())
      return method_.make(*found->second, options_, tensors_);
    if (whole_.contains(linear.name) && layout_.tied_head && linear.name == model_.head.name)
      return std::make_shared<WholeTiedHead>(
          linear.name, tensors_.at(std::string(kEmbeddingPath) + ".weight"), at::Tensor());
    if (whole_.contains(linear.name)) {
      const auto bias = tensors_.find(linear.name + ".bias");
      return std::make_shared<WholeLinear>(linear.name, tensors_.at(linear.name + ".weight"),
                                           bias == tensors_.end() ? at::Tensor() : bias->second);
    }
    const bool tied_head = layout_.tied && linear.name == model_.head.name;
    if (tied_head && !layout_.tokens.empty())
      return std::make_shared<TokenRowsOfHead>(layout_.tokens, tensors_.at(kTokenRowsName));
    return nullptr;
  }

  std::shared_ptr<const Adapter> group_adapter(const std::vector<Linear>& linears) {
    std::vector<LinearSlot> slots;
    bool any = false;
    for (const Linear& linear : linears) {
      LinearSlot& slot = slots.emplace_back(LinearSlot{linear.name, linear_adapter(linear), {}});
      if (const auto bias = biases_.find(linear.name); bias != biases_.end()) {
        slot.bias_name = bias->second;
        slot.bias = tensors_.at(slot.bias_name);
      }
      any = any || slot.adapter || slot.bias.defined();
    }
    if (!any) return nullptr;
    const auto adapter = std::make_shared<GroupAdapter>(std::move(slots), options_.dropout);
    store(*adapter);
    return adapter;
  }

  void install_norm(RmsNorm& norm) {
    norm.trained = at::Tensor();
    if (!norm.present() || !whole_.contains(norm.name)) return;
    norm.trained = tensors_.at(norm.name + ".weight").set_requires_grad(true);
    set_.stored.push_back({norm.name + ".weight", {norm.trained}});
  }

  Decoder& model_;
  const AdapterLayout& layout_;
  const LoraOptions& options_;
  const Method& method_;
  const AdapterTensors& tensors_;
  std::unordered_map<std::string, const AdaptedModule*> adapted_;
  std::set<std::string> whole_;
  std::unordered_map<std::string, std::string> biases_;  // names of their tensors, by path
  AdapterSet set_;
};

/// What the base itself has under the paths of its modules.
class BaseValues {
 public:
  explicit BaseValues(const Decoder& model) : model_(model) {
    model.each_group([&](const LinearGroup& group) {
      for (const Linear& linear : group.linears) linears_[linear.name] = &linear;
    });
    linears_[model.head.name] = &model.head;
    for (const Block& block : model.blocks)
      block.each_norm([&](const RmsNorm& norm) { norms_[norm.name] = &norm; });
    norms_[model.norm.name] = &model.norm;
  }

  const FrozenWeight& weight(const std::string& path) const {
    return path == kEmbeddingPath ? *model_.embedding : *linears_.at(path)->weight;
  }
  at::Tensor whole(const ModuleView& module) const {
    if (module.kind == ModuleKind::kNorm) return copy_of(norms_.at(module.path)->weight);
    return weight(module.path).rows(0, module.shape[0]).clone();
  }
  at::Tensor bias(const std::string& path) const { return copy_of(linears_.at(path)->bias); }

 private:
  const Decoder& model_;
  std::unordered_map<std::string, const Linear*> linears_;
  std::unordered_map<std::string, const RmsNorm*> norms_;
};

}  // namespace

std::vector<TensorSpec> tensors_of(const AdapterLayout& layout, const LoraOptions& options) {
  std::vector<TensorSpec> specs = method_of(options).tensors(layout, options);
  for (const ModuleView& module : layout.whole)
    for (TensorSpec& spec : whole_tensors(module)) specs.push_back(std::move(spec));
  for (const auto& [module, name] : named_biases(layout)) specs.push_back({name, {module->shape[0]}});
  if (!layout.tokens.empty()) specs.push_back({kTokenRowsName, {std::ssize(layout.tokens), layout.width}});
  return specs;
}

void derive_tensors(const Decoder& model, const AdapterLayout& layout, const LoraOptions& options,
                    std::uint64_t seed, AdapterTensors& tensors) {
  const BaseValues base(model);
  if (const auto derive = method_of(options).derive)
    for (const AdaptedModule& module : layout.adapted)
      derive(module, base.weight(module.path), options, seed, tensors);
  for (const ModuleView& module : layout.whole) {
    tensors[module.path + ".weight"] = base.whole(module);
    if (module.has_bias) tensors[module.path + ".bias"] = base.bias(module.path);
  }
  for (const auto& [module, name] : named_biases(layout)) tensors[name] = base.bias(module->path);
  if (layout.tokens.empty()) return;
  std::vector<at::Tensor> rows;
  for (const std::int64_t id : layout.tokens) rows.push_back(model.embedding->rows(id, id + 1));
  tensors[kTokenRowsName] = at::cat(rows);
}

void derive_starts(const Decoder& model, const AdapterLayout& layout, const LoraOptions& options,
                   AdapterTensors& tensors) {
  const BaseValues base(model);
  for (const AdaptedModule& module : layout.adapted) {
    AdapterTensors fresh;
    method_of(options).derive(module, base.weight(module.path), options, 0, fresh);
    const std::string name_a = start_name_a(module.path), name_b = start_name_b(module.path);
    const at::Tensor &a = fresh.at(name_a), &trained = tensors.at(module.path + ".lora_A.weight");
    // Singular vectors have either sign; by that of what was trained, what training changed is small.
    const at::Tensor signs = 1 - 2 * ((a * trained).sum(1) < 0).to(at::kFloat);  // [R]
    tensors[name_a] = a * signs.unsqueeze(1);
    tensors[name_b] = fresh.at(name_b) * signs;
  }
}

AdapterSet install_adapters(Decoder& model, const AdapterLayout& layout, const LoraOptions& options,
                            const AdapterTensors& tensors) {
  return Installation(model, layout, options, tensors).run();
}

}  // namespace graft
