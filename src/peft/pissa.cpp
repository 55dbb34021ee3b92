#include "peft/pissa.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <tuple>

#include "base/error.h"
#include "base/random.h"

namespace graft {
namespace {

constexpr char kDraw[] = "pissa";
constexpr std::int64_t kOversampled = 8;  // directions beside those that are asked for

struct Svd {
  at::Tensor u, s, v;  // [out,R], [R], [in,R]
};

// By the eigenvectors of the smaller Gram matrix, in fp64: its largest ones are exact to fp32.
Svd exact_svd(const at::Tensor& w, std::int64_t r) {
  const at::Tensor wide = w.to(at::kDouble);
  const bool tall = w.size(0) > w.size(1);
  const at::Tensor gram = tall ? wide.t().mm(wide) : wide.mm(wide.t());
  const auto [values, vectors] = at::linalg_eigh(gram);
  const std::int64_t n = gram.size(0);
  const at::Tensor s = values.narrow(0, n - r, r).flip(0).clamp_min(0).sqrt();
  const at::Tensor near = vectors.narrow(1, n - r, r).flip(1);
  const at::Tensor far = (tall ? wide.mm(near) : wide.t().mm(near)) / s.clamp_min(1e-30);
  return tall ? Svd{far, s, near} : Svd{near, s, far};
}

Svd random_svd(const at::Tensor& w, std::int64_t r, std::int64_t niter, RandomStream random) {
  const std::int64_t width = std::min(r + kOversampled, std::min(w.size(0), w.size(1)));
  at::Tensor start = at::empty({w.size(1), width}, at::kFloat);
  std::generate_n(start.mutable_data_ptr<float>(), start.numel(),
                  [&] { return static_cast<float>(random.normal()); });
  at::Tensor q = std::get<0>(at::linalg_qr(w.mm(start)));
  for (std::int64_t i = 0; i < niter; ++i)
    q = std::get<0>(at::linalg_qr(w.mm(std::get<0>(at::linalg_qr(w.t().mm(q))))));
  const Svd small = exact_svd(q.t().mm(w), r);
  return {q.to(at::kDouble).mm(small.u), small.s, small.v};
}

}  // namespace

void set_started(const AdaptedModule& module, const at::Tensor& a, const at::Tensor& b, AdapterTensors& to) {
  to[module.path + ".lora_A.weight"] = a;
  to[module.path + ".lora_B.weight"] = b;
  to[start_name_a(module.path)] = a.clone();
  to[start_name_b(module.path)] = -b;
}

void derive_pissa(const AdaptedModule& module, const FrozenWeight& weight, std::int64_t niter,
                  std::uint64_t seed, AdapterTensors& to) {
  const std::int64_t most = std::min(module.out, module.in);
  check(module.r <= most, ExitCode::kUsage, "lora.init: pissa needs a rank of at most ", most, " for ",
        module.path, " (got ", module.r, ")");
  const at::Tensor w = weight.rows(0, module.out);
  const RandomStream random(mix(mix(seed, module_key(kDraw)), module_key(module.path)));
  const Svd svd = niter > 0 ? random_svd(w, module.r, niter, random) : exact_svd(w, module.r);
  const at::Tensor root = (svd.s / module.scale).sqrt();
  set_started(module, (svd.v * root).t().to(at::kFloat).contiguous(),
              (svd.u * root).to(at::kFloat).contiguous(), to);
}

}  // namespace graft
