#pragma once

#include <ATen/ATen.h>

#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "evaluate/compare.h"
#include "evaluate/loss.h"
#include "peft/fixture.h"

namespace graft {

// fp32 on both sides, sums in another order.
inline constexpr double kPeftTolerance = 1e-4;

/// The base of a case of scripts/golden/peft_methods.py or peft_initialisations.py, whose name begins with
/// its family.
inline Path family_of(const std::string& name) {
  return kGolden / "families" / name.substr(0, name.find('_'));
}
inline Decoder base_of(const std::string& name, ComputeDType dtype = ComputeDType::kF32) {
  return load_model({.path = family_of(name).string(), .dtype = dtype});
}

/// The two sequences of those scripts.
inline std::vector<Example> case_examples() {
  return {example_of({1, 30, 17, 42, 51, 8, 26, 9, 2}, {-100, -100, 17, 42, 51, 8, -100, 9, 2}, 0),
          example_of({1, 7, 40, 5, 12}, {-100, -100, 40, 5, 12}, 1)};
}

/// Of all positions, [T,V].
inline at::Tensor all_log_probs(const Decoder& model) {
  std::vector<at::Tensor> rows;
  for (const Example& example : case_examples()) rows.push_back(log_probabilities(model, example.tokens));
  return at::cat(rows);
}

/// The mean over their targets, differentiable.
inline at::Tensor case_loss(const Decoder& model) {
  const Step step = make_step(case_examples(), {0, 1}, 1024);
  return token_losses(model, step.packs[0]).sum() / static_cast<double>(step.target_tokens);
}

/// wave() of the scripts: the norm, and the product with a fixed wave.
inline at::Tensor wave(const at::Tensor& values) {
  const at::Tensor flat = values.to(at::kDouble).flatten();
  const at::Tensor waves = at::cos(at::arange(flat.numel(), at::kDouble));
  return at::stack({flat.norm(), (flat * waves).sum()});
}

inline std::map<std::string, std::vector<std::int64_t>> shapes_of(const Path& folder) {
  std::map<std::string, std::vector<std::int64_t>> shapes;
  const SafetensorsFile file(folder / "adapter_model.safetensors");
  for (const TensorView& tensor : file.tensors()) shapes[tensor.name] = tensor.shape;
  return shapes;
}

/// Where a test saves the adapter of a case: in `folder`, or where scripts/golden/peft_reread.py loads it
/// into PEFT.
inline Path place_to_save(const std::string& name, const Path& folder) {
  const char* kept = std::getenv("GRAFT_SAVED_ADAPTERS");
  Path out = kept ? Path(kept) / name : folder / "saved";
  std::filesystem::create_directories(out);
  return out;
}

/// Options of LoRA in PEFT's words, as the scripts record them of what is not in an adapter's file.
inline LoraOptions options_in_pefts_words(const Json& said) {
  LoraOptions options;
  options.r = said.value("r", std::int64_t{2});
  options.alpha = said.value("lora_alpha", 4.0);
  options.use_rslora = said.value("use_rslora", false);
  if (said.value("use_dora", false)) options.method = AdapterMethod::kDora;
  const std::string init = said["init_lora_weights"].get<std::string>(), rounds = "pissa_niter_";
  options.init = init.starts_with("pissa") ? LoraInit::kPissa : LoraInit::kOlora;
  if (init.starts_with(rounds)) options.pissa_niter = std::stoll(init.substr(rounds.size()));
  options.target_modules = {.all_linear = false, .names = {"q_proj", "down_proj"}};
  if (said.contains("target_modules"))
    options.target_modules.names = said["target_modules"].get<std::vector<std::string>>();
  if (said.contains("rank_pattern"))
    for (const auto& [key, r] : said["rank_pattern"].items())
      options.rank_pattern.emplace_back(key, r.get<std::int64_t>());
  if (said.contains("alpha_pattern"))
    for (const auto& [key, alpha] : said["alpha_pattern"].items())
      options.alpha_pattern.emplace_back(key, alpha.get<double>());
  return options;
}

}  // namespace graft
