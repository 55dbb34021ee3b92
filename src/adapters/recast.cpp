#include "adapters/recast.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <cmath>

#include "adapters/writer.h"

namespace graft {
CastReport cast_adapter(const AdapterFolder& adapter, DType dtype, const Path& out) {
  std::vector<TensorView> heads = adapter.file->tensors();
  for (TensorView& head : heads)
    if (holds_floats(head.dtype)) head.dtype = dtype;
  AdapterWriter writer(out, adapter.config, heads, adapter.file->metadata());
  CastReport report;
  double change = 0.0, size = 0.0;
  for (const TensorView& tensor : adapter.file->tensors()) {
    report.bytes_before += tensor.bytes.size();
    if (!holds_floats(tensor.dtype) || tensor.dtype == dtype) {
      writer.write(tensor.bytes);
      report.bytes_after += tensor.bytes.size();
      continue;
    }
    const at::Tensor values = read_values(tensor);
    const at::Tensor rounded = writer.write(values);
    report.bytes_after += rounded.nbytes();
    change += std::pow((rounded.to(at::kFloat) - values).norm().item<double>(), 2);
    size += std::pow(values.norm().item<double>(), 2);
  }
  writer.carry_tokenizer(adapter.path);
  writer.commit();
  if (size > 0.0) report.rms_change = std::sqrt(change / size);
  return report;
}

}  // namespace graft
