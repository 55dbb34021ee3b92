#include "adapters/resize.h"

#include <ATen/Functions.h>

#include <set>
#include <utility>

#include "adapters/expert_slices.h"
#include "adapters/in_order.h"
#include "adapters/spectrum.h"
#include "adapters/tied_head.h"
#include "adapters/writer.h"
#include "peft/module_scale.h"

namespace graft {
namespace {

TensorView head_of(const TensorView& tensor, std::vector<std::int64_t> shape) {
  return {tensor.name, tensor.dtype, std::move(shape), {}};
}

// One pair and how it lies in its tensors.
struct Plan {
  const FactorPair* pair;
  SliceLayout layout;
  const FactorPair* tied;  // the embedding's, of which the pair is a copy
};

std::vector<Plan> plans_of(const AdapterFolder& adapter) {
  const std::int64_t r = global_scale(adapter.view()).rank;
  std::vector<Plan> plans;
  for (const FactorPair& pair : adapter.pairs)
    plans.push_back({&pair, layout_of(pair, r, adapter.file->path()), tied_embedding(adapter, pair)});
  return plans;
}

// Of what needs them to go on training, variants of LoRA keep tensors that depend on the rank.
std::vector<const TensorView*> kept_others(const AdapterFolder& adapter) {
  std::vector<const TensorView*> others;
  for (const TensorView* tensor : adapter.others)
    if (parse_adapter_key(tensor->name).part != AdapterPart::kTraining) others.push_back(tensor);
  return others;
}

std::vector<TensorView> heads_of(const std::vector<Plan>& plans, const std::vector<const TensorView*>& others,
                                 std::int64_t rank) {
  std::vector<TensorView> heads;
  for (const Plan& plan : plans) {
    const TensorView &a = *plan.pair->a, &b = *plan.pair->b;
    const std::int64_t ranks = rank * plan.layout.count();
    heads.push_back(head_of(a, {ranks, a.shape[1]}));
    heads.push_back(head_of(b, {b.shape[0], ranks}));
  }
  for (const TensorView* tensor : others) heads.push_back(*tensor);
  return heads;
}

Json resized_config(const AdapterFolder& adapter, const std::vector<Plan>& plans, std::int64_t rank) {
  std::vector<std::string> modules;
  std::vector<ModuleScale> scales;
  std::set<std::string> said;
  for (const Plan& plan : plans) {
    if (!said.insert(plan.pair->scaled_by).second) continue;
    modules.push_back(plan.pair->scaled_by);
    scales.push_back({rank * plan.pair->parts * plan.layout.halves(), plan.pair->scale});
  }
  Json config = adapter.config;
  set_scales(config, modules, scales, rank);
  for (const char* key : {"velora_config", "monteclora_config"})
    if (config.contains(key)) config[key] = nullptr;
  return config;
}

// A pair's tensors with another rank, and what they kept.
struct Resized {
  Factors whole;
  double kept = 1.0;
};

NearestProduct resized(const Factors& slice, std::int64_t rank) {
  const at::Tensor &a = slice.a, &b = slice.b;
  const std::int64_t more = rank - a.size(0);
  if (more < 0) return nearest_product(a, b, rank);
  return {.a = at::cat({a, at::zeros({more, a.size(1)}, a.options())}, 0),
          .b = at::cat({b, at::zeros({b.size(0), more}, b.options())}, 1)};
}

Resized resized(const FactorPair& pair, const SliceLayout& layout, std::int64_t rank, const Path& where) {
  std::vector<Factors> slices;
  double energy = 0.0, kept = 0.0;
  for (const Factors& slice : slices_of(read_factors(pair, where), layout)) {
    const NearestProduct nearest = resized(slice, rank);
    slices.push_back({nearest.a, nearest.b});
    energy += nearest.energy;
    kept += nearest.energy * nearest.kept;
  }
  return {joined(slices, layout), energy > 0.0 ? kept / energy : 1.0};
}

Resized resized(const Plan& plan, std::int64_t rank, const Path& where) {
  if (plan.tied == nullptr) return resized(*plan.pair, plan.layout, rank, where);
  Resized embedding = resized(*plan.tied, {}, rank, where);
  return {{embedding.whole.b.t(), embedding.whole.a.t()}, embedding.kept};
}

}  // namespace

std::vector<ResizedModule> resize_adapter(const AdapterFolder& adapter, std::int64_t rank, const Path& out) {
  check_factors(adapter, "resize");
  const std::vector<Plan> plans = plans_of(adapter);
  const std::vector<const TensorView*> others = kept_others(adapter);
  const Path& where = adapter.file->path();
  AdapterWriter writer(out, resized_config(adapter, plans, rank), heads_of(plans, others, rank),
                       adapter.file->metadata());
  std::vector<ResizedModule> report;
  make_in_order(
      std::ssize(plans),
      [&](std::int64_t i) { return resized(plans[static_cast<std::size_t>(i)], rank, where); },
      [&](std::int64_t i, const Resized& resized) {
        const Plan& plan = plans[static_cast<std::size_t>(i)];
        writer.write(resized.whole.a);
        writer.write(resized.whole.b);
        report.push_back({plan.pair->module, plan.pair->rank() / plan.layout.halves(), resized.kept});
      });
  for (const TensorView* tensor : others) writer.write(tensor->bytes);
  writer.carry_tokenizer(adapter.path);
  writer.commit();
  return report;
}

}  // namespace graft
