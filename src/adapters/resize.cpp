#include "adapters/resize.h"

#include <ATen/Functions.h>

#include <utility>

#include "adapters/in_order.h"
#include "adapters/spectrum.h"
#include "adapters/writer.h"
#include "peft/module_scale.h"

namespace graft {
namespace {

TensorView head_of(const TensorView& tensor, std::vector<std::int64_t> shape) {
  return {tensor.name, tensor.dtype, std::move(shape), {}};
}

std::vector<TensorView> heads_of(const AdapterFolder& adapter, std::int64_t rank) {
  std::vector<TensorView> heads;
  for (const FactorPair& pair : adapter.pairs) {
    heads.push_back(head_of(*pair.a, {rank, pair.a->shape[1]}));
    heads.push_back(head_of(*pair.b, {pair.b->shape[0], rank}));
  }
  for (const TensorView* tensor : adapter.others) heads.push_back(*tensor);
  return heads;
}

NearestProduct resized(const FactorPair& pair, std::int64_t rank, const Path& where) {
  const at::Tensor a = read_factor(*pair.a, where), b = read_factor(*pair.b, where);
  const std::int64_t more = rank - pair.rank();
  if (more < 0) return nearest_product(a, b, rank);
  return {.a = at::cat({a, at::zeros({more, a.size(1)}, a.options())}, 0),
          .b = at::cat({b, at::zeros({b.size(0), more}, b.options())}, 1)};
}

}  // namespace

std::vector<ResizedModule> resize_adapter(const AdapterFolder& adapter, std::int64_t rank, const Path& out) {
  check_factors(adapter, "resize");
  std::vector<std::string> modules;
  std::vector<ModuleScale> scales;
  for (const FactorPair& pair : adapter.pairs) {
    modules.push_back(pair.module);
    scales.push_back({rank, pair.scale});
  }
  Json config = adapter.config;
  set_scales(config, modules, scales);
  const Path& where = adapter.file->path();
  AdapterWriter writer(out, config, heads_of(adapter, rank), adapter.file->metadata());
  std::vector<ResizedModule> report;
  make_in_order(
      std::ssize(adapter.pairs),
      [&](std::int64_t i) { return resized(adapter.pairs[static_cast<std::size_t>(i)], rank, where); },
      [&](std::int64_t i, const NearestProduct& product) {
        const FactorPair& pair = adapter.pairs[static_cast<std::size_t>(i)];
        writer.write(product.a);
        writer.write(product.b);
        report.push_back({pair.module, pair.rank(), product.kept});
      });
  for (const TensorView* tensor : adapter.others) writer.write(tensor->bytes);
  writer.carry_tokenizer(adapter.path);
  writer.commit();
  return report;
}

}  // namespace graft
