#include "bench/random_weights.h"

#include <algorithm>
#include <exception>
#include <mutex>
#include <thread>

#include "base/random.h"

namespace graft {
namespace {

constexpr double kDeviation = 0.02;
constexpr std::int64_t kPiece = 4096, kPool = std::int64_t{1} << 22;
constexpr std::int64_t kEncoded = 16 * kPiece;  // weights at a time, so that they stay in cache

}  // namespace

void in_parallel(std::int64_t count, std::int64_t unit,
                 const std::function<void(std::int64_t, std::int64_t)>& work) {
  const std::int64_t threads = std::max(1U, std::thread::hardware_concurrency());
  const std::int64_t units = (count + unit - 1) / unit, part = (units + threads - 1) / threads * unit;
  std::exception_ptr failure;
  std::mutex mutex;
  std::vector<std::jthread> running;
  for (std::int64_t first = 0; first < count; first += part) {
    running.emplace_back([&, first] {
      try {
        work(first, std::min(count, first + part));
      } catch (...) {
        const std::scoped_lock lock(mutex);
        failure = std::current_exception();
      }
    });
  }
  running.clear();
  if (failure) std::rethrow_exception(failure);
}

RandomWeights::RandomWeights(std::uint64_t seed) : seed_(seed), pool_(kPool) {
  in_parallel(kPool, kPiece, [&](std::int64_t first, std::int64_t last) {
    RandomStream random(seed, static_cast<std::uint64_t>(2 * first));  // two numbers for a normal one
    for (std::int64_t i = first; i < last; ++i)
      pool_[static_cast<std::size_t>(i)] = bf16_of_f32(static_cast<float>(kDeviation * random.normal()));
  });
}

void RandomWeights::fill(std::string_view tensor, std::int64_t first, std::span<Bf16Bits> out) const {
  const std::uint64_t key = mix(seed_, hash_name(tensor.data(), tensor.size()));
  while (!out.empty()) {
    const std::int64_t piece = first / kPiece, within = first % kPiece;
    const auto count = std::min(out.size(), static_cast<std::size_t>(kPiece - within));
    const std::uint64_t place = mix(key, static_cast<std::uint64_t>(piece)) % (kPool - kPiece);
    std::copy_n(pool_.begin() + static_cast<std::ptrdiff_t>(place) + within, count, out.begin());
    out = out.subspan(count);
    first += static_cast<std::int64_t>(count);
  }
}

Nf4Weights random_nf4(const RandomWeights& weights, std::string_view tensor, std::int64_t count) {
  const auto size = static_cast<std::size_t>(count);
  const std::size_t blocks = (size + kNf4Block - 1) / kNf4Block;
  Nf4Weights result;
  result.codes.resize((size + 1) / 2);
  std::vector<float> absmax(blocks);
  in_parallel(count, kEncoded, [&](std::int64_t first, std::int64_t last) {
    std::vector<Bf16Bits> part(kEncoded);
    for (; first < last; first += kEncoded) {
      const auto here = std::span(part).first(static_cast<std::size_t>(std::min(kEncoded, last - first)));
      weights.fill(tensor, first, here);
      encode_nf4(here, kNf4Block, result.codes.data() + first / 2, absmax.data() + first / kNf4Block);
    }
  });
  result.offset = mean_of_scales(absmax);
  result.absmax_codes.resize(blocks);
  result.nested_absmax.resize((blocks + kNf4NestedBlock - 1) / kNf4NestedBlock);
  encode_scales(absmax, result.offset, result.absmax_codes.data(), result.nested_absmax.data());
  return result;
}

}  // namespace graft
