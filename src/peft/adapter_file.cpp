#include "peft/adapter_file.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "base/console.h"
#include "base/error.h"
#include "base/text.h"
#include "peft/adapter_config.h"
#include "peft/base_identity.h"
#include "peft/selection.h"
#include "store/safetensors.h"

namespace graft {
namespace {

constexpr char kConfigName[] = "adapter_config.json";
constexpr char kTensorsName[] = "adapter_model.safetensors";
constexpr std::string_view kPrefix = "base_model.model.";

Path tensors_path(const Path& folder) {
  check(std::filesystem::is_directory(folder), folder.string(), ": no such folder",
        Hint{"an adapter is a folder with adapter_config.json and adapter_model.safetensors"});
  const Path path = folder / kTensorsName;
  if (!std::filesystem::exists(path) && std::filesystem::exists(folder / "adapter_model.bin"))
    fail((folder / "adapter_model.bin").string(), ": a pickle can run code and is never read",
         Hint{"save the adapter from PEFT with safe_serialization=True, which writes "
              "adapter_model.safetensors"});
  return path;
}

// PEFT puts the adapter's name into keys on loading ("lora_A.default.weight"); files that kept it load there
// too.
std::string without_adapter_name(std::string key) {
  for (const std::string_view factor : {".lora_A.", ".lora_B."}) {
    const std::string named = std::string(factor) + "default.weight";
    if (key.ends_with(named))
      return key.substr(0, key.size() - named.size()) + std::string(factor) + "weight";
  }
  return key;
}

using TensorMap = std::map<std::string, const TensorView*>;

TensorMap tensors_by_key(const SafetensorsFile& file) {
  TensorMap tensors;
  for (const TensorView& tensor : file.tensors()) {
    const bool fresh = tensors.emplace(without_adapter_name(tensor.name), &tensor).second;
    check(fresh, file.path().string(), ": ", printable(tensor.name),
          ": twice in the file, with and without the adapter's name");
  }
  return tensors;
}

// What tensors that graft has no place for mean in PEFT's files.
struct Meaning {
  std::string_view part, meaning;
};
constexpr std::array kMeanings = {
    Meaning{"lora_magnitude_vector", "DoRA's magnitudes are not supported yet"},
    Meaning{"lora_embedding_", "adapters on embeddings are not supported yet"},
    Meaning{"trainable_tokens_delta", "trained tokens are not supported yet"},
    Meaning{"lora_B.bias", "a bias on B is not supported yet"},
    Meaning{".base_layer.", "weights that replace the base's are not supported yet"},
};

std::string reason_unexpected(const std::string& key) {
  if (!key.starts_with(kPrefix)) return "PEFT's keys start with " + std::string(kPrefix);
  for (const Meaning& entry : kMeanings)
    if (key.find(entry.part) != std::string::npos) return std::string(entry.meaning);
  if (key.find(".lora_A.") != std::string::npos || key.find(".lora_B.") != std::string::npos)
    return "target_modules of the config and the base's linears do not name this module";
  return "a weight trained whole (modules_to_save) is not supported yet";
}

std::string near_hint(const std::string& key, const std::vector<std::string>& names, const char* lead) {
  const auto near = nearest(key, names);
  return near ? lead + printable(*near) : std::string();
}

std::vector<std::string> keys_of(const std::vector<std::string>& modules) {
  std::vector<std::string> keys;
  for (const std::string& module : modules)
    for (const char* factor : {".lora_A.weight", ".lora_B.weight"})
      keys.push_back(std::string(kPrefix) + module + factor);
  return keys;
}

// Both directions before any tensor is decoded, so that a misnamed module is told as one thing.
void check_keys(const std::string& where, const TensorMap& tensors,
                const std::vector<std::string>& expected) {
  const std::set<std::string_view> wanted(expected.begin(), expected.end());
  std::vector<std::string> present, unexpected;
  for (const auto& [key, tensor] : tensors) {
    present.push_back(key);
    if (!wanted.contains(key)) unexpected.push_back(key);
  }
  if (!unexpected.empty()) {
    const std::string& key = unexpected.front();
    fail(where, ": ", printable(key), ": unexpected tensor (", unexpected.size(),
         " such): ", reason_unexpected(key), Hint{near_hint(key, expected, "the nearest expected name is ")});
  }
  const auto missing = [&](const std::string& key) { return !tensors.contains(key); };
  const auto first = std::find_if(expected.begin(), expected.end(), missing);
  if (first == expected.end()) return;
  fail(where, ": ", *first, ": missing tensor (", std::count_if(expected.begin(), expected.end(), missing),
       " such), though ", kConfigName, " targets its module",
       Hint{near_hint(*first, present, "the nearest name in the file is ")});
}

at::Tensor read_factor(const std::string& where, const TensorView& tensor, std::int64_t rows,
                       std::int64_t columns) {
  const std::string place = where + ": " + printable(tensor.name);
  const bool is_float =
      tensor.dtype == DType::kF32 || tensor.dtype == DType::kF16 || tensor.dtype == DType::kBF16;
  check(is_float, place, ": got type ", traits(tensor.dtype).name, ", want f32, f16 or bf16");
  check(tensor.shape == std::vector<std::int64_t>{rows, columns}, place, ": got shape ", tensor.shape_text(),
        ", want [", rows, ", ", columns, "]");
  std::vector<float> values = decode(tensor);
  at::Tensor factor = at::empty({rows, columns}, at::kFloat);
  std::copy(values.begin(), values.end(), factor.mutable_data_ptr<float>());
  check(at::isfinite(factor).all().item<bool>(), place, ": holds a value that is not finite");
  return factor;
}

// PEFT's choice of targets where the config leaves it open. Source:
// TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING.
TargetModules default_targets(const Decoder& model, const std::string& where) {
  constexpr std::array kQueryValue = {"llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text"};
  const std::string& type = model.config.model_type;
  const bool known = std::find(kQueryValue.begin(), kQueryValue.end(), type) != kQueryValue.end();
  check(known, where, ": /target_modules: null, and PEFT's default for model type '", type,
        "' is not known here");
  return TargetModules{.all_linear = false, .names = {"q_proj", "v_proj"}};
}

void judge_zero(const AdapterFile& adapter, const Path& folder, ZeroAdapter zero) {
  const bool all_zero = std::none_of(adapter.factors.begin(), adapter.factors.end(), [](const auto& entry) {
    return at::any(entry.second.b.ne(0)).template item<bool>();
  });
  if (!all_zero && adapter.options.alpha != 0) return;
  const std::string message =
      folder.string() + ": this adapter changes nothing: " +
      (all_zero ? "every B is zero (it was saved untrained, or was lost)" : "lora_alpha is 0");
  check(zero != ZeroAdapter::kRefuse, message);
  if (zero == ZeroAdapter::kWarn) warn(message);
}

}  // namespace

AdapterFile outline_adapter_file(const Decoder& model, const Path& folder) {
  const Path path = tensors_path(folder);
  const std::string config_path = (folder / kConfigName).string();
  AdapterConfig config = read_adapter_config(config_path);
  if (config.default_targets) config.options.target_modules = default_targets(model, config_path);
  const SafetensorsFile file(path);
  AdapterFile adapter{.options = config.options, .modules = {}, .factors = {}};
  adapter.modules =
      select_modules(model, adapter.options, TargetSource::kFile, config_path + ": /target_modules");
  check_keys(path.string(), tensors_by_key(file), keys_of(adapter.modules));
  return adapter;
}

AdapterFile read_adapter(const Decoder& model, const Path& folder, ZeroAdapter zero, OtherBase other) {
  AdapterFile adapter = outline_adapter_file(model, folder);
  const Path path = tensors_path(folder);
  const std::string where = path.string();
  const SafetensorsFile file(path);
  const TensorMap tensors = tensors_by_key(file);
  model.each_group([&](const LinearGroup& group) {
    for (const Linear& linear : group.linears) {
      const std::string key = std::string(kPrefix) + linear.name;
      const auto a = tensors.find(key + ".lora_A.weight"), b = tensors.find(key + ".lora_B.weight");
      if (a == tensors.end()) continue;
      const std::int64_t in = linear.weight->in_features(), out = linear.weight->out_features();
      adapter.factors[linear.name] = {linear.name, read_factor(where, *a->second, adapter.options.r, in),
                                      read_factor(where, *b->second, out, adapter.options.r)};
    }
  });
  judge_zero(adapter, folder, zero);
  check_base_identity(model, file.metadata(), where, other);
  return adapter;
}

void save_adapter(const AdapterSet& adapters, const Path& folder, const std::string& base_path,
                  const std::map<std::string, std::string>& metadata) {
  std::vector<TensorView> tensors;
  std::vector<at::Tensor> alive;
  for (const Parameter& parameter : adapters.parameters) {
    const at::Tensor& value = alive.emplace_back(parameter.value.detach().contiguous());
    const std::span<const float> values(value.const_data_ptr<float>(),
                                        static_cast<std::size_t>(value.numel()));
    tensors.push_back(
        {std::string(kPrefix) + parameter.name, DType::kF32, value.sizes().vec(), std::as_bytes(values)});
  }
  std::map<std::string, std::string> all = metadata;
  all["format"] = "pt";
  write_safetensors(folder / kTensorsName, tensors, all);
  const Json config = adapter_config_json(adapters.options, adapters.modules, base_path);
  write_file(folder / kConfigName, to_text(config, 2) + "\n");
}

}  // namespace graft
