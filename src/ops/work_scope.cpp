#include "ops/work_scope.h"

#include <ATen/core/ivalue.h>
#include <ATen/record_function.h>

#include <array>
#include <utility>

namespace graft {

const char* name_of(Work work) {
  static constexpr std::array<const char*, kWorkKinds> kNames{
      "graft::base_product", "graft::lora",     "graft::attention", "graft::norm",      "graft::rotary",
      "graft::swiglu",       "graft::residual", "graft::loss",      "graft::optimizer", "graft::rest"};
  return kNames[static_cast<std::size_t>(work)];
}

WorkScope::WorkScope(const char* name, WorkSize size) {
  auto callbacks = at::getStepCallbacksUnlessEmpty(at::RecordScope::USER_SCOPE);
  if (!callbacks) return;
  record_.reset(new at::RecordFunction(std::move(*callbacks)));
  const std::array<c10::IValue, 2> inputs{size.flops, size.bytes};
  record_->before(name, c10::ArrayRef<const c10::IValue>(inputs.data(), inputs.size()));
}

void WorkScope::End::operator()(at::RecordFunction* record) const { delete record; }

}  // namespace graft
