#include "kernels/encode.h"

#include <cassert>

#include "kernels/cpu/block_encode.h"

namespace graft {

void encode_q8_0(std::span<const float> weights, std::byte* blocks) {
  assert(weights.size() % 32 == 0);
  block_encode().q8_0(weights, blocks);
}

}  // namespace graft
