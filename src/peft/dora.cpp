#include "peft/dora.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "ops/work_scope.h"

namespace graft {
namespace {

constexpr std::int64_t kRows = 256;  // decoded at a time

// magnitude / norms in one operation, since it is done in every pass.
at::Tensor over(const at::Tensor& magnitude, const Dora::Divisor& norms) {
  return at::addcmul(norms.zeros, magnitude, norms.inverse);
}

Dora::Divisor divisor(const at::Tensor& norms) {
  const at::Tensor zeros = norms == 0;
  return {norms.reciprocal().masked_fill_(zeros, 0), zeros.to(norms.scalar_type())};
}

}  // namespace

std::string magnitude_name(const std::string& module) { return module + ".lora_magnitude_vector"; }

at::Tensor row_norms(const FrozenWeight& weight) {
  std::vector<at::Tensor> parts;
  const std::int64_t out = weight.out_features();
  for (std::int64_t first = 0; first < out; first += kRows)
    parts.push_back(weight.rows(first, std::min(out, first + kRows)).norm(2, {1}));
  return at::cat(parts);
}

Dora::Dora(LoraFactors factors, at::Tensor magnitude, bool freeze_a)
    : Lora(std::move(factors), freeze_a), magnitude_(std::move(magnitude)) {
  magnitude_.set_requires_grad(true);
}

at::Tensor Dora::norms(const Linear& linear, const at::Tensor& a, const at::Tensor& b,
                       at::ScalarType dtype) const {
  const WorkScope scope(Work::kLora);
  const at::NoGradGuard no_grad;
  if (!squared_base_norms_.defined()) squared_base_norms_ = row_norms(*linear.weight).square();
  const double s = scale();
  const at::Tensor wa = linear.weight->times_transposed_f32(a.to(dtype)).t();  // [out,R]
  const at::Tensor both = at::addmm(wa, b, a.mm(a.t()), 2.0 * s, s * s);       // 2 s W A^T + s^2 B (A A^T)
  return (squared_base_norms_ + (both * b).sum(1)).clamp_min_(0).sqrt_();
}

std::optional<LoraTerm> Dora::term(const Linear& linear, at::ScalarType dtype) const {
  LoraTerm term = *Lora::term(linear, dtype);
  const std::int64_t version = factors_version();
  if (version != version_) {
    norms_ = divisor(norms(linear, term.a.detach(), term.b.detach(), dtype));
    version_ = version;
  }
  term.gain = over(magnitude_, norms_);
  return term;
}

std::vector<StoredTensor> Dora::stored() const {
  std::vector<StoredTensor> all = Lora::stored();
  all.push_back({magnitude_name(module()), {magnitude_}});
  return all;
}

at::Tensor Dora::merge_into(const Linear& linear, const at::Tensor& rows, std::int64_t first) const {
  const at::Tensor sum = Lora::merge_into(linear, rows, first);
  return sum * over(magnitude_.narrow(0, first, rows.size(0)), divisor(sum.norm(2, {1}))).unsqueeze(1);
}

}  // namespace graft
