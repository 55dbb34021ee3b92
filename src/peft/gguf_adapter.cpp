#include "peft/gguf_adapter.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/text.h"
#include "model/families.h"
#include "peft/layout.h"
#include "store/gguf.h"

namespace graft {
namespace {

constexpr std::string_view kA = ".lora_a", kB = ".lora_b", kWeight = ".weight";

struct Pair {
  std::optional<TensorView> a, b;
  RowOrder order = RowOrder::kSame;
};
using Pairs = std::map<std::string, Pair>;  // by path of the module

at::Tensor values_of(const TensorView& tensor, const std::string& where) {
  check(tensor.shape.size() == 2, where, ": ", printable(tensor.name), ": got shape ", tensor.shape_text(),
        ", want a matrix");
  const std::vector<float> values = decode(tensor);
  at::Tensor read = at::empty(tensor.shape, at::kFloat);
  std::copy(values.begin(), values.end(), read.mutable_data_ptr<float>());
  check(at::isfinite(read).all().item<bool>(), where, ": ", printable(tensor.name),
        ": holds a value that is not finite");
  return read;
}

void check_kind(const GgufFile& file, const Family& family, const std::string& where) {
  const auto expect = [&](const char* key, std::string_view wanted) {
    const std::string& got = file.string(key);
    check(got == wanted, where, ": ", key, ": got ", printable(got), ", want ", wanted);
  };
  expect("general.type", "adapter");
  expect("adapter.type", "lora");
  expect("general.architecture", family.gguf);
  check(!file.has("adapter.alora.invocation_tokens"), where,
        ": adapter.alora.invocation_tokens: activated LoRA is not supported");
}

std::string nearest_module(const Decoder& model, const Family& family, const std::string& name) {
  std::vector<std::string> names;
  for (const ModuleView& module : modules_of(model))
    if (const auto gguf = gguf_name(family, module.path + std::string(kWeight))) names.push_back(gguf->name);
  const auto near = nearest(name, names);
  return near ? "the nearest tensor of this base is " + *near : "";
}

// The matrices of all experts in a tensor [X,rows,columns].
std::vector<TensorView> experts_in(const TensorView& stack, std::int64_t count, const std::string& where) {
  check(stack.shape.size() == 3 && stack.shape[0] == count, where, ": ", printable(stack.name),
        ": got shape ", stack.shape_text(), ", want the matrices of ", count, " experts");
  std::vector<TensorView> matrices;
  const std::size_t bytes = stack.bytes.size() / static_cast<std::size_t>(count);
  for (std::size_t e = 0; e < static_cast<std::size_t>(count); ++e)
    matrices.push_back({.name = stack.name,
                        .dtype = stack.dtype,
                        .shape = {stack.shape[1], stack.shape[2]},
                        .bytes = stack.bytes.subspan(e * bytes, bytes)});
  return matrices;
}

Pairs pairs_of(const GgufFile& file, const Decoder& model, const Family& family, const std::string& where) {
  Pairs pairs;
  for (const TensorView& tensor : file.tensors()) {
    const bool is_a = tensor.name.ends_with(kA);
    check(is_a || tensor.name.ends_with(kB), where, ": ", printable(tensor.name),
          ": unexpected tensor: a GGUF LoRA holds pairs of .lora_a and .lora_b");
    const std::string base = tensor.name.substr(0, tensor.name.size() - kA.size());
    const auto name = hugging_face_name(family, base);
    const bool known = name && name->name.ends_with(kWeight);
    check(known, where, ": ", printable(tensor.name), ": this base has no tensor ", printable(base),
          Hint{nearest_module(model, family, base)});
    const std::string module = name->name.substr(0, name->name.size() - kWeight.size());
    const auto add = [&](const std::string& path, const TensorView& matrix) {
      Pair& pair = pairs[path];
      pair.order = name->order;
      (is_a ? pair.a : pair.b) = matrix;
    };
    if (!name->of_experts) {
      add(module, tensor);
      continue;
    }
    const auto matrices = experts_in(tensor, model.config.experts.count, where);
    for (std::size_t e = 0; e < matrices.size(); ++e)
      add(numbered(module, static_cast<std::int64_t>(e)), matrices[e]);
  }
  check(!pairs.empty(), where, ": holds no tensors");
  return pairs;
}

// Row i of Hugging Face's B.
at::Tensor in_order(const at::Tensor& b, RowOrder order, std::int64_t head_dim) {
  if (order == RowOrder::kSame) return b;
  at::Tensor rows = at::empty_like(b);
  for (std::int64_t i = 0; i < b.size(0); ++i) rows[i].copy_(b[paired_row(i, head_dim)]);
  return rows;
}

std::string escaped(const std::string& path) {
  std::string text;
  for (const char c : path) text += c == '.' ? "\\." : std::string(1, c);
  return text;
}

void add_pair(GgufAdapter& adapter, const std::string& module, const Pair& pair, std::int64_t head_dim,
              const std::string& where) {
  check(pair.a && pair.b, where, ": ", printable((pair.a ? pair.a : pair.b)->name),
        ": its other half is missing");
  at::Tensor a = values_of(*pair.a, where), b = in_order(values_of(*pair.b, where), pair.order, head_dim);
  const bool embedding = module == kEmbeddingPath;
  if (embedding) a = a.t().contiguous();  // stored as the base's rows lie
  check(a.size(0) == b.size(1), where, ": ", printable(pair.a->name), ": rank ", a.size(0), ", but ",
        printable(pair.b->name), " has ", b.size(1));
  LoraOptions& options = adapter.options;
  if (options.target_modules.names.empty()) options.r = a.size(0);
  options.target_modules.names.push_back(module);
  if (a.size(0) != options.r) options.rank_pattern.emplace_back(escaped(module), a.size(0));
  if (options.alpha == 0 && a.size(0) != options.r)
    options.alpha_pattern.emplace_back(escaped(module), static_cast<double>(a.size(0)));
  adapter.tensors[module + (embedding ? ".lora_embedding_A" : ".lora_A.weight")] = a;
  adapter.tensors[module + (embedding ? ".lora_embedding_B" : ".lora_B.weight")] = b.contiguous();
}

}  // namespace

GgufAdapter read_gguf_adapter(const Decoder& model, const Path& path) {
  const GgufFile file(path);
  const std::string where = path.string();
  const Family& family = *find_family(model.config.architecture);
  check_kind(file, family, where);
  GgufAdapter adapter;
  adapter.options.target_modules.all_linear = false;
  adapter.options.alpha = file.number("adapter.lora.alpha");
  for (const auto& [module, pair] : pairs_of(file, model, family, where))
    add_pair(adapter, module, pair, model.config.head_dim, where);
  if (adapter.options.alpha == 0) adapter.options.alpha = static_cast<double>(adapter.options.r);
  for (const auto& [key, value] : file.metadata())
    if (key.starts_with("graft.base.") && std::holds_alternative<std::string>(value))
      adapter.metadata[key] = std::get<std::string>(value);
  return adapter;
}

}  // namespace graft
