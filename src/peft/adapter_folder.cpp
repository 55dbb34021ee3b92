#include "peft/adapter_folder.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "peft/config_keys.h"
#include "peft/module_scale.h"
#include "peft/saved_init.h"

namespace graft {
namespace {

Path tensors_in(const Path& folder) {
  check(std::filesystem::is_directory(folder), printable(folder.string()), ": no such folder",
        Hint{"an adapter is a folder with adapter_config.json and adapter_model.safetensors"});
  refuse_pickle(folder);
  return folder / kAdapterTensorsName;
}

std::string where_of(const AdapterFolder& adapter, const TensorView& tensor) {
  return printable(adapter.file->path().string()) + ": " + printable(tensor.name);
}

bool is_on(const JsonView& config, const char* key) {
  const auto value = config.find(key);
  return value && value->as_bool();
}

}  // namespace

void refuse_pickle(const Path& folder) {
  const Path pickle = folder / "adapter_model.bin";
  if (std::filesystem::exists(folder / kAdapterTensorsName) || !std::filesystem::exists(pickle)) return;
  fail(
      printable(pickle.string()), ": a pickle can run code and is never read",
      Hint{
          "save the adapter from PEFT with safe_serialization=True, which writes adapter_model.safetensors"});
}

AdapterFolder open_adapter_folder(const Path& path) {
  const Path tensors = tensors_in(path);
  AdapterFolder adapter{path,
                        read_config_document(path / kAdapterConfigName),
                        std::make_shared<SafetensorsFile>(tensors),
                        {},
                        {}};
  adapter.peft_type();
  for (const TensorView& tensor : adapter.file->tensors()) {
    const AdapterPart part = parse_adapter_key(tensor.name).part;
    if (part != AdapterPart::kA && part != AdapterPart::kB) adapter.others.push_back(&tensor);
  }
  adapter.pairs = factor_pairs(adapter.view(), adapter.file->tensors(), tensors.string());
  return adapter;
}

void check_pairs(const AdapterFolder& adapter, const std::string& verb) {
  check(!adapter.pairs.empty(), printable(adapter.file->path().string()), ": ", verb,
        ": the file holds no lora_A and lora_B (peft_type ", printable(adapter.peft_type()), ")");
  for (const FactorPair& pair : adapter.pairs) {
    const std::string file = printable(adapter.file->path().string());
    check(pair.a != nullptr, file, ": ", printable(pair.module), ": has lora_B and no lora_A");
    check(pair.b != nullptr, file, ": ", printable(pair.module), ": has lora_A and no lora_B");
    check(pair.a->shape[0] == pair.b->shape[1], where_of(adapter, *pair.b), ": got shape ",
          pair.b->shape_text(), ", want [", pair.b->shape[0], ", ", pair.a->shape[0], "] as lora_A is ",
          pair.a->shape_text());
    for (const TensorView* tensor : {pair.a, pair.b})
      check(holds_floats(tensor->dtype), where_of(adapter, *tensor), ": got type ",
            traits(tensor->dtype).name, ", want a type of floating-point numbers");
    check(pair.rank() == pair.config_rank, where_of(adapter, *pair.a), ": got rank ", pair.rank(), ", want ",
          pair.config_rank, " as ", kAdapterConfigName, " says", absent_rank_text(adapter.view()),
          Hint{adapter.view().find("r") ? "" : "write \"r\" and the \"lora_alpha\" of the training into it"});
  }
}

void check_factors(const AdapterFolder& adapter, const std::string& verb) {
  const JsonView config = adapter.view();
  check(adapter.peft_type() == "LORA", config, ": ", verb, ": works on A and B, want a LoRA (got peft_type ",
        printable(adapter.peft_type()), ")", Hint{"`graft merge` writes it into its base"});
  refuse_other_mathematics(config, verb);
  check(!changes_base(config), config, ": ", verb,
        ": its init_lora_weights makes A and B parts of the base's weight",
        Hint{"save the adapter from PEFT with path_initial_model_for_weight_conversion, which makes a plain "
             "LoRA of it"});
  check_pairs(adapter, verb);
}

void check_plain(const AdapterFolder& adapter, const std::string& verb) {
  check_factors(adapter, verb);
  refuse_other_mathematics(adapter.view());
  const Hint merge{"`graft merge` writes it into its base"};
  for (const FactorPair& pair : adapter.pairs)
    check(pair.experts == 1, where_of(adapter, *pair.a), ": ", verb,
          ": takes adapters of single experts, not of all in one tensor, as PEFT saves those of a parameter",
          merge);
  for (const char* key : {"use_dora", "lora_bias"})
    check(!is_on(adapter.view(), key), adapter.view(), ": ", verb, ": takes adapters of A and B alone (got ",
          key, ")", merge);
  for (const TensorView* tensor : adapter.others)
    check(parse_adapter_key(tensor->name).part == AdapterPart::kBaseWeight, where_of(adapter, *tensor), ": ",
          verb, ": takes adapters of A and B alone", merge);
}

ValueScan scan_values(const TensorView& tensor) {
  constexpr std::size_t kValues = std::size_t{1} << 18;
  const std::size_t width = traits(tensor.dtype).bytes;
  std::vector<float> values(std::min(kValues, static_cast<std::size_t>(tensor.elements())));
  ValueScan scan;
  for (std::size_t at = 0; at < tensor.bytes.size(); at += kValues * width) {
    const auto bytes = tensor.bytes.subspan(at, std::min(kValues * width, tensor.bytes.size() - at));
    const std::span<float> part(values.data(), bytes.size() / width);
    decode_to_f32(tensor.dtype, bytes, part);
    for (const float value : part) {
      scan.all_finite = scan.all_finite && std::isfinite(value);
      scan.all_zero = scan.all_zero && value == 0.0F;
      scan.squares += static_cast<double>(value) * static_cast<double>(value);
    }
  }
  return scan;
}

at::Tensor read_values(const TensorView& tensor) {
  at::Tensor values = at::empty(tensor.shape, at::kFloat);
  decode_to_f32(tensor.dtype, tensor.bytes,
                {values.mutable_data_ptr<float>(), static_cast<std::size_t>(values.numel())});
  return values;
}

at::Tensor read_factor(const TensorView& tensor, const Path& where) {
  at::Tensor factor = read_values(tensor);
  // A sum of finite values may overflow: then each is looked at.
  const bool finite = std::isfinite(factor.sum().item<float>()) || at::isfinite(factor).all().item<bool>();
  check(finite, printable(where.string()), ": ", printable(tensor.name),
        ": holds a value that is not finite");
  return factor;
}

}  // namespace graft
