#include "ops/gain.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "ops/kernel_types.h"
#include "ops/parallel.h"
#include "ops/work_scope.h"

namespace graft {
namespace {

// Tokens that are summed up before the sums of sums: the cut decides the last bits, so it is fixed.
constexpr std::int64_t kTokens = 128;

}  // namespace

std::pair<at::Tensor, at::Tensor> gain_gradients(const at::Tensor& dy, const at::Tensor& y,
                                                 const at::Tensor& gain) {
  const WorkScope scope(Work::kLora, {.bytes = 3.0 * static_cast<double>(dy.nbytes())});
  const std::int64_t tokens = dy.size(0), width = dy.size(1), blocks = (tokens + kTokens - 1) / kTokens;
  const at::Tensor from = dy.contiguous(), out = y.contiguous(), dz = at::empty_like(from);
  const at::Tensor sums = at::zeros({blocks, width}, gain.options());
  with_kernel_type(from.scalar_type(), [&](auto type) {
    using T = decltype(type);
    for_rows(blocks, kTokens * width, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t block = first; block < last; ++block) {
        const std::int64_t at = block * kTokens, count = std::min(kTokens, tokens - at);
        row_kernels<T>().gain_backward(read_from<T>(from) + at * width, read_from<T>(out) + at * width,
                                       read_from<SumOf<T>>(gain), count, width, write_to<T>(dz) + at * width,
                                       write_to<SumOf<T>>(sums) + block * width);
      }
    });
  });
  return {dz, sums.sum(0).div_(gain).masked_fill_(gain == 0, 0)};
}

}  // namespace graft
