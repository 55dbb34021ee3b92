#pragma once

#include <cstdint>

#include "kernels/cpu/row_kernels.h"

/// Internal linkage: files compiled for different instruction sets must not share functions.
namespace graft {
namespace {

constexpr int kMaskBlocks = 16;  // Philox blocks drawn together, so that the loops become vectors
constexpr int kMaskChannels = 4 * kMaskBlocks;  // four words each

/// The words of channels 4 * first_block … + 63 of a row, in channel order. Philox4x32-10 as in
/// base/random.h.
inline void mask_words(const DropRow& row, std::uint32_t first_block, std::uint32_t* words) {
  constexpr std::uint64_t kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;
  constexpr std::uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;
  std::uint32_t c0[kMaskBlocks], c1[kMaskBlocks], c2[kMaskBlocks], c3[kMaskBlocks];
  for (int i = 0; i < kMaskBlocks; ++i) {
    c0[i] = row.position;
    c1[i] = first_block + static_cast<std::uint32_t>(i);
    c2[i] = row.example[0];
    c3[i] = row.example[1];
  }
  std::uint32_t k0 = row.key[0], k1 = row.key[1];
  for (int round = 0; round < 10; ++round, k0 += kWeyl0, k1 += kWeyl1)
    for (int i = 0; i < kMaskBlocks; ++i) {
      const std::uint64_t p0 = kMultiplier0 * c0[i], p1 = kMultiplier1 * c2[i];
      c0[i] = static_cast<std::uint32_t>(p1 >> 32) ^ c1[i] ^ k0;
      c2[i] = static_cast<std::uint32_t>(p0 >> 32) ^ c3[i] ^ k1;
      c1[i] = static_cast<std::uint32_t>(p1);
      c3[i] = static_cast<std::uint32_t>(p0);
    }
  for (int i = 0; i < kMaskBlocks; ++i) {
    words[4 * i] = c0[i];
    words[4 * i + 1] = c1[i];
    words[4 * i + 2] = c2[i];
    words[4 * i + 3] = c3[i];
  }
}

}  // namespace
}  // namespace graft
