#include "ops/linear.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cassert>
#include <memory>
#include <tuple>
#include <utility>

#include "ops/gain.h"
#include "ops/held.h"
#include "ops/linear_group.h"
#include "ops/norm.h"
#include "ops/swiglu.h"

namespace graft {
namespace {

using torch::autograd::AutogradContext;
using GroupPtr = std::shared_ptr<const LinearGroupWork>;

// Not a bare tensor: nothing is differentiated through it.
struct MadeInput {
  at::Tensor h;  // [T,in] or undefined
};

// The tensors of a call in the order that autograd sees them: x, up and residual where there are such, every
// a, every b, every gain.
struct Arguments {
  at::Tensor x, up, residual;
  LoraFactorLists factors;

  variable_list list() const {
    variable_list all{x};
    for (const auto* each : {&up, &residual})
      if (each->defined()) all.push_back(*each);
    all.insert(all.end(), factors.a.begin(), factors.a.end());
    all.insert(all.end(), factors.b.begin(), factors.b.end());
    all.insert(all.end(), factors.gains.begin(), factors.gains.end());
    return all;
  }
};

// Where they are in that list.
struct Places {
  std::size_t up, residual, a, b, gains, end;
  bool has_up, has_residual;

  explicit Places(const Arguments& arguments)
      : up(1),
        residual(up + (arguments.up.defined() ? 1 : 0)),
        a(residual + (arguments.residual.defined() ? 1 : 0)),
        b(a + arguments.factors.a.size()),
        gains(b + arguments.factors.b.size()),
        end(gains + arguments.factors.gains.size()),
        has_up(residual > up),
        has_residual(a > residual) {}
};

struct Call {
  LinearGroupWork group;
  Places places;
};
using CallPtr = std::shared_ptr<const Call>;

struct LoraLinear : torch::autograd::Function<LoraLinear> {
  // `all` is arguments.list(): autograd sees no tensor inside a struct.
  static variable_list forward(AutogradContext* ctx, at::TensorList /*all*/, const Arguments& arguments,
                               const MadeInput& made, const CallPtr& call) {
    ctx->set_materialize_grads(false);
    ctx->saved_data["call"] = hold(call);
    const auto& [x, up, residual, factors] = arguments;
    const at::Tensor h = made.h.defined() ? made.h : input_values(call->group, {x, up}).h;
    auto values =
        (suits_fused(call->group, h) ? fused_forward : plain_forward)(call->group, h, factors, residual);
    variable_list saved{x, up, values.xa};
    saved.insert(saved.end(), factors.a.begin(), factors.a.end());
    saved.insert(saved.end(), factors.b.begin(), factors.b.end());
    saved.insert(saved.end(), factors.gains.begin(), factors.gains.end());
    for (const std::size_t i : call->group.gained) saved.push_back(values.ys[i]);
    ctx->save_for_backward(std::move(saved));
    if (values.gated.defined()) {
      values.ys.push_back(values.gated);
      ctx->mark_non_differentiable({values.gated});
    }
    return values.ys;
  }

  static variable_list backward(AutogradContext* ctx, variable_list dys) {
    constexpr std::ptrdiff_t kOthers = 3;  // arguments behind the list
    const auto call = held<CallPtr>(ctx->saved_data["call"]);
    const auto& [group, places] = *call;
    variable_list result(places.end + kOthers);
    dys.resize(group.terms.size());
    if (places.has_residual) result[places.residual] = dys[0];
    if (std::none_of(dys.begin(), dys.end(), [](const at::Tensor& dy) { return dy.defined(); }))
      return result;
    const auto saved = ctx->get_saved_variables();
    const auto a = saved.begin() + 3, b = a + std::ssize(group.adapted),
               gains = b + std::ssize(group.adapted), gained_ys = gains + std::ssize(group.gained);
    for (std::size_t i = 0; i < group.gained.size(); ++i) {
      const auto at = static_cast<std::ptrdiff_t>(i);
      auto& dy = dys[group.gained[i]];
      if (dy.defined()) std::tie(dy, result[places.gains + i]) = gain_gradients(dy, gained_ys[at], gains[at]);
    }
    const LinearGradientsWanted wanted{
        .input = ctx->needs_input_grad(0) || (places.has_up && ctx->needs_input_grad(places.up)),
        .a = places.b > places.a && ctx->needs_input_grad({{places.a, places.b}}),
        .b = places.gains > places.b && ctx->needs_input_grad({{places.b, places.gains}})};
    const auto backward = suits_fused(group, saved[0]) ? fused_backward : plain_backward;
    const auto gradients = backward(group, {saved[0], saved[1]}, saved[2], {{a, b}, {b, gains}}, dys, wanted);
    result[0] = gradients.x;
    if (places.has_up) result[places.up] = gradients.up;
    std::copy(gradients.a.begin(), gradients.a.end(), result.begin() + static_cast<std::ptrdiff_t>(places.a));
    std::copy(gradients.b.begin(), gradients.b.end(), result.begin() + static_cast<std::ptrdiff_t>(places.b));
    return result;
  }
};

}  // namespace

variable_list LoraFactorLists::gain_of_terms(const LinearGroupWork& group) const {
  variable_list all(group.terms.size());
  for (std::size_t i = 0; i < gains.size(); ++i) all[group.gained[i]] = gains[i].detach();
  return all;
}

LinearInput LinearInput::normed(at::Tensor x, at::Tensor weight, double eps) {
  LinearInput input(std::move(x));
  input.norm_weight = std::move(weight);
  input.norm_eps = eps;
  return input;
}

LinearInput LinearInput::gated(at::Tensor gate, at::Tensor up, at::Tensor made, GateMemory memory) {
  LinearInput input(std::move(gate));
  input.up = std::move(up);
  input.made = std::move(made);
  input.memory = memory;
  return input;
}

at::Tensor LinearInput::value() const {
  if (up.defined()) return swiglu(x, up);
  return norm_weight.defined() ? rms_norm(x, norm_weight, norm_eps) : x;
}

std::vector<at::Tensor> LinearOutput::applied_to(std::vector<at::Tensor> ys) const {
  if (residual.defined()) ys.front() = ys.front() + residual;
  if (gated) ys.push_back(swiglu(ys[0].detach(), ys[1].detach()));
  return ys;
}

at::Tensor linear(const at::Tensor& x, const FrozenWeightPtr& weight, const at::Tensor& bias) {
  return lora_linear(x, {LoraTerm{.weight = weight, .bias = bias}}, std::nullopt).front();
}

std::vector<at::Tensor> lora_linear(const LinearInput& input, const std::vector<LoraTerm>& terms,
                                    const std::optional<LoraDropout>& dropout, const LinearOutput& output) {
  assert(!output.residual.defined() || terms.size() == 1);
  assert(!output.gated || terms.size() == 2);
  const auto contiguous = [](const at::Tensor& t) { return t.defined() ? t.contiguous() : t; };
  Arguments arguments{contiguous(input.x), contiguous(input.up), contiguous(output.residual), {}};
  LinearGroupWork group{.terms = terms,
                        .norm_weight = input.norm_weight,
                        .norm_eps = input.norm_eps,
                        .gated = output.gated,
                        .gate_memory = input.memory};
  if (dropout && dropout->probability > 0) group.dropout = dropout;
  for (std::size_t i = 0; i < terms.size(); ++i) {
    auto& term = group.terms[i];
    assert(input.x.dim() == 2 && term.weight->in_features() == input.x.size(1) &&
           term.a.defined() == term.b.defined());
    if (term.gain.defined()) {
      assert(!term.bias.defined() && !output.residual.defined());
      group.gained.push_back(i);
      arguments.factors.gains.push_back(std::exchange(term.gain, {}).contiguous());
    }
    if (!term.a.defined()) continue;
    group.adapted.push_back(i);
    arguments.factors.a.push_back(std::exchange(term.a, {}));
    arguments.factors.b.push_back(std::exchange(term.b, {}));
  }
  const auto all = arguments.list();
  const Places places(arguments);
  return LoraLinear::apply(at::TensorList(all), arguments, MadeInput{input.made},
                           CallPtr(std::make_shared<Call>(Call{std::move(group), places})));
}

}  // namespace graft
