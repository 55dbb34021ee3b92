#include "base/random.h"

#include <cassert>
#include <cmath>
#include <numbers>
#include <utility>

namespace graft {
namespace {

// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every input bit reaches every output bit.
std::uint64_t scramble(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31);
}

}  // namespace

std::array<std::uint32_t, 4> philox(PhiloxCounter counter, PhiloxKey key) {
  constexpr std::uint64_t kFirst = 0xD2511F53U, kSecond = 0xCD9E8D57U;
  constexpr std::uint32_t kWeyl0 = 0x9E3779B9U, kWeyl1 = 0xBB67AE85U;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = kFirst * counter[0];
    const std::uint64_t b = kSecond * counter[2];
    counter = {static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
               static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  // Not symmetric: mix(seed, epoch) and mix(epoch, seed) differ.
  return scramble(scramble(a + 0x9E3779B97F4A7C15U) ^ (b + 0xD1B54A32D192ED03U));
}

std::uint64_t hash_name(const char* text, std::size_t size) {
  std::uint64_t hash = 0xCBF29CE484222325U;  // FNV-1a
  for (std::size_t i = 0; i < size; ++i) hash = (hash ^ static_cast<unsigned char>(text[i])) * 0x100000001B3U;
  return scramble(hash);
}

std::uint64_t RandomStream::next() {
  const auto low = [](std::uint64_t x) { return static_cast<std::uint32_t>(x); };
  const auto high = [](std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); };
  const auto words = philox({low(position_), high(position_), 0, 0}, {low(key_), high(key_)});
  ++position_;
  return (std::uint64_t{words[1]} << 32) | words[0];
}

double RandomStream::uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }

std::uint64_t RandomStream::below(std::uint64_t bound) {
  assert(bound > 0);
  // The lowest 2^64 mod bound numbers are thrown away, so that every remainder is equally likely.
  const std::uint64_t biased = (0 - bound) % bound;
  while (true) {
    const std::uint64_t number = next();
    if (number >= biased) return number % bound;
  }
}

double RandomStream::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

std::vector<std::size_t> permutation(std::size_t n, std::uint64_t key) {
  std::vector<std::size_t> order(n);
  for (std::size_t i = 0; i < n; ++i) order[i] = i;
  RandomStream random(key);
  for (std::size_t i = n; i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

}  // namespace graft
