#include <optional>
#include <vector>

#include "base/error.h"
#include "model/config_layers.h"

namespace graft {
namespace {

constexpr std::int64_t kMaxExperts = 65'536;
constexpr std::int64_t kMaxWidth = std::int64_t{1} << 24;
constexpr const char* kNewerKey = "num_local_experts";  // what transformers 5 writes for every class

std::int64_t number_of_experts(const JsonView& json, const Family& family) {
  const auto own = json.find(family.traits.experts), newer = json.find(kNewerKey);
  if (!own && newer) return newer->as_int(0, kMaxExperts);
  const std::int64_t count = json.at(family.traits.experts).as_int(0, kMaxExperts);
  check(!newer || newer->as_int(0, kMaxExperts) == count, json.where(), ": /", family.traits.experts,
        " and /", kNewerKey, " do not agree (got ", count, " and ", newer ? newer->as_int(0, kMaxExperts) : 0,
        ")");
  return count;
}

/// The blocks that mlp_only_layers names have one MLP, and so have those that decoder_sparse_step passes
/// over.
std::vector<bool> sparse_layers(const JsonView& json, std::size_t count) {
  const auto step = json.find("decoder_sparse_step");
  const auto every = static_cast<std::size_t>(step ? step->as_int(1, INT32_MAX) : 1);
  std::vector<bool> sparse(count);
  for (std::size_t i = 0; i < count; ++i) sparse[i] = (i + 1) % every == 0;
  const auto dense = json.find("mlp_only_layers");
  if (!dense) return sparse;
  check(dense->is_array(), dense->where(), ": want a list of layers");
  dense->each_element([&](const JsonView& layer) {
    // A number beyond the last layer means nothing, as in Hugging Face's class.
    const auto index = static_cast<std::size_t>(layer.as_int(0, INT32_MAX));
    if (index < count) sparse[index] = false;
  });
  return sparse;
}

}  // namespace

void read_experts(const JsonView& json, const Family& family, ModelConfig& config) {
  const FamilyTraits& traits = family.traits;
  const std::int64_t count = number_of_experts(json, family);
  if (count == 0) return;
  const auto normalized = json.find("norm_topk_prob");
  config.experts = {.count = count,
                    .per_token = json.at("num_experts_per_tok").as_int(1, kMaxExperts),
                    .width = json.at(traits.expert_width).as_int(1, kMaxWidth),
                    .normalized = traits.normalized_routing || (normalized && normalized->as_bool())};
  check(config.experts.per_token <= count, json.where(), ": /num_experts_per_tok: more than there are (got ",
        config.experts.per_token, ", want at most ", count, ")");
  const std::vector<bool> sparse = sparse_layers(json, config.layers.size());
  for (std::size_t i = 0; i < sparse.size(); ++i) config.layers[i].sparse = sparse[i];
}

}  // namespace graft
