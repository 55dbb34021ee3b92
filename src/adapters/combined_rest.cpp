#include "adapters/combined_rest.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "base/error.h"
#include "base/format.h"
#include "base/text.h"

namespace graft {
namespace {

// A tensor in one of the adapters, with what it counts.
struct Held {
  const WeightedAdapter* of;
  const TensorView* tensor;
  double weight;
};
using Holders = std::vector<Held>;

std::string place_of(const Held& held) {
  return printable(held.of->adapter.file->path().string()) + ": " + printable(held.tensor->name);
}

DType widest_type(const Holders& holders) {
  const DType first = holders.front().tensor->dtype;
  const bool one = std::all_of(holders.begin(), holders.end(),
                               [&](const Held& held) { return held.tensor->dtype == first; });
  return one ? first : DType::kF32;
}

at::Tensor weighted_sum(const Holders& holders) {
  at::Tensor sum;
  for (const Held& held : holders) {
    const at::Tensor values = read_values(*held.tensor);
    sum = sum.defined() ? sum.add_(values, held.weight) : held.weight == 1.0 ? values : values * held.weight;
  }
  return sum;
}

void check_shapes(const Holders& holders) {
  for (const Held& held : holders)
    check(held.tensor->shape == holders.front().tensor->shape, place_of(held), ": got shape ",
          held.tensor->shape_text(), ", want ", holders.front().tensor->shape_text(), " as in ",
          printable(holders.front().of->adapter.path.string()));
}

// What replaces a tensor of the base moves it by w (t - base): the base's own counts 1 - sum w.
void check_weights(const Holders& holders, double weight, const std::string& what) {
  constexpr double kRounding = 1e-9;
  check(std::abs(weight - 1.0) <= kRounding, place_of(holders.front()), ": combine: ", what,
        " the base's own, so the weights of the adapters that hold it must sum to 1 (got ",
        format("%g", weight), ")",
        Hint{"choose such weights; `graft merge` writes an adapter into its base with any"});
}

double sum_of_weights(const Holders& holders) {
  double sum = 0.0;
  for (const Held& held : holders) sum += held.weight;
  return sum;
}

RestTensor summed(const std::string& name, const Holders& holders) {
  check_shapes(holders);
  return {{name, widest_type(holders), holders.front().tensor->shape, {}},
          [holders] { return weighted_sum(holders); }};
}

// Rows that replace those of a table, of the ids that one adapter's config names.
std::vector<std::int64_t> token_ids(const WeightedAdapter& weighted, const TensorView& tensor) {
  const JsonView config = weighted.adapter.view();
  const std::string module = parse_adapter_key(tensor.name).module;
  std::vector<std::int64_t> ids;
  const auto read = [&](const JsonView& list) {
    list.each_element([&](const JsonView& id) { ids.push_back(id.as_int(0)); });
  };
  if (const auto tokens = config.find("trainable_token_indices"); tokens && tokens->is_array())
    read(*tokens);
  else if (tokens)
    tokens->each_member([&](const std::string& name, const JsonView& list) {
      if (module == name || module.ends_with("." + name)) read(list);
    });
  check(tensor.shape.size() == 2 && std::ssize(ids) == tensor.shape[0], config,
        ": /trainable_token_indices: names ", ids.size(), " rows of ", printable(module), ", the file holds ",
        tensor.shape_text());
  return ids;
}

RestTensor combined_tokens(const std::string& name, const Holders& holders, Json& config) {
  std::vector<std::int64_t> ids;                                                   // of the result
  std::map<std::int64_t, std::vector<std::pair<std::size_t, std::int64_t>>> rows;  // id: holder, its row
  for (std::size_t i = 0; i < holders.size(); ++i) {
    std::int64_t row = 0;
    for (const std::int64_t id : token_ids(*holders[i].of, *holders[i].tensor)) {
      if (!rows.contains(id)) ids.push_back(id);
      rows[id].emplace_back(i, row++);
    }
  }
  for (const auto& [id, found] : rows) {
    double weight = 0.0;
    for (const auto& [holder, row] : found) weight += holders[holder].weight;
    check_weights(holders, weight, "the row of token " + std::to_string(id) + " replaces");
  }
  Json& told = config["trainable_token_indices"];
  if (told.is_object()) {
    const std::string module = parse_adapter_key(name).module;
    for (auto& [key, list] : told.items())
      if (module == key || module.ends_with("." + key)) list = ids;
  } else {
    told = ids;
  }
  const std::int64_t width = holders.front().tensor->shape[1];
  for (const Held& held : holders)
    check(held.tensor->shape[1] == width, place_of(held), ": its rows have ", held.tensor->shape[1],
          " numbers, want ", width);
  return {{name, widest_type(holders), {std::ssize(ids), width}, {}}, [holders, ids, rows, width] {
            std::vector<at::Tensor> tables;
            for (const Held& held : holders) tables.push_back(read_values(*held.tensor));
            at::Tensor result = at::zeros({std::ssize(ids), width}, at::kFloat);
            for (std::size_t i = 0; i < ids.size(); ++i)
              for (const auto& [holder, row] : rows.at(ids[i]))
                result[static_cast<std::int64_t>(i)].add_(tables[holder][row], holders[holder].weight);
            return result;
          }};
}

double scale_of(const WeightedAdapter& weighted, const std::string& module) {
  const auto& pairs = weighted.adapter.pairs;
  const auto pair =
      std::find_if(pairs.begin(), pairs.end(), [&](const FactorPair& one) { return one.module == module; });
  return pair == pairs.end() ? 0.0 : pair->scale;
}

// One for each adapted module, as PEFT has them.
void add_biases_of_b(const std::vector<WeightedAdapter>& adapters, const std::set<std::string>& adapted,
                     std::map<std::string, Holders>& biases, std::vector<RestTensor>& rest) {
  for (const std::string& module : adapted) {
    const std::string name = std::string(kAdapterKeyPrefix) + module + ".lora_B.bias";
    const auto found = biases.find(module);
    if (found != biases.end()) {
      rest.push_back(summed(name, found->second));
      continue;
    }
    for (const WeightedAdapter& weighted : adapters)
      for (const FactorPair& pair : weighted.adapter.pairs) {
        if (pair.module != module) continue;
        check(!pair.of_embedding && !pair.of_parameter(), weighted.adapter.view(),
              ": combine: ", printable(module),
              " takes no bias on B, which another of the adapters has (lora_bias)");
        const std::int64_t out = pair.b->shape[0];
        rest.push_back({{name, DType::kF32, {out}, {}}, [out] { return at::zeros({out}, at::kFloat); }});
        break;
      }
  }
  std::set<std::string> seen;
  std::erase_if(rest, [&](const RestTensor& tensor) { return !seen.insert(tensor.head.name).second; });
}

void check_bias_settings(const std::vector<WeightedAdapter>& adapters) {
  const auto setting = [](const WeightedAdapter& weighted) {
    const auto bias = weighted.adapter.view().find("bias");
    return bias ? bias->as_string() : std::string("none");
  };
  for (const WeightedAdapter& weighted : adapters)
    check(setting(weighted) == setting(adapters.front()), weighted.adapter.view(), ": /bias: combine: got ",
          printable(setting(weighted)), ", want ", printable(setting(adapters.front())), " as in ",
          printable(adapters.front().adapter.path.string()));
}

void join_saved_modules(const std::vector<WeightedAdapter>& adapters, Json& config) {
  Json names = Json::array();
  for (const WeightedAdapter& weighted : adapters)
    if (const auto saved = weighted.adapter.view().find("modules_to_save"))
      saved->each_element([&](const JsonView& name) {
        if (std::find(names.begin(), names.end(), name.json()) == names.end()) names.push_back(name.json());
      });
  if (!names.empty()) config["modules_to_save"] = names;
}

// The same in all files that have it.
RestTensor copied(const std::string& name, const Holders& holders) {
  const TensorView& first = *holders.front().tensor;
  for (const Held& held : holders)
    check(held.tensor->dtype == first.dtype && std::ranges::equal(held.tensor->bytes, first.bytes),
          place_of(held), ": the base's own weight, and not the same as in the other adapter");
  return {{name, first.dtype, first.shape, {}}, [&first] { return read_values(first); }};
}

}  // namespace

std::vector<RestTensor> combined_rest(const std::vector<WeightedAdapter>& adapters,
                                      const std::set<std::string>& adapted, Json& config) {
  check_bias_settings(adapters);
  std::map<std::string, Holders> replaced, tokens, copies, biases;
  for (const WeightedAdapter& weighted : adapters)
    for (const TensorView* tensor : weighted.adapter.others) {
      std::string name = repaired_adapter_key(tensor->name);
      const AdapterKey key = parse_adapter_key(name);
      const Held held{&weighted, tensor, weighted.weight};
      const auto of_linear = [&](const char* end) {
        return std::string(kAdapterKeyPrefix) + key.module + end;
      };
      switch (key.part) {
        case AdapterPart::kTraining:
          break;
        case AdapterPart::kBiasOfB:
          biases[key.module].push_back({&weighted, tensor, weighted.weight * scale_of(weighted, key.module)});
          break;
        case AdapterPart::kTokens:
          tokens[name].push_back(held);
          break;
        case AdapterPart::kBaseWeight:
        case AdapterPart::kMagnitude:
          copies[name].push_back(held);
          break;
        case AdapterPart::kTrainedBias:
          replaced[of_linear(adapted.contains(key.module) ? ".base_layer.bias" : ".bias")].push_back(held);
          break;
        default:
          check(!adapted.contains(key.module), place_of(held),
                ": combine: a weight trained whole, and by A and B in another of the adapters");
          replaced[name].push_back(held);
      }
    }
  std::vector<RestTensor> rest;
  if (!biases.empty()) {
    add_biases_of_b(adapters, adapted, biases, rest);
    config["lora_bias"] = true;
  }
  for (const auto& [name, holders] : replaced) {
    check_weights(holders, sum_of_weights(holders), "replaces");
    rest.push_back(summed(name, holders));
  }
  for (const auto& [name, holders] : tokens) rest.push_back(combined_tokens(name, holders, config));
  for (const auto& [name, holders] : copies) rest.push_back(copied(name, holders));
  join_saved_modules(adapters, config);
  return rest;
}

std::vector<RestTensor> combined_vectors(const std::vector<WeightedAdapter>& adapters) {
  std::map<std::string, Holders> vectors;
  double all = 0.0;
  for (const WeightedAdapter& weighted : adapters) {
    all += weighted.weight;
    for (const TensorView* tensor : weighted.adapter.others) {
      const Held held{&weighted, tensor, weighted.weight};
      check(parse_adapter_key(tensor->name).part == AdapterPart::kIa3, place_of(held),
            ": combine: takes vectors alone of IA3 adapters");
      vectors[repaired_adapter_key(tensor->name)].push_back(held);
    }
  }
  std::vector<RestTensor> rest;
  for (const auto& [name, holders] : vectors) {
    RestTensor tensor = summed(name, holders);
    const double ones = all - sum_of_weights(holders);
    tensor.make = [holders, ones] { return weighted_sum(holders) + ones; };
    rest.push_back(std::move(tensor));
  }
  return rest;
}

}  // namespace graft
