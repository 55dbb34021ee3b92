#include "store/tensor_view.h"

#include "base/error.h"
#include "base/text.h"

namespace graft {

std::int64_t TensorView::elements() const {
  std::int64_t product = 1;
  for (const std::int64_t dim : shape) product *= dim;
  return product;
}

std::string TensorView::shape_text() const {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

std::vector<float> decode(const TensorView& tensor) {
  check(holds_floats(tensor.dtype), printable(tensor.name), ": holds no floating-point numbers (got ",
        traits(tensor.dtype).name, ")");
  std::vector<float> values(static_cast<std::size_t>(tensor.elements()));
  decode_to_f32(tensor.dtype, tensor.bytes, values);
  return values;
}

}  // namespace graft
