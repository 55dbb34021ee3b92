#include "cli/golden_file.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "base/sha256.h"
#include "peft/base_identity.h"
#include "peft/layout.h"
#include "store/gguf.h"
#include "store/safetensors.h"

namespace graft {
namespace {

// Another base agrees on half of them, and never by chance on 95 %.
constexpr std::int64_t kSigns = 256;

class TypeCount {
 public:
  void add(const TensorView& tensor) { values_[tensor.dtype] += tensor.elements(); }
  std::string most() const {
    const auto largest =
        std::ranges::max_element(values_, {}, [](const auto& entry) { return entry.second; });
    if (largest == values_.end()) return "";
    return largest->first == DType::kU8 ? "nf4" : std::string(traits(largest->first).name);
  }

 private:
  std::map<DType, std::int64_t> values_;
};

std::vector<std::string> linears_of(const Decoder& model) {
  std::vector<std::string> paths;
  for (const ModuleView& module : modules_of(model))
    if (module.kind == ModuleKind::kLinear) paths.push_back(module.path);
  return paths;
}

}  // namespace

Golden make_golden(const GoldenOrigin& origin, const Prompts& prompts, const at::Tensor& adapted,
                   const at::Tensor& base) {
  Golden golden{.dtype = origin.model.dtype == at::kFloat ? "fp32" : "bf16",
                .weights = origin.weights,
                .base_path = origin.base_path,
                .fingerprint = base_fingerprint(origin.model, linears_of(origin.model), kSigns),
                .adapter_sha256 = adapter_hash(origin.adapter)};
  std::int64_t first = 0;
  for (const auto& prompt : prompts) {
    const std::int64_t tokens = std::ssize(prompt);
    golden.prompts.push_back(
        golden_prompt(prompt, adapted.narrow(0, first, tokens), base.narrow(0, first, tokens)));
    first += tokens;
  }
  return golden;
}

void write_golden(const Golden& golden, const Path& path) {
  write_file(path, to_text(golden_json(golden)) + "\n");
}

Path golden_path(const Path& out) {
  return std::filesystem::is_directory(out) ? out / kGoldenName : Path(out).replace_extension(kGoldenName);
}

std::string weights_word(const Path& base) {
  TypeCount count;
  if (std::filesystem::is_directory(base)) {
    const SafetensorsFolder folder(base);
    for (const std::string& name : folder.names()) count.add(*folder.find(name));
  } else {
    const GgufFile file(base);
    for (const TensorView& tensor : file.tensors()) count.add(tensor);
  }
  return count.most();
}

std::string adapter_hash(const Path& adapter) {
  const bool folder = std::filesystem::is_directory(adapter);
  const Path file = folder ? adapter / "adapter_model.safetensors" : adapter;
  return std::filesystem::exists(file) ? sha256_of_file(file) : "";
}

}  // namespace graft
