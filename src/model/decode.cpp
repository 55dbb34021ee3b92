#include "model/decode.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <future>

#include "model/families.h"

namespace graft {
namespace {

/// Values of one piece of work: small enough to share out evenly and to stay in a core's cache.
constexpr std::int64_t kPieceValues = 65'536;

struct Piece {
  const DecodeJob* job;
  std::int64_t first, last;  // rows
};

/// A tensor seen as rows. One that keeps its order is cut anywhere a row ends; a vector in order is one row.
struct Rows {
  std::int64_t count, values;
};

Rows rows_of(const DecodeJob& job) {
  const auto& shape = job.view->shape;
  if (shape.empty() || job.view->elements() == 0) return {1, job.view->elements()};
  if (shape.size() == 1 && job.head_dim == 0) return {1, shape[0]};
  return {shape[0], job.view->elements() / shape[0]};
}

std::vector<Piece> cut(const std::vector<DecodeJob>& jobs) {
  std::vector<Piece> pieces;
  for (const DecodeJob& job : jobs) {
    const Rows rows = rows_of(job);
    const std::int64_t step =
        std::max<std::int64_t>(1, kPieceValues / std::max<std::int64_t>(1, rows.values));
    for (std::int64_t first = 0; first < rows.count; first += step) {
      pieces.push_back({&job, first, std::min(rows.count, first + step)});
    }
  }
  return pieces;
}

/// Written without a branch so that the compiler turns the loop into vector instructions.
void round_to_bf16(const float* source, std::uint16_t* target, std::int64_t values) {
  for (std::int64_t i = 0; i < values; ++i) {
    const auto bits = std::bit_cast<std::uint32_t>(source[i]);
    const std::uint32_t rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
    const std::uint32_t quiet_nan = (bits >> 16) | 0x40U;
    target[i] = static_cast<std::uint16_t>((bits & 0x7fffffffU) > 0x7f800000U ? quiet_nan : rounded);
  }
}

/// Decodes `rows` file rows from `row` on into the target's values at `offset`.
void decode_rows(const DecodeJob& job, std::int64_t row, std::int64_t rows, std::int64_t offset,
                 std::vector<float>& buffer) {
  const Rows shape = rows_of(job);
  const DTypeTraits& type = traits(job.view->dtype);
  const auto row_bytes = static_cast<std::size_t>(shape.values) / type.values * type.bytes;
  const auto source = job.view->bytes.subspan(static_cast<std::size_t>(row) * row_bytes,
                                              static_cast<std::size_t>(rows) * row_bytes);
  const auto values = static_cast<std::size_t>(rows * shape.values);
  if (job.target.scalar_type() == at::kFloat) {
    decode_to_f32(job.view->dtype, source, {static_cast<float*>(job.target.data_ptr()) + offset, values});
    return;
  }
  buffer.resize(std::max(buffer.size(), values));
  decode_to_f32(job.view->dtype, source, {buffer.data(), values});
  round_to_bf16(buffer.data(), static_cast<std::uint16_t*>(job.target.data_ptr()) + offset,
                static_cast<std::int64_t>(values));
}

void decode_piece(const Piece& piece, std::vector<float>& buffer) {
  const DecodeJob& job = *piece.job;
  const std::int64_t width = rows_of(job).values;
  if (width == 0) return;
  if (job.head_dim == 0) {
    decode_rows(job, piece.first, piece.last - piece.first, piece.first * width, buffer);
    return;
  }
  for (std::int64_t row = piece.first; row < piece.last; ++row) {
    decode_rows(job, paired_row(row, job.head_dim), 1, row * width, buffer);
  }
}

}  // namespace

void decode_all(const std::vector<DecodeJob>& jobs) {
  const std::vector<Piece> pieces = cut(jobs);
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    std::vector<float> buffer;
    for (std::size_t i = next++; i < pieces.size(); i = next++) decode_piece(pieces[i], buffer);
  };
  // Threads of our own, not at::parallel_for: pieces differ in cost, and each thread keeps its buffer.
  std::vector<std::future<void>> others;
  for (int i = 1; i < at::get_num_threads(); ++i) others.push_back(std::async(std::launch::async, work));
  work();
  for (std::future<void>& other : others) other.get();
}

}  // namespace graft
