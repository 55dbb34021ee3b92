#pragma once

#include <cstdint>

#include "kernels/cpu/attention_rows.h"

namespace graft {

/// Whether C is written or added to.
enum class Sum { kSet, kAdd };

/// Size of C [m,n] = A [m,k] B [k,n] and the distances between the rows of A, B and C.
struct GemmShape {
  std::int64_t m, n, k, lda, ldb, ldc;
};

/// C (+)= A B on blocks that fit the cache, on the calling thread. B is a right operand as AttentionRows
/// describes it (bf16: pairs of rows interleaved; k even). Accumulates in C's type.
void multiply(const GemmShape& shape, const Bf16Bits* a, const Bf16Bits* b, float* c, Sum sum);
void multiply(const GemmShape& shape, const float* a, const float* b, float* c, Sum sum);
/// Sums of bytes, exact where multiplies_int8(): a unsigned, b signed, four rows of b interleaved (k is a
/// multiple of 4).
void multiply(const GemmShape& shape, const std::uint8_t* a, const std::int8_t* b, std::int32_t* c, Sum sum);
void multiply(const GemmShape& shape, const double* a, const double* b, double* c, Sum sum);

/// Whether this machine multiplies bf16 blocks (AVX512_BF16 or AMX); else they go through fp32.
bool multiplies_bf16();

/// Whether this machine multiplies blocks of bytes, and exactly (AVX512_VNNI or AMX).
bool multiplies_int8();

/// To be called by each thread after its last multiply of a task: other users of the matrix unit find it
/// unset.
void release_multiplier();

}  // namespace graft
