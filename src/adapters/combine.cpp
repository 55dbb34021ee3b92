#include "adapters/combine.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "adapters/in_order.h"
#include "adapters/targets.h"
#include "adapters/writer.h"
#include "base/console.h"
#include "base/error.h"
#include "base/random.h"
#include "base/text.h"
#include "peft/identity_record.h"

namespace graft {
namespace {

// A module's factors in one of the adapters.
struct Source {
  const WeightedAdapter* of;
  const FactorPair* pair;
};
using Sources = std::vector<Source>;

std::string place_of(const Source& source, const TensorView& tensor) {
  return printable(source.of->adapter.file->path().string()) + ": " + printable(tensor.name);
}

std::map<std::string, Sources> sources_of(const std::vector<WeightedAdapter>& adapters) {
  std::map<std::string, Sources> modules;
  for (const WeightedAdapter& weighted : adapters) {
    check_plain(weighted.adapter, "combine");
    for (const FactorPair& pair : weighted.adapter.pairs) {
      Sources& sources = modules[pair.module];
      sources.push_back({&weighted, &pair});
      const FactorPair& first = *sources.front().pair;
      check(pair.a->shape[1] == first.a->shape[1] && pair.b->shape[0] == first.b->shape[0] &&
                pair.of_embedding == first.of_embedding,
            place_of(sources.back(), *pair.b), ": its module is [", pair.b->shape[0], ", ", pair.a->shape[1],
            "], in ", printable(sources.front().of->adapter.path.string()), " [", first.b->shape[0], ", ",
            first.a->shape[1], "]");
    }
  }
  return modules;
}

std::int64_t largest_rank(const AdapterFolder& adapter) {
  std::int64_t rank = 0;
  for (const FactorPair& pair : adapter.pairs) rank = std::max(rank, pair.rank());
  return rank;
}

std::int64_t result_rank(const std::vector<WeightedAdapter>& adapters, const CombineOptions& options) {
  std::int64_t sum = 0, largest = 0;
  for (const WeightedAdapter& weighted : adapters) {
    const std::int64_t rank = largest_rank(weighted.adapter);
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

std::vector<FactorPart> read_parts(const Sources& sources) {
  std::vector<FactorPart> parts;
  for (const Source& source : sources) {
    const Path& file = source.of->adapter.file->path();
    parts.push_back({read_factor(*source.pair->a, file), read_factor(*source.pair->b, file),
                     source.of->weight, source.pair->scale});
  }
  return parts;
}

// Names where each adapter has names alone, one expression where each has one: as PEFT joins them.
Json joined_targets(const std::vector<WeightedAdapter>& adapters) {
  std::set<std::string> names;
  std::vector<std::string> expressions;
  for (const WeightedAdapter& weighted : adapters) {
    const JsonView config = weighted.adapter.view();
    for (const char* key : {"exclude_modules", "layers_to_transform"})
      if (const auto chosen = config.find(key); chosen && chosen->json() != Json::array()) return nullptr;
    const auto targets = config.find("target_modules");
    if (!targets) return nullptr;
    if (targets->is_string())
      expressions.push_back("(" + targets->as_string() + ")");
    else
      targets->each_element([&](const JsonView& name) { names.insert(name.as_string()); });
  }
  if (expressions.empty()) return names;
  return names.empty() && expressions.size() == adapters.size() ? Json(join(expressions, "|")) : Json();
}

Json combined_config(const std::vector<WeightedAdapter>& adapters,
                     const std::map<std::string, Sources>& modules, std::int64_t rank) {
  Json config = adapters.front().adapter.config;
  config["r"] = rank;
  config["lora_alpha"] = rank;
  config["rank_pattern"] = Json::object();
  config["alpha_pattern"] = Json::object();
  config["use_rslora"] = false;
  config["init_lora_weights"] = true;
  std::vector<std::string> paths;
  for (const auto& [module, sources] : modules) paths.push_back(module);
  config["target_modules"] = joined_targets(adapters);
  const bool fits =
      !config["target_modules"].is_null() && untargeted_modules(config, "adapter_config.json", paths).empty();
  if (!fits) name_targets(config, paths);
  return config;
}

AdapterMetadata combined_identity(const std::vector<WeightedAdapter>& adapters, bool any_base) {
  const AdapterFolder& first = adapters.front().adapter;
  AdapterMetadata metadata = first.file->metadata();
  for (std::size_t i = 1; i < adapters.size(); ++i) {
    const AdapterFolder& other = adapters[i].adapter;
    const bool fits = may_share_base(metadata, other.file->metadata(), other.file->path().string());
    const std::string message =
        printable(other.path.string()) + ": trained on another base than " + printable(first.path.string());
    check(fits || any_base, message, Hint{"--force combines them nevertheless"});
    if (!fits) warn(message);
    metadata = joined_identity(metadata, other.file->metadata());
  }
  return metadata;
}

DType widest_type(const std::vector<WeightedAdapter>& adapters) {
  std::set<DType> types;
  for (const WeightedAdapter& weighted : adapters)
    for (const FactorPair& pair : weighted.adapter.pairs) types.insert({pair.a->dtype, pair.b->dtype});
  const bool one = types.size() == 1 && (types.contains(DType::kBF16) || types.contains(DType::kF16));
  return one ? *types.begin() : DType::kF32;
}

// Copies of the base's own weights that PEFT keeps beside adapted embeddings: once, the same in all files.
std::vector<const TensorView*> base_weights(const std::vector<WeightedAdapter>& adapters) {
  std::map<std::string, const TensorView*> found;
  for (const WeightedAdapter& weighted : adapters)
    for (const TensorView* tensor : weighted.adapter.others) {
      const auto [place, is_new] = found.emplace(parse_adapter_key(tensor->name).module, tensor);
      const TensorView& first = *place->second;
      check(is_new || (first.dtype == tensor->dtype && std::ranges::equal(first.bytes, tensor->bytes)),
            printable(weighted.adapter.file->path().string()), ": ", printable(tensor->name),
            ": the base's own weight, and not the same as in the other adapter");
    }
  std::vector<const TensorView*> weights;
  for (const auto& [module, tensor] : found) weights.push_back(tensor);
  return weights;
}

std::string key_of(const FactorPair& pair, char factor) {
  const std::string layer = pair.of_embedding ? ".lora_embedding_" : ".lora_";
  return std::string(kAdapterKeyPrefix) + pair.module + layer + factor + (pair.of_embedding ? "" : ".weight");
}

}  // namespace

CombineReport combine_adapters(const std::vector<WeightedAdapter>& adapters, const CombineOptions& options,
                               const Path& out) {
  const std::map<std::string, Sources> modules = sources_of(adapters);
  const std::int64_t rank = result_rank(adapters, options);
  const DType dtype = widest_type(adapters);
  std::vector<const Sources*> order;
  for (const auto& [module, sources] : modules) order.push_back(&sources);
  std::sort(order.begin(), order.end(), [](const Sources* x, const Sources* y) {
    return path_before(x->front().pair->module, y->front().pair->module);
  });
  std::vector<TensorView> heads;
  for (const Sources* sources : order) {
    const FactorPair& pair = *sources->front().pair;
    heads.push_back({key_of(pair, 'A'), dtype, {rank, pair.a->shape[1]}, {}});
    heads.push_back({key_of(pair, 'B'), dtype, {pair.b->shape[0], rank}, {}});
  }
  const std::vector<const TensorView*> carried = base_weights(adapters);
  for (const TensorView* tensor : carried) heads.push_back(*tensor);
  AdapterWriter writer(out, combined_config(adapters, modules, rank), heads,
                       combined_identity(adapters, options.any_base));
  double distance = 0.0, norm = 0.0;
  make_in_order(
      std::ssize(order),
      [&](std::int64_t i) {
        const Sources& sources = *order[static_cast<std::size_t>(i)];
        const std::string& module = sources.front().pair->module;
        return merge_factors(read_parts(sources), options, rank, hash_name(module.data(), module.size()));
      },
      [&](std::int64_t, const MergedFactors& merged) {
        writer.write(merged.a);
        writer.write(merged.b);
        distance += merged.distance * merged.distance;
        norm += merged.norm * merged.norm;
      });
  for (const TensorView* tensor : carried) writer.write(tensor->bytes);
  writer.carry_tokenizer(adapters.front().adapter.path);
  writer.commit();
  return {
      .rank = rank, .modules = std::ssize(order), .distance = norm > 0.0 ? std::sqrt(distance / norm) : 0.0};
}

}  // namespace graft
