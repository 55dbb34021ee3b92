#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "peft/adapter_folder.h"

namespace graft {

/// Two factors, fp32: a [R,in], b [out,R].
struct Factors {
  at::Tensor a, b;
};

/// How the products of a pair lie in its two tensors.
struct SliceLayout {
  std::int64_t experts = 1;
  /// As PEFT puts gate and up into one parameter: of each expert the upper half of B's rows has the first
  /// half of the columns, the lower the second, and the rest of B is zero.
  bool side_by_side = false;

  std::int64_t halves() const { return side_by_side ? 2 : 1; }
  std::int64_t count() const { return experts * halves(); }
  bool operator==(const SliceLayout&) const = default;
};

/// Of a pair; `r` is the config's, of which side by side is twice. Reads B where it may be.
SliceLayout layout_of(const FactorPair& pair, std::int64_t r, const Path& where);

/// The products one by one, expert by expert: of the tensors [X*R,in] and [out,R*X].
std::vector<Factors> slices_of(const Factors& whole, const SliceLayout& layout);

/// The tensors that hold these products, all of one rank.
Factors joined(const std::vector<Factors>& slices, const SliceLayout& layout);

/// The same tensors with the factors of `pair` read from its file. Error: a value that is not finite.
Factors read_factors(const FactorPair& pair, const Path& where);

}  // namespace graft
