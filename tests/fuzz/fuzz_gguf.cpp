#include <cstdint>
#include <span>

#include "base/error.h"
#include "fuzz/require.h"
#include "store/gguf_parser.h"

// The tensors of an accepted file lie in the file and can be decoded.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace graft;
  const auto bytes = std::as_bytes(std::span(data, size));
  GgufContents contents;
  try {
    contents = parse_gguf(bytes, "fuzz");
  } catch (const Error&) {
    return 0;
  }
  for (const TensorView& tensor : contents.tensors) {
    if (tensor.bytes.empty()) continue;
    require(tensor.bytes.data() >= bytes.data() &&
            tensor.bytes.data() + tensor.bytes.size() <= bytes.data() + size);
    if (holds_floats(tensor.dtype))
      require(decode(tensor).size() == static_cast<std::size_t>(tensor.elements()));
  }
  return 0;
}
