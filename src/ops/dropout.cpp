#include "ops/dropout.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cassert>
#include <cmath>

#include "base/random.h"

namespace graft {

at::Tensor drop(const at::Tensor& x, const LoraDropout& dropout, std::uint64_t module) {
  const auto& layout = dropout.layout;
  const auto tokens = x.size(0), width = x.size(1);
  assert(layout.tokens() == tokens && static_cast<std::int64_t>(layout.ids.size()) == layout.sequences());
  const auto key64 = mix(mix(dropout.key.seed, static_cast<std::uint64_t>(dropout.key.epoch)), module);
  const PhiloxKey key{static_cast<std::uint32_t>(key64), static_cast<std::uint32_t>(key64 >> 32)};
  const auto threshold = static_cast<std::uint32_t>(std::ldexp(dropout.probability, 32));
  auto mask = at::empty({tokens, width}, at::kBool);
  auto* bits = mask.data_ptr<bool>();
  for (std::int64_t n = 0; n < layout.sequences(); ++n) {
    const auto first = layout.starts[n], last = layout.starts[n + 1];
    const auto id = layout.ids[n];
    at::parallel_for(first, last, 16, [&](std::int64_t begin, std::int64_t end) {
      for (auto t = begin; t < end; ++t)
        for (std::int64_t c = 0; c < width; c += 4) {
          const auto words = philox({static_cast<std::uint32_t>(t - first), static_cast<std::uint32_t>(c / 4),
                                     static_cast<std::uint32_t>(id), static_cast<std::uint32_t>(id >> 32)},
                                    key);
          for (std::int64_t i = c; i < std::min(c + 4, width); ++i)
            bits[t * width + i] = words[i - c] >= threshold;
        }
    });
  }
  return x * mask * (1.0 / (1.0 - dropout.probability));
}

}  // namespace graft
