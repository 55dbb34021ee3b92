#include <bit>
#include <cmath>
#include <cstdint>

#include "base/error.h"
#include "fuzz/require.h"
#include "store/nf4_tensor.h"

// An accepted state has sizes that fit, and survives being written and read again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace graft;
  Nf4State state;
  try {
    state = parse_nf4_state({reinterpret_cast<const char*>(data), size}, "fuzz");
  } catch (const Error&) {
    return 0;
  }
  require(state.elements() > 0 && state.blocks() > 0 && state.blocks() <= state.elements());
  require(std::has_single_bit(static_cast<std::uint64_t>(state.block)) && std::isfinite(state.offset));
  const Nf4State again = parse_nf4_state(nf4_state_text(state), "again");
  require(again.shape == state.shape && again.block == state.block && again.dtype == state.dtype);
  require(again.is_nested == state.is_nested && again.nested_block == state.nested_block);
  require(again.offset == state.offset);
  return 0;
}
