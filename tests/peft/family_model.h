#pragma once

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <string>
#include <vector>

#include "peft/fixture.h"

namespace graft {

inline const Path kFamilies = kGolden / "families";

inline Decoder family_model(const std::string& family) {
  return load_model({.path = (kFamilies / family).string(), .dtype = ComputeDType::kF32});
}

/// Log-probabilities of the two sequences of scripts/golden/families.py.
inline at::Tensor family_log_probs(const Decoder& model, const std::string& family) {
  const SafetensorsFile file(kFamilies / family / "expected.safetensors");
  const auto integers = [&](const char* name) {
    const TensorView& view = *file.find(name);
    const auto* first = reinterpret_cast<const std::int64_t*>(view.bytes.data());
    return std::vector<std::int64_t>(first, first + view.elements());
  };
  const at::NoGradGuard no_grad;
  Pass pass;
  pass.layout.starts = integers("starts");
  return at::log_softmax(model.logits(model.hidden(at::tensor(integers("tokens")), std::move(pass))), -1);
}

}  // namespace graft
