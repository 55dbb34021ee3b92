#pragma once

#include <ATen/core/ivalue.h>
#include <torch/custom_class.h>

#include <memory>
#include <utility>

namespace graft {

/// A plain value that an autograd node holds from its forward to its backward. Tensors do not belong in it:
/// saved variables are freed as soon as the backward has used them, this with the node.
template <class T>
struct Held : torch::CustomClassHolder {
  explicit Held(T v) : value(std::move(v)) {}
  T value;
};

template <class T>
c10::IValue hold(T value) {
  return c10::IValue::make_capsule(c10::make_intrusive<Held<T>>(std::move(value)));
}

template <class T>
const T& held(const c10::IValue& capsule) {
  return static_cast<const Held<T>*>(capsule.toCapsule().get())->value;
}

}  // namespace graft
