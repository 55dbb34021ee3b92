#include "peft/adapter_file.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/console.h"
#include "base/error.h"
#include "base/text.h"
#include "peft/adapter_config.h"
#include "peft/adapter_folder.h"
#include "peft/adapter_names.h"
#include "peft/base_identity.h"
#include "peft/gguf_adapter.h"
#include "peft/install.h"
#include "peft/methods.h"
#include "peft/parameter_targets.h"
#include "peft/target_modules.h"
#include "peft/vera.h"
#include "store/gguf.h"
#include "store/safetensors.h"

namespace graft {
namespace {

constexpr char kConfigName[] = "adapter_config.json";
constexpr char kTensorsName[] = "adapter_model.safetensors";
// A copy of the base's weight was rounded to what PEFT computed in: bf16 keeps 8 bits.
constexpr double kCopyTolerance = 1.0 / 128;

Path tensors_path(const Path& folder) {
  check(
      std::filesystem::is_directory(folder), folder.string(), ": no such folder",
      Hint{"an adapter is a folder with adapter_config.json and adapter_model.safetensors, or a GGUF LoRA"});
  const Path path = folder / kTensorsName;
  refuse_pickle(folder);
  return path;
}

std::string text_of(const std::vector<std::int64_t>& shape) {
  std::vector<std::string> dims;
  for (const std::int64_t dim : shape) dims.push_back(std::to_string(dim));
  return "[" + join(dims, ", ") + "]";
}

at::Tensor read_tensor(const std::string& where, const TensorView& tensor,
                       const std::vector<std::int64_t>& shape, const LoraOptions& options) {
  const std::string place = where + ": " + printable(tensor.name);
  const bool is_float =
      tensor.dtype == DType::kF32 || tensor.dtype == DType::kF16 || tensor.dtype == DType::kBF16;
  check(is_float, place, ": got type ", traits(tensor.dtype).name, ", want f32, f16 or bf16");
  check(tensor.shape == shape, place, ": got shape ", tensor.shape_text(), ", want ", text_of(shape),
        Hint{options.rank_pattern.size() > 1
                 ? "PEFT sorts rank_pattern when it saves; where keys overlap, the first in the file counts"
                 : ""});
  const std::vector<float> values = decode(tensor);
  at::Tensor read = at::empty(shape, at::kFloat);
  std::copy(values.begin(), values.end(), read.mutable_data_ptr<float>());
  check(at::isfinite(read).all().item<bool>(), place, ": holds a value that is not finite");
  return read;
}

// The last names of modules that the file has factors of.
std::vector<std::string> adapted_leaves(const NamedTensors& named) {
  std::vector<std::string> modules;
  for (const auto& [name, tensor] : named.tensors)
    if (const AdapterKey key = parse_adapter_key(name); key.part != AdapterPart::kWhole)
      modules.push_back(key.module);
  return leaf_names(modules);
}

// A config without r may be of another rank than PEFT's default: then no shape but the config is wrong.
void check_default_rank(const AdapterConfig& config, const std::string& config_path,
                        const AdapterLayout& layout, const NamedTensors& named) {
  if (config.has_rank || config.options.method == AdapterMethod::kIa3) return;
  for (const AdaptedModule& module : layout.adapted) {
    const auto found = named.tensors.find(module.path + ".lora_A.weight");
    if (found == named.tensors.end() || module.r != config.options.r) continue;
    const TensorView& a = *found->second;
    if (a.shape.empty() || a.shape.front() == module.r) continue;
    const std::string rank = std::to_string(a.shape.front());
    fail(config_path, ": has no r (PEFT takes ", config.options.r, "), and ", printable(a.name), " has rank ",
         rank, Hint{"write \"r\": " + rank + " into it, and the lora_alpha of the training: PEFT takes 8"});
  }
}

// PEFT's choice of targets where the config leaves it open. Source: utils/constants.py of huggingface/peft.
TargetModules default_targets(const Decoder& model, AdapterMethod method, const std::string& where,
                              const NamedTensors& named) {
  struct Row {
    const char* type;
    std::vector<std::string> factors, vectors;  // of LoRA and VeRA; of IA3
  };
  const std::vector<std::string> query_value = {"q_proj", "v_proj"};
  const std::vector<std::string> with_key = {"k_proj", "v_proj", "down_proj"},
                                 with_query = {"q_proj", "v_proj", "down_proj"};
  const std::vector<Row> rows = {
      {"llama", query_value, with_key},    {"mistral", query_value, with_key},
      {"qwen2", query_value, with_key},    {"qwen3", query_value, with_key},
      {"gemma2", query_value, with_query}, {"gemma3_text", query_value, with_query}};
  const std::string& type = model.config.model_type;
  const auto row = std::find_if(rows.begin(), rows.end(), [&](const Row& r) { return r.type == type; });
  check(row != rows.end(), where, ": /target_modules: null, and PEFT's default for model type '", type,
        "' is not known here",
        Hint{"the file has adapters of " + join(adapted_leaves(named), ", ") + ": write that list there"});
  return {.all_linear = false, .names = method == AdapterMethod::kIa3 ? row->vectors : row->factors};
}

void judge_zero(const AdapterFile& adapter, const Path& folder, ZeroAdapter zero) {
  // What starts at zero, or at the base's own values, is B's and VeRA's; all else is taken to be trained.
  const auto is_start = [](const std::string& name) {
    return name.ends_with(".lora_B.weight") || name.ends_with(".lora_B.bias") ||
           name.ends_with(".vera_lambda_b") || name.ends_with(".lora_embedding_A");
  };
  bool any = false, all_zero = true;
  for (const auto& [name, value] : adapter.tensors) {
    if (!is_start(name)) continue;
    any = true;
    all_zero = all_zero && !at::any(value.ne(0)).item<bool>();
  }
  const bool more = !adapter.layout.whole.empty() || !adapter.layout.tokens.empty() ||
                    !adapter.layout.biases.empty() || adapter.options.method == AdapterMethod::kDora;
  const bool no_scale = adapter.options.alpha == 0 && adapter.options.alpha_pattern.empty();
  if (more || !any || !(all_zero || no_scale)) return;
  const std::string message =
      folder.string() + ": this adapter changes nothing: " +
      (all_zero ? "every B is zero (it was saved untrained, or was lost)" : "lora_alpha is 0");
  check(zero != ZeroAdapter::kRefuse, message);
  if (zero == ZeroAdapter::kWarn) warn(message);
}

// PEFT adds the base's embedding where it has an adapter. Another one would be another base.
void check_base_copies(const Decoder& model, const NamedTensors& named, const std::string& where) {
  for (const auto& [module, tensor] : named.base_copies) {
    const bool is_head = module == model.head.name;
    check(is_head || module == kEmbeddingPath, where, ": ", printable(tensor->name),
          ": unexpected tensor: a weight that is to replace the base's");
    const FrozenWeight& weight = is_head ? *model.head.weight : *model.embedding;
    const std::vector<std::int64_t> shape = {weight.out_features(), weight.in_features()};
    const at::Tensor copy = read_tensor(where, *tensor, shape, {});
    const double norm = copy.norm().item<double>(),
                 distance = (weight.rows(0, shape[0]) - copy).norm().item<double>();
    check(distance <= kCopyTolerance * norm, where, ": ", printable(tensor->name),
          ": replaces the base's weight by another one: not supported",
          Hint{"merge it into the base with PEFT, and train on that"});
  }
}

struct OpenAdapter {
  AdapterFile adapter;
  SafetensorsFile file;
  NamedTensors named;
  SplitTensors split;
  std::vector<TensorSpec> specs;
};

OpenAdapter open_adapter(const Decoder& model, const Path& folder) {
  const Path path = tensors_path(folder);
  const std::string config_path = (folder / kConfigName).string(), where = path.string();
  AdapterConfig config = read_adapter_config(config_path);
  LoraOptions& options = config.options;
  SafetensorsFile file(path);  // what can throw stays out of the aggregate
  OpenAdapter open{.adapter = {}, .file = std::move(file), .named = {}, .split = {}, .specs = {}};
  open.named = name_tensors(open.file.tensors(), where);
  check(config.target_parameters.empty() || !starts_from_weight(options), config_path,
        ": /init_lora_weights: PEFT has no such start of target_parameters");
  if (config.default_targets)
    options.target_modules = default_targets(model, options.method, config_path, open.named);
  if (!config.target_parameters.empty())
    open.split = split_parameters(model, config.target_parameters, config_path, where, open.named, options);
  open.adapter.options = options;
  AdapterLayout& layout = open.adapter.layout;
  layout =
      lay_out(model, options, TargetSource::kFile, config_path + ": /target_modules", open.named.wrapper);
  open.adapter.modules = layout.adapted_paths();
  open.specs = tensors_of(layout, options);
  const bool drawn_again = !open.named.tensors.contains(kVeraA) && !open.named.tensors.contains(kVeraB);
  if (drawn_again)
    std::erase_if(open.specs,
                  [](const TensorSpec& spec) { return spec.name == kVeraA || spec.name == kVeraB; });
  const std::string by_default =
      "target_modules is null, and PEFT's default, " + join(options.target_modules.names, " and ") + ",";
  check_names(where, open.named, open.specs, config.default_targets ? by_default : "target_modules");
  check_default_rank(config, config_path, layout, open.named);
  return open;
}

// What ensure_weight_tying says is one: of the head the file holds the embedding's, transposed where factors.
void check_tied_copies(const AdapterFile& adapter, const std::string& where) {
  if (!adapter.layout.tied_head) return;
  struct Copy {
    const char *head, *own;
    bool transposed;
  };
  constexpr std::array kCopies = {Copy{"lm_head.weight", ".weight", false},
                                  Copy{"lm_head.lora_A.weight", ".lora_embedding_B", true},
                                  Copy{"lm_head.lora_B.weight", ".lora_embedding_A", true}};
  for (const auto& [head, own, transposed] : kCopies) {
    const auto copy = adapter.tensors.find(head);
    if (copy == adapter.tensors.end()) continue;
    const at::Tensor& tied = adapter.tensors.at(std::string(kEmbeddingPath) + own);
    check(at::equal(copy->second, transposed ? tied.t() : tied), where, ": ", file_key(head),
          ": differs from the embedding's, though ensure_weight_tying makes them one");
  }
}

// PEFT takes such factors out of the base again whenever it loads them.
void take_start(const Decoder& model, AdapterFile& adapter, const Path& config) {
  if (!starts_from_weight(adapter.options)) return;
  warn(config.string() +
       ": init_lora_weights: A and B were parts of the base's weight; what is subtracted again is computed "
       "from this base, which must be the one that it was trained on, in full precision");
  derive_starts(model, adapter.layout, adapter.options, adapter.tensors);
}

void collect_factors(AdapterFile& adapter) {
  for (const AdaptedModule& module : adapter.layout.adapted)
    if (adapter.tensors.contains(module.path + ".lora_A.weight"))
      adapter.factors[module.path] = lora_factors(module, adapter.tensors);
}

AdapterFile read_gguf(const Decoder& model, const Path& path, OtherBase other) {
  GgufAdapter read = read_gguf_adapter(model, path);
  AdapterFile adapter;
  adapter.options = std::move(read.options);
  adapter.tensors = std::move(read.tensors);
  adapter.layout = lay_out(model, adapter.options, TargetSource::kFile, path.string());
  adapter.modules = adapter.layout.adapted_paths();
  for (const TensorSpec& spec : tensors_of(adapter.layout, adapter.options))
    check(adapter.tensors.at(spec.name).sizes() == at::IntArrayRef(spec.shape), path.string(), ": ",
          spec.name, ": does not fit the base (want ", text_of(spec.shape), ")");
  collect_factors(adapter);
  check_base_identity(model, read.metadata, path.string(), other);
  return adapter;
}

bool is_gguf_file(const Path& path) { return std::filesystem::is_regular_file(path) && is_gguf(path); }

}  // namespace

AdapterFile outline_adapter_file(const Decoder& model, const Path& folder) {
  if (is_gguf_file(folder)) return read_gguf(model, folder, OtherBase::kWarn);
  return open_adapter(model, folder).adapter;
}

AdapterFile read_adapter(const Decoder& model, const Path& folder, ZeroAdapter zero, OtherBase other) {
  if (is_gguf_file(folder)) {
    AdapterFile adapter = read_gguf(model, folder, other);
    judge_zero(adapter, folder, zero);
    return adapter;
  }
  OpenAdapter open = open_adapter(model, folder);
  AdapterFile& adapter = open.adapter;
  const std::string where = open.file.path().string();
  for (const TensorSpec& spec : open.specs)
    adapter.tensors[spec.name] =
        read_tensor(where, *open.named.tensors.at(spec.name), spec.shape, adapter.options);
  if (adapter.options.method == AdapterMethod::kVera && !adapter.tensors.contains(kVeraA))
    draw_vera_projections(adapter.layout, adapter.options.projection_prng_key, adapter.tensors);
  check_tied_copies(adapter, where);
  take_start(model, adapter, folder / kConfigName);
  collect_factors(adapter);
  check_base_copies(model, open.named, where);
  judge_zero(adapter, folder, zero);
  check_base_identity(model, open.file.metadata(), where, other);
  return std::move(adapter);
}

void restore_adapter(const AdapterSet& adapters, const Path& folder) {
  const SafetensorsFile file(folder / kTensorsName);
  const std::string where = file.path().string();
  check(file.tensors().size() == adapters.stored.size(), where, ": holds ", file.tensors().size(),
        " tensors, want ", adapters.stored.size());
  for (const StoredTensor& stored : adapters.stored) {
    const TensorView* tensor = file.find(file_key(stored.name));
    check(tensor != nullptr, where, ": tensor ", file_key(stored.name), " is missing");
    const bool fits = tensor->dtype == DType::kF32 && tensor->shape == stored.value().sizes().vec();
    check(fits, where, ": tensor ", tensor->name, " has shape ", tensor->shape_text(), ", want another");
    stored.restore(read_tensor(where, *tensor, tensor->shape, {}));
  }
}

void save_adapter(const AdapterSet& adapters, const Path& folder, const std::string& base_path,
                  const std::map<std::string, std::string>& metadata) {
  std::vector<TensorView> tensors;
  std::vector<at::Tensor> alive;
  for (const StoredTensor& stored : adapters.stored) {
    const at::Tensor& value = alive.emplace_back(stored.value());
    const std::span<const float> values(value.const_data_ptr<float>(),
                                        static_cast<std::size_t>(value.numel()));
    tensors.push_back({file_key(stored.name), DType::kF32, value.sizes().vec(), std::as_bytes(values)});
  }
  std::map<std::string, std::string> all = metadata;
  all["format"] = "pt";
  write_safetensors(folder / kTensorsName, tensors, all);
  const ExpertTargets experts =
      expert_targets(adapters.layout, adapters.options, written_rank_factor(adapters.options));
  const Json config = adapter_config_json(adapters.options, adapters.modules, base_path, experts);
  write_file(folder / kConfigName, to_text(config, 2) + "\n");
}

}  // namespace graft
