#pragma once

#include <ATen/ATen.h>

#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "peft/adapter_folder.h"
#include "peft/fixture.h"

namespace graft {

/// An adapter folder under construction: a plain LoRA of rank 4 on two modules, to be changed by a test.
struct MadeAdapter {
  Json config = {{"peft_type", "LORA"},
                 {"r", 4},
                 {"lora_alpha", 8},
                 {"target_modules", {"q_proj", "v_proj"}},
                 {"base_model_name_or_path", "base"},
                 {"task_type", "CAUSAL_LM"}};
  std::map<std::string, at::Tensor> tensors;
  std::map<std::string, std::string> metadata = {{"format", "pt"}};

  explicit MadeAdapter(std::int64_t seed = 0) {
    at::manual_seed(static_cast<std::uint64_t>(seed));
    add("model.layers.0.self_attn.q_proj", 12, 10, 4);
    add("model.layers.0.self_attn.v_proj", 6, 10, 4);
  }
  void add(const std::string& module, std::int64_t out, std::int64_t in, std::int64_t rank) {
    tensors[a_key(module)] = at::randn({rank, in});
    tensors[b_key(module)] = at::randn({out, rank});
  }
  static std::string a_key(const std::string& module) {
    return "base_model.model." + module + ".lora_A.weight";
  }
  static std::string b_key(const std::string& module) {
    return "base_model.model." + module + ".lora_B.weight";
  }
  /// Writes the folder, which may exist.
  void write(const Path& folder) const {
    std::filesystem::create_directories(folder);
    std::vector<TensorView> views;
    for (const auto& [name, tensor] : tensors) views.push_back(view_of(name, tensor));
    write_safetensors(folder / "adapter_model.safetensors", views, metadata);
    write_file(folder / "adapter_config.json", to_text(config, 2));
  }

 private:
  static TensorView view_of(const std::string& name, const at::Tensor& tensor) {
    const DType dtype = tensor.scalar_type() == at::kFloat      ? DType::kF32
                        : tensor.scalar_type() == at::kBFloat16 ? DType::kBF16
                        : tensor.scalar_type() == at::kHalf     ? DType::kF16
                                                                : DType::kI64;
    return {name,
            dtype,
            tensor.sizes().vec(),
            {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()}};
  }
};

/// The scale B A of each module of a folder, in fp64, built whole.
inline std::map<std::string, at::Tensor> products_of(const Path& folder) {
  const AdapterFolder adapter = open_adapter_folder(folder);
  check_pairs(adapter, "test");
  std::map<std::string, at::Tensor> products;
  for (const FactorPair& pair : adapter.pairs)
    products[pair.module] =
        pair.scale * read_values(*pair.b).to(at::kDouble).mm(read_values(*pair.a).to(at::kDouble));
  return products;
}

}  // namespace graft
