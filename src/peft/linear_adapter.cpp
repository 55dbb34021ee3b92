#include "peft/linear_adapter.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "base/error.h"
#include "ops/dropout.h"

namespace graft {
namespace {

// Takes the bias out of a term whose products are multiplied by a gain, or whose bias is differentiated.
at::Tensor take_late_bias(LoraTerm& term) {
  const bool late = term.bias.defined() && (term.gain.defined() || term.bias.requires_grad());
  return late ? std::exchange(term.bias, {}) : at::Tensor();
}

// A gain on the products of a dropped input, as PEFT has it in DoRA: W x + (g - 1) W xd + g s B A xd, xd
// being drop(x) by the module's own mask; taken as W (x - xd) + g (W xd + s B A xd). The bias is not in it.
at::Tensor dropped_with_gain(const at::Tensor& x, const LoraTerm& term, const LoraDropout& dropout) {
  const at::Tensor xd = dropped(x, dropout, term.module);
  return linear(x - xd, term.weight, {}) + lora_linear(xd, {term}, std::nullopt).front();
}

// The products of all terms where some have a gain and the input is dropped: each term by itself.
std::vector<at::Tensor> run_dropped(const LinearInput& input, const std::vector<LoraTerm>& terms,
                                    const LoraDropout& dropout) {
  const at::Tensor x = input.value();
  std::vector<at::Tensor> ys;
  for (const LoraTerm& term : terms)
    ys.push_back(term.gain.defined() ? dropped_with_gain(x, term, dropout)
                                     : lora_linear(x, {term}, dropout).front());
  return ys;
}

// One lora_linear, then the biases that it could not take.
std::vector<at::Tensor> run_terms(const LinearInput& input, std::vector<LoraTerm> terms,
                                  const std::optional<LoraDropout>& dropout, const LinearOutput& output) {
  std::vector<at::Tensor> late;
  bool any_late = false, any_gain = false;
  for (LoraTerm& term : terms) {
    late.push_back(take_late_bias(term));
    any_late = any_late || late.back().defined();
    any_gain = any_gain || term.gain.defined();
  }
  if (!any_late && !any_gain) return lora_linear(input, terms, dropout, output);
  const bool apart = any_gain && dropout.has_value();
  const bool gated_late = output.gated && (any_late || apart);
  std::vector<at::Tensor> ys =
      apart ? run_dropped(input, terms, *dropout)
            : lora_linear(input, terms, dropout, {.gated = output.gated && !gated_late});
  for (std::size_t i = 0; i < late.size(); ++i)
    if (late[i].defined()) ys[i] = ys[i] + late[i].to(ys[i].scalar_type());
  return LinearOutput{.residual = output.residual, .gated = gated_late}.applied_to(std::move(ys));
}

}  // namespace

std::optional<LoraTerm> LinearAdapter::term(const Linear& /*linear*/, at::ScalarType /*dtype*/) const {
  return std::nullopt;
}

at::Tensor LinearAdapter::forward(const LinearInput& /*input*/, const Linear& linear) const {
  fail(ExitCode::kInternal, linear.name, ": its adapter is a sum of products");
}

GroupAdapter::GroupAdapter(std::vector<LinearSlot> slots, double dropout)
    : slots_(std::move(slots)), dropout_(dropout) {
  for (const LinearSlot& slot : slots_)
    if (slot.bias.defined()) slot.bias.set_requires_grad(true);
}

Linear GroupAdapter::with_bias(const Linear& linear, const LinearSlot& slot) {
  Linear own = linear;
  if (slot.bias.defined()) own.bias = slot.bias;
  return own;
}

std::vector<at::Tensor> GroupAdapter::forward(const LinearInput& input, const std::vector<Linear>& group,
                                              const Pass& pass, const LinearOutput& output) const {
  assert(group.size() == slots_.size());
  std::vector<std::optional<LoraTerm>> terms;
  std::vector<Linear> linears;
  for (std::size_t i = 0; i < group.size(); ++i) {
    const Linear& own = linears.emplace_back(with_bias(group[i], slots_[i]));
    terms.push_back(slots_[i].adapter ? slots_[i].adapter->term(own, input.x.scalar_type())
                                      : LoraTerm{.weight = own.weight, .bias = own.bias});
  }
  std::optional<LoraDropout> dropout;
  if (pass.dropout && dropout_ > 0) dropout = LoraDropout{dropout_, *pass.dropout, pass.layout};
  if (std::all_of(terms.begin(), terms.end(), [](const auto& term) { return term.has_value(); })) {
    std::vector<LoraTerm> all;
    for (auto& term : terms) all.push_back(*std::move(term));
    return run_terms(input, std::move(all), dropout, output);
  }
  std::vector<at::Tensor> ys;
  for (std::size_t i = 0; i < group.size(); ++i)
    ys.push_back(terms[i] ? run_terms(input, {*terms[i]}, dropout, {}).front()
                          : slots_[i].adapter->forward(input, linears[i]));
  return output.applied_to(std::move(ys));
}

std::vector<StoredTensor> GroupAdapter::stored() const {
  std::vector<StoredTensor> all;
  for (const LinearSlot& slot : slots_) {
    if (slot.adapter)
      for (StoredTensor& tensor : slot.adapter->stored()) all.push_back(std::move(tensor));
    if (slot.bias.defined()) all.push_back({slot.bias_name, {slot.bias}});
  }
  return all;
}

const LinearSlot* GroupAdapter::find(const Linear& linear) const {
  const auto found = std::find_if(slots_.begin(), slots_.end(),
                                  [&](const LinearSlot& slot) { return slot.module == linear.name; });
  return found == slots_.end() ? nullptr : &*found;
}

at::Tensor GroupAdapter::merge_into(const Linear& linear, const at::Tensor& rows, std::int64_t first) const {
  const at::NoGradGuard no_grad;
  const LinearSlot* slot = find(linear);
  return slot && slot->adapter ? slot->adapter->merge_into(linear, rows, first) : rows;
}

at::Tensor GroupAdapter::merged_bias(const Linear& linear) const {
  const at::NoGradGuard no_grad;
  const LinearSlot* slot = find(linear);
  if (slot == nullptr) return linear.bias;
  const Linear own = with_bias(linear, *slot);
  const at::Tensor bias = slot->adapter ? slot->adapter->merged_bias(own) : own.bias;
  return bias.defined() ? bias.detach() : bias;
}

bool GroupAdapter::keeps_outputs() const {
  return std::any_of(slots_.begin(), slots_.end(),
                     [](const LinearSlot& slot) { return slot.adapter && slot.adapter->keeps_outputs(); });
}

}  // namespace graft
