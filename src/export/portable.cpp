#include "export/portable.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>

#include "adapters/writer.h"
#include "base/error.h"
#include "base/text.h"
#include "peft/module_scale.h"

namespace graft {
namespace {

at::Tensor padded(const at::Tensor& factor, std::int64_t more, std::int64_t dim) {
  std::vector<std::int64_t> shape = factor.sizes().vec();
  shape[static_cast<std::size_t>(dim)] = more;
  return more > 0 ? at::cat({factor, at::zeros(shape, factor.options())}, dim) : factor;
}

TensorView head_of(const FactorPair& pair, const char* factor, DType dtype, std::vector<std::int64_t> shape) {
  const std::string infix = pair.of_embedding ? ".lora_embedding_" : ".lora_";
  const std::string suffix = pair.of_embedding ? "" : ".weight";
  return {.name = std::string(kAdapterKeyPrefix) + pair.module + infix + factor + suffix,
          .dtype = dtype,
          .shape = std::move(shape),
          .bytes = {}};
}

bool is_power_of_two(double value) {
  int exponent = 0;
  return std::frexp(std::abs(value), &exponent) == 0.5;
}

}  // namespace

PortableExport write_portable(const AdapterFolder& adapter, const Path& out) {
  check_plain(adapter, "a portable adapter");
  const auto parameters = adapter.view().find("target_parameters");
  check(!parameters || parameters->size() == 0, adapter.view(),
        ": a portable adapter: takes no adapters on parameters (experts), which PEFT alone knows",
        Hint{"`graft merge` writes it into its base, `--to gguf-lora` for llama.cpp"});
  PortableExport report{.modules = std::ssize(adapter.pairs)};
  for (const FactorPair& pair : adapter.pairs) {
    report.rank = std::max(report.rank, pair.rank());
    report.exact = report.exact && is_power_of_two(pair.scale);
  }
  std::vector<std::string> modules;
  std::vector<ModuleScale> scales;
  std::vector<TensorView> heads;
  for (const FactorPair& pair : adapter.pairs) {
    modules.push_back(pair.module);
    scales.push_back({report.rank, 1.0});
    heads.push_back(head_of(pair, "A", pair.a->dtype, {report.rank, pair.a->shape[1]}));
    heads.push_back(head_of(pair, "B", pair.b->dtype, {pair.b->shape[0], report.rank}));
  }
  Json config = adapter.config;
  config["use_rslora"] = false;
  set_scales(config, modules, scales);
  const Path source = adapter.file->path();
  AdapterWriter writer(out, config, heads, adapter.file->metadata());
  bool all_zero = true;
  for (const FactorPair& pair : adapter.pairs) {
    const at::Tensor a = read_factor(*pair.a, source), b = read_factor(*pair.b, source);
    all_zero = all_zero && !at::any(b.ne(0)).item<bool>();
    writer.write(padded(a, report.rank - pair.rank(), 0));
    writer.write(padded(b * pair.scale, report.rank - pair.rank(), 1));
  }
  check(!all_zero, printable(source.string()), ": every B is zero, so this adapter changes nothing");
  writer.carry_tokenizer(adapter.path);
  writer.commit();
  return report;
}

}  // namespace graft
