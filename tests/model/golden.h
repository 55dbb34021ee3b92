#pragma once

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "model/decoder.h"
#include "store/safetensors.h"
#include "temporary_folder.h"

namespace graft {

inline Path golden(const std::string& name) { return Path(GRAFT_SOURCE_DIR) / "tests/golden" / name; }
inline Path smollm2_gguf() { return Path(GRAFT_DEPS_DIR) / "base/SmolLM2-135M-Instruct.Q4_1.gguf"; }

/// Skips a test that needs the real base where scripts/fetch_base.sh has not brought it.
#define GRAFT_NEED_SMOLLM2()                    \
  if (!std::filesystem::exists(smollm2_gguf())) \
  GTEST_SKIP() << "no " << smollm2_gguf() << ": run scripts/fetch_base.sh"

/// An int64 or fp32 tensor of a golden file, copied.
inline at::Tensor golden_tensor(const SafetensorsFile& file, const std::string& name) {
  const TensorView& view = *file.find(name);
  const auto type = view.dtype == DType::kI64 ? at::kLong : at::kFloat;
  auto* data = const_cast<std::byte*>(view.bytes.data());
  return at::from_blob(data, view.shape, at::TensorOptions().dtype(type)).clone();
}

inline Decoder load_fp32(const Path& base) {
  return load_model({.path = base.string(), .dtype = ComputeDType::kF32});
}

/// ids -> int64 [T]
inline at::Tensor tokens_of(const std::vector<std::int32_t>& ids) {
  at::Tensor tokens = at::empty({static_cast<std::int64_t>(ids.size())}, at::kLong);
  std::copy(ids.begin(), ids.end(), tokens.mutable_data_ptr<std::int64_t>());
  return tokens;
}

/// Logits of all tokens of a pack, [T,V] fp32.
inline at::Tensor pack_logits(const Decoder& model, const at::Tensor& tokens,
                              std::vector<std::int64_t> starts) {
  const at::NoGradGuard no_grad;
  Pass pass;
  pass.layout.starts = std::move(starts);
  return model.logits(model.hidden(tokens, std::move(pass)));
}

inline at::Tensor sequence_logits(const Decoder& model, const std::vector<std::int32_t>& ids) {
  return pack_logits(model, tokens_of(ids), {0, static_cast<std::int64_t>(ids.size())});
}

inline double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

inline void write_text(const Path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

inline std::string text_of_file(const Path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace graft
