#include "adapters/combine.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "adapters/combined_config.h"
#include "adapters/combined_rest.h"
#include "adapters/expert_slices.h"
#include "adapters/in_order.h"
#include "adapters/tied_head.h"
#include "adapters/writer.h"
#include "base/error.h"
#include "base/random.h"
#include "base/text.h"
#include "peft/module_scale.h"

namespace graft {
namespace {

// A module's factors in one of the adapters.
struct Source {
  const WeightedAdapter* of;
  const FactorPair* pair;
};
using Sources = std::vector<Source>;

// A module of the result.
struct Combined {
  std::string path, holder;
  Sources sources;
  SliceLayout layout;  // of the result, and of what the sources are taken apart into
  bool tied = false;   // the head, a copy of the embedding: its sources are the embedding's

  const FactorPair& first() const { return *sources.front().pair; }
};

std::string place_of(const Source& source, const TensorView& tensor) {
  return printable(source.of->adapter.file->path().string()) + ": " + printable(tensor.name);
}

bool is_dora(const AdapterFolder& adapter) {
  const auto dora = adapter.view().find("use_dora");
  return dora && dora->as_bool();
}

void check_combinable(const std::vector<WeightedAdapter>& adapters) {
  const bool as_it_is = adapters.size() == 1 && adapters.front().weight == 1.0;
  for (const auto& [adapter, weight] : adapters) {
    check_factors(adapter, "combine");
    check(as_it_is || !is_dora(adapter), adapter.view(),
          ": /use_dora: combine: what DoRA adds is no sum: its magnitudes scale base and B A together",
          Hint{"`graft merge` writes one into its base, to which others can be added"});
  }
}

// What says where B A is added must be the same: the result says it once.
void check_one_place(const std::vector<WeightedAdapter>& adapters) {
  const JsonView first = adapters.front().adapter.view();
  for (const ConfigKey& key : config_keys())
    for (const WeightedAdapter& weighted : adapters) {
      const auto told = [&](const JsonView& config) {
        const auto value = config.find(key.key);
        return value && value->size() > 0 ? value->json() : Json();
      };
      if (!key.plain_factors) continue;
      const Json got = told(weighted.adapter.view()), want = told(first);
      check(got == want, weighted.adapter.view(), ": /", key.key, ": combine: got ",
            printable(to_text(got), 80), ", want ", printable(to_text(want), 80), " as in ",
            printable(adapters.front().adapter.path.string()));
    }
}

// Of experts one by one the parameter is no module here: its other form could not be added to them.
void check_one_form(const std::vector<Combined>& modules) {
  std::set<std::string> fused;
  for (const Combined& module : modules)
    if (module.first().experts > 1) fused.insert(module.path);
  for (const Combined& module : modules)
    check(module.first().experts > 1 || !fused.contains(module.first().scaled_by),
          place_of(module.sources.front(), *module.first().a),
          ": combine: an expert by itself, and another of the adapters has all of them in one tensor",
          Hint{"PEFT on transformers 5 loads either and saves the one tensor (save_pretrained)"});
}

std::vector<Combined> modules_of(const std::vector<WeightedAdapter>& adapters) {
  std::map<std::string, Sources> found;
  for (const WeightedAdapter& weighted : adapters)
    for (const FactorPair& pair : weighted.adapter.pairs) {
      Sources& sources = found[pair.module];
      sources.push_back({&weighted, &pair});
      const FactorPair& first = *sources.front().pair;
      check(pair.a->shape[1] == first.a->shape[1] && pair.b->shape[0] == first.b->shape[0] &&
                pair.of_embedding == first.of_embedding && pair.experts == first.experts,
            place_of(sources.back(), *pair.b), ": its module is [", pair.b->shape[0], ", ", pair.a->shape[1],
            "], in ", printable(sources.front().of->adapter.path.string()), " [", first.b->shape[0], ", ",
            first.a->shape[1], "]");
    }
  std::vector<Combined> modules;
  for (auto& [path, sources] : found)
    modules.push_back({.path = path, .holder = path, .sources = std::move(sources), .layout = {}});
  std::sort(modules.begin(), modules.end(),
            [](const Combined& x, const Combined& y) { return path_before(x.path, y.path); });
  check_one_form(modules);
  return modules;
}

// Side by side where it is so in each of the adapters.
void lay_out_experts(std::vector<Combined>& modules) {
  std::vector<std::string> parameters;
  for (const Combined& module : modules)
    if (module.first().experts > 1) parameters.push_back(module.path);
  for (Combined& module : modules) {
    if (module.first().experts == 1) continue;
    module.holder = holder_of(module.path, parameters);
    module.layout = {.experts = module.first().experts, .side_by_side = true};
    for (const auto& [weighted, pair] : module.sources) {
      const AdapterFolder& adapter = weighted->adapter;
      const SliceLayout own = layout_of(*pair, global_scale(adapter.view()).rank, adapter.file->path());
      module.layout.side_by_side = module.layout.side_by_side && own.side_by_side;
    }
  }
}

// Whether the head stays a copy: where each adapter that has either end has both as one.
bool tie_head(std::vector<Combined>& modules) {
  const auto embedding = std::find_if(modules.begin(), modules.end(),
                                      [](const Combined& one) { return one.first().of_embedding; });
  const auto head = std::find_if(modules.begin(), modules.end(), [](const Combined& one) {
    return last_name(one.path) == "lm_head" && !one.first().of_embedding;
  });
  if (embedding == modules.end() || head == modules.end()) return false;
  Sources tied;
  for (const auto& [weighted, pair] : head->sources)
    if (const FactorPair* own = tied_embedding(weighted->adapter, *pair)) tied.push_back({weighted, own});
  head->tied = tied.size() == head->sources.size() && tied.size() == embedding->sources.size();
  if (head->tied) head->sources = tied;
  return head->tied;
}

std::int64_t result_rank(const std::vector<WeightedAdapter>& adapters, const std::vector<Combined>& modules,
                         const CombineOptions& options) {
  std::map<const WeightedAdapter*, std::int64_t> ranks;
  for (const Combined& module : modules)
    for (const auto& [weighted, pair] : module.sources)
      ranks[weighted] = std::max(ranks[weighted], pair->rank() / module.layout.halves());
  std::int64_t sum = 0, largest = 0;
  for (const WeightedAdapter& weighted : adapters) {
    const std::int64_t rank = ranks[&weighted];
    check(options.method.domain != MergeDomain::kFactors || largest == 0 || rank == largest,
          printable(weighted.adapter.path.string()), ": ", options.method.name,
          " adds the factors themselves and needs adapters of one rank (got ", rank, " and ", largest, ")",
          Hint{"give them one with `graft adapter resize`, or take --method svd or cat"});
    largest = std::max(largest, rank);
    sum += rank;
  }
  if (options.method.domain == MergeDomain::kStacked) return sum;
  return options.rank > 0 ? options.rank : largest;
}

DType widest_type(const std::vector<WeightedAdapter>& adapters) {
  std::set<DType> types;
  for (const WeightedAdapter& weighted : adapters)
    for (const FactorPair& pair : weighted.adapter.pairs) types.insert({pair.a->dtype, pair.b->dtype});
  const bool one = types.size() == 1 && (types.contains(DType::kBF16) || types.contains(DType::kF16));
  return one ? *types.begin() : DType::kF32;
}

// The tensors of one module of the result.
struct Merged {
  Factors whole;
  double distance = 0.0, norm = 0.0;  // squares
};

Merged merged(const Combined& module, const CombineOptions& options, std::int64_t rank) {
  std::vector<std::vector<Factors>> slices;  // of each source
  for (const auto& [weighted, pair] : module.sources)
    slices.push_back(slices_of(read_factors(*pair, weighted->adapter.file->path()), module.layout));
  const std::string& name = module.first().module;  // of a tied head the embedding's: the same choice
  const std::uint64_t key = hash_name(name.data(), name.size());
  std::vector<Factors> results;
  Merged result;
  for (std::size_t slice = 0; slice < slices.front().size(); ++slice) {
    std::vector<FactorPart> parts;
    for (std::size_t i = 0; i < module.sources.size(); ++i)
      parts.push_back({slices[i][slice].a, slices[i][slice].b, module.sources[i].of->weight,
                       module.sources[i].pair->scale});
    const MergedFactors merged =
        merge_factors(parts, options, rank, module.layout.count() == 1 ? key : mix(key, slice));
    results.push_back({merged.a, merged.b});
    result.distance += merged.distance * merged.distance;
    result.norm += merged.norm * merged.norm;
  }
  result.whole = joined(results, module.layout);
  if (module.tied) result.whole = {result.whole.b.t(), result.whole.a.t()};
  return result;
}

std::vector<TensorView> heads_of(const std::vector<Combined>& modules, std::int64_t rank, DType dtype) {
  std::vector<TensorView> heads;
  for (const Combined& module : modules) {
    const bool of_embedding = module.first().of_embedding && !module.tied;
    const std::string layer = of_embedding ? ".lora_embedding_" : ".lora_";
    const std::string weight = of_embedding ? "" : ".weight";
    const std::string start = std::string(kAdapterKeyPrefix) + module.holder + layer;
    const std::int64_t ranks = rank * module.layout.count();
    std::int64_t in = module.first().a->shape[1], out = module.first().b->shape[0];
    if (module.tied) std::swap(in, out);
    heads.push_back({start + "A" + weight, dtype, {ranks, in}, {}});
    heads.push_back({start + "B" + weight, dtype, {out, ranks}, {}});
  }
  return heads;
}

CombinedTargets targets_of(const std::vector<Combined>& modules) {
  CombinedTargets targets;
  std::set<std::string> parameters;
  for (const Combined& module : modules) {
    const FactorPair& pair = module.first();
    targets.tied = targets.tied || module.tied;
    if (!pair.of_parameter()) {
      targets.modules.push_back(module.path);
      continue;
    }
    if (parameters.insert(pair.scaled_by).second) targets.parameters.push_back(pair.scaled_by);
    if (module.layout.side_by_side || pair.parts == 2) targets.doubled.insert(pair.scaled_by);
  }
  return targets;
}

void write_rest(AdapterWriter& writer, const std::vector<RestTensor>& rest) {
  for (const RestTensor& tensor : rest) writer.write(tensor.make());
}

// IA3 has no factors: the methods that prune or decompose have nothing to work on.
CombineReport combine_ia3(const std::vector<WeightedAdapter>& adapters, const CombineOptions& options,
                          const Path& out) {
  const AdapterFolder& first = adapters.front().adapter;
  check(options.method.pruning == Pruning::kNone && options.rank == 0, first.view(),
        ": combine: ", options.method.name, " works on A and B, an IA3 adapter has vectors",
        Hint{"take --method linear"});
  Json config = first.config;
  for (const char* key : {"target_modules", "feedforward_modules"}) {
    config[key] = joined_names(adapters, key);
    check(!config[key].is_null(), first.view(), ": /", key,
          ": combine: lists and expressions of IA3 adapters cannot be joined");
  }
  const std::vector<RestTensor> rest = combined_vectors(adapters);
  std::vector<TensorView> heads;
  for (const RestTensor& tensor : rest) heads.push_back(tensor.head);
  AdapterWriter writer(out, config, heads, combined_identity(adapters, options.any_base));
  write_rest(writer, rest);
  writer.carry_tokenizer(first.path);
  writer.commit();
  return {.modules = std::ssize(rest)};
}

}  // namespace

CombineReport combine_adapters(const std::vector<WeightedAdapter>& adapters, const CombineOptions& options,
                               const Path& out) {
  const bool vectors = std::all_of(adapters.begin(), adapters.end(), [](const WeightedAdapter& weighted) {
    return weighted.adapter.peft_type() == "IA3";
  });
  if (vectors) return combine_ia3(adapters, options, out);
  check_combinable(adapters);
  check_one_place(adapters);
  std::vector<Combined> modules = modules_of(adapters);
  lay_out_experts(modules);
  tie_head(modules);
  const std::int64_t rank = result_rank(adapters, modules, options);
  Json config = combined_config(adapters, targets_of(modules), rank);
  std::set<std::string> adapted;
  for (const Combined& module : modules) adapted.insert(module.path);
  const std::vector<RestTensor> rest = combined_rest(adapters, adapted, config);
  std::vector<TensorView> heads = heads_of(modules, rank, widest_type(adapters));
  for (const RestTensor& tensor : rest) heads.push_back(tensor.head);
  AdapterWriter writer(out, config, heads, combined_identity(adapters, options.any_base));
  CombineReport report{.rank = rank, .modules = std::ssize(modules)};
  double norm = 0.0;
  make_in_order(
      std::ssize(modules),
      [&](std::int64_t i) { return merged(modules[static_cast<std::size_t>(i)], options, rank); },
      [&](std::int64_t, const Merged& merged) {
        writer.write(merged.whole.a);
        writer.write(merged.whole.b);
        report.distance += merged.distance;
        norm += merged.norm;
      });
  report.distance = norm > 0.0 ? std::sqrt(report.distance / norm) : 0.0;
  write_rest(writer, rest);
  writer.carry_tokenizer(adapters.front().adapter.path);
  writer.commit();
  return report;
}

}  // namespace graft
