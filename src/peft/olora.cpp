#include "peft/olora.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/error.h"
#include "peft/pissa.h"

namespace graft {

void derive_olora(const AdaptedModule& module, const FrozenWeight& weight, AdapterTensors& to) {
  const std::int64_t most = std::min(module.out, module.in);
  check(module.r <= most, ExitCode::kUsage, "lora.init: olora needs a rank of at most ", most, " for ",
        module.path, " (got ", module.r, ")");
  // The first columns of Q and rows of R are those of the first columns of W alone.
  const at::Tensor w = weight.rows(0, module.out).to(at::kDouble);
  const at::Tensor q = std::get<0>(at::linalg_qr(w.narrow(1, 0, module.r)));
  set_started(module, q.t().mm(w).to(at::kFloat).contiguous(), q.to(at::kFloat).contiguous(), to);
}

}  // namespace graft
