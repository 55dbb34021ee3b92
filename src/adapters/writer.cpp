#include "adapters/writer.h"

#include <ATen/Functions.h>

#include <cassert>

#include "base/error.h"
#include "base/text.h"
#include "peft/adapter_folder.h"
#include "store/model_folder.h"

namespace graft {
namespace {

at::ScalarType scalar_type(DType dtype) {
  switch (dtype) {
    case DType::kF64:
      return at::kDouble;
    case DType::kF16:
      return at::kHalf;
    case DType::kBF16:
      return at::kBFloat16;
    default:
      assert(dtype == DType::kF32);
      return at::kFloat;
  }
}

}  // namespace

AdapterWriter::AdapterWriter(const Path& out, const Json& config, const std::vector<TensorView>& tensors,
                             const std::map<std::string, std::string>& metadata)
    : folder_(out),
      tensors_(tensors),
      file_(folder_.temporary() / kAdapterTensorsName, tensors, metadata),
      config_(config) {}

at::Tensor AdapterWriter::write(const at::Tensor& values) {
  const TensorView& wanted = tensors_.at(next_);
  assert(values.sizes() == at::IntArrayRef(wanted.shape));
  const at::Tensor rounded = values.to(scalar_type(wanted.dtype)).contiguous();
  check(at::isfinite(rounded).all().item<bool>(), ExitCode::kNumerics, printable(wanted.name),
        ": holds a value that is not finite in ", traits(wanted.dtype).name,
        Hint{wanted.dtype == DType::kF16 ? "f16 ends at 65504: take bf16 or f32" : ""});
  write(std::span(static_cast<const std::byte*>(rounded.const_data_ptr()), rounded.nbytes()));
  return rounded;
}

void AdapterWriter::write(std::span<const std::byte> bytes) {
  file_.write(bytes);
  ++next_;
}

void AdapterWriter::carry_tokenizer(const Path& source) {
  graft::carry_tokenizer(source, folder_.temporary());
}

void AdapterWriter::commit() {
  assert(next_ == tensors_.size());
  file_.commit();
  write_file(folder_.temporary() / kAdapterConfigName, to_text(config_, 2) + "\n");
  folder_.commit();
}

DType parse_float_type(const std::string& text) {
  if (text == "f32" || text == "fp32") return DType::kF32;
  if (text == "f16" || text == "fp16") return DType::kF16;
  check(text == "bf16", ExitCode::kUsage, "--dtype: got ", printable(text), ", want f32, bf16 or f16");
  return DType::kBF16;
}

}  // namespace graft
