#include <cstdint>
#include <span>

#include "base/error.h"
#include "fuzz/require.h"
#include "store/safetensors_header.h"

// The tensors of an accepted file lie in the file, cover its data exactly and can be decoded.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace graft;
  const auto bytes = std::as_bytes(std::span(data, size));
  SafetensorsHeader header;
  try {
    header = parse_safetensors(bytes, "fuzz");
  } catch (const Error&) {
    return 0;
  }
  std::size_t covered = 0;
  for (const TensorView& tensor : header.tensors) {
    require(tensor.bytes.data() >= bytes.data() &&
            tensor.bytes.data() + tensor.bytes.size() <= bytes.data() + size);
    covered += tensor.bytes.size();
    if (holds_floats(tensor.dtype))
      require(decode(tensor).size() == static_cast<std::size_t>(tensor.elements()));
  }
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < 8; ++i) length |= std::uint64_t{data[i]} << (8 * i);
  require(covered + 8 + length == size);
  return 0;
}
