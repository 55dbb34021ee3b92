#include "export/hf_folder.h"
#include "peft/changed_adapter.h"
#include "peft/tiny_families.h"

namespace graft {
namespace {

constexpr double kTolerance = kPeftTolerance;
const Path kStarts = kPeftGolden / "initialisations";

/// The cases of scripts/golden/peft_initialisations.py whose factors start as parts of the weight: begun here
/// from the same base, and trained as there.
class PeftStarts : public testing::TestWithParam<const char*> {
 protected:
  Path folder() const { return kStarts / GetParam(); }
  LoraOptions options() const { return options_in_pefts_words(cases_["cases"][GetParam()]); }
  at::Tensor expected(const std::string& name) const { return expected_.at(name); }
  bool has(const char* part) const { return std::filesystem::exists(folder() / part); }

  AdapterSet attach(Decoder& model) const { return attach_adapters(model, options(), 1); }

  /// Every second id, as the golden file has them.
  static at::Tensor chosen_log_probs(const Decoder& model) {
    return all_log_probs(model).slice(1, 0, std::nullopt, 2);
  }
  void expect_pefts_log_probs(const Decoder& model) const {
    EXPECT_LT(largest_difference(chosen_log_probs(model), expected("log_probs")), kTolerance);
  }

  /// As many steps of plain gradient descent as PEFT took, with its losses.
  void descend(const Decoder& model, const AdapterSet& set) const {
    const at::Tensor losses = expected("losses");
    for (std::int64_t step = 0; step < losses.numel(); ++step) {
      const at::Tensor loss = case_loss(model);
      const double wanted = losses[step].item<double>();
      EXPECT_NEAR(loss.item<double>(), wanted, kTolerance * (1 + wanted)) << "step " << step;
      loss.backward();
      const at::NoGradGuard no_grad;
      for (const Parameter& parameter : set.parameters) {
        parameter.value.sub_(parameter.value.grad(), cases_["learning_rate"].get<double>());
        parameter.value.mutable_grad() = at::Tensor();
      }
    }
  }

  /// Rows of `golden`, one a module, against `of` that module.
  template <class Of>
  void expect_rows(const AdapterSet& set, const std::string& golden, const Of& of) const {
    const at::Tensor wanted = expected(golden);
    ASSERT_EQ(wanted.size(0), std::ssize(set.layout.adapted));
    for (std::int64_t i = 0; i < wanted.size(0); ++i) {
      const AdaptedModule& module = set.layout.adapted[static_cast<std::size_t>(i)];
      const at::Tensor got = wave(of(module));
      EXPECT_LT(largest_difference(got, wanted[i]), kTolerance * (1 + wanted[i][0].item<double>()))
          << golden << " " << module.path << " " << got << wanted[i];
    }
  }

  static at::Tensor value(const AdapterSet& set, const std::string& name) {
    for (const Parameter& parameter : set.parameters)
      if (parameter.name == name) return parameter.value;
    ADD_FAILURE() << "no " << name;
    return {};
  }
  static at::Tensor a(const AdapterSet& set, const AdaptedModule& module) {
    return value(set, module.path + ".lora_A.weight");
  }
  static at::Tensor b(const AdapterSet& set, const AdaptedModule& module) {
    return value(set, module.path + ".lora_B.weight");
  }
  static at::Tensor product(const AdapterSet& set, const AdaptedModule& module) {
    return module.scale * b(set, module).detach().mm(a(set, module).detach());
  }

  /// The gradients of A and B as they move the product, and those of DoRA's magnitudes.
  void expect_pefts_gradients(const Decoder& model, const AdapterSet& set, const std::string& prefix) const {
    case_loss(model).backward();
    expect_rows(set, prefix + "moved_by_a",
                [&](const auto& m) { return b(set, m).detach().mm(a(set, m).grad()); });
    expect_rows(set, prefix + "moved_by_b",
                [&](const auto& m) { return b(set, m).grad().mm(a(set, m).detach()); });
    if (options().method == AdapterMethod::kDora)
      expect_rows(set, prefix + "magnitudes",
                  [&](const auto& m) { return value(set, m.path + ".lora_magnitude_vector").grad(); });
    for (const Parameter& parameter : set.parameters) parameter.value.mutable_grad() = at::Tensor();
  }

 private:
  Json cases_ = read_json(kStarts / "cases.json");
  std::map<std::string, at::Tensor> expected_ = read_tensors(folder() / "expected.safetensors");
};

at::Tensor weight_of(const Decoder& model, const AdaptedModule& module) {
  at::Tensor weight;
  model.each_group([&](const LinearGroup& group) {
    for (const Linear& linear : group.linears)
      if (linear.name == module.path) weight = linear.weight->rows(0, module.out);
  });
  return weight;
}

TEST_P(PeftStarts, ItTakesOutWhatPeftTakesOutAndStartsFromTheBase) {
  Decoder model = base_of(GetParam());
  const at::Tensor before = all_log_probs(model);
  const AdapterSet set = attach(model);
  EXPECT_LT(largest_difference(all_log_probs(model), before), kTolerance);
  EXPECT_LT(expected("start.gap").item<double>(), kTolerance) << "PEFT's own";
  expect_rows(set, "start.product", [&](const auto& m) { return product(set, m); });
  expect_rows(set, "start.left", [&](const auto& m) { return weight_of(model, m) - product(set, m); });
  std::vector<at::Tensor> sizes;
  for (const AdaptedModule& module : set.layout.adapted) {
    sizes.push_back(a(set, module).detach().norm(2, {1}));
    sizes.push_back(b(set, module).detach().norm(2, {0}));
  }
  EXPECT_LT(largest_difference(at::cat(sizes), expected("start.sizes")), kTolerance);
}

TEST_P(PeftStarts, TrainedItFollowsPeft) {
  Decoder model = base_of(GetParam());
  const at::Tensor before = chosen_log_probs(model);
  EXPECT_GT(largest_difference(before, expected("log_probs")), 1000 * kTolerance);
  const AdapterSet set = attach(model);
  std::map<std::string, at::Tensor> starts;
  for (const AdaptedModule& module : set.layout.adapted) starts[module.path] = product(set, module);
  expect_pefts_gradients(model, set, "start.");
  descend(model, set);
  expect_pefts_log_probs(model);
  expect_pefts_gradients(model, set, "");
  expect_rows(set, "product", [&](const auto& m) { return product(set, m) - starts.at(m.path); });
}

TEST_P(PeftStarts, MergedItIsWhatPeftTrained) {
  EXPECT_LT(expected("merged_gap").item<double>(), kTolerance) << "PEFT's own";
  Decoder model = base_of(GetParam());
  descend(model, attach(model));
  const TestFolder folder_of_test;
  const Path out = folder_of_test.path() / "merged";
  write_hf_folder(model, family_of(GetParam()), out, WeightType::kF32);
  expect_pefts_log_probs(load_model({.path = out.string(), .dtype = ComputeDType::kF32}));
}

// PEFT's own conversion, where there is one that loses nothing; else what it saves of the base that it
// changed, of half the rank.
TEST_P(PeftStarts, SavedItHasPeftsKeysShapesAndConfigAndNeedsThePlainBaseAlone) {
  Decoder model = base_of(GetParam());
  const AdapterSet set = attach(model);
  descend(model, set);
  const TestFolder folder_of_test;
  const Path out = place_to_save(GetParam(), folder_of_test.path());
  save_adapter(set, out, "base", {});
  const bool converted = has("converted");
  const Path golden = folder() / (converted ? "converted" : "trained");
  if (converted || has("trained")) {
    auto wanted = shapes_of(golden);
    for (auto& [name, shape] : wanted)
      if (!converted && name.ends_with(".weight")) shape[name.ends_with("lora_A.weight") ? 0 : 1] *= 2;
    EXPECT_EQ(shapes_of(out), wanted);
  }
  const Json ours = read_json(out / "adapter_config.json");
  EXPECT_EQ(ours["init_lora_weights"], Json(true));
  if (converted) {
    const Json peft = read_json(golden / "adapter_config.json");
    for (const auto& [key, value] : ours.items()) {
      if (key == "base_model_name_or_path") continue;
      if (key == "lora_alpha")
        EXPECT_NEAR(value.get<double>(), peft.at(key).get<double>(), 1e-12);
      else
        EXPECT_EQ(value, peft.at(key)) << key;
    }
  }
  Decoder plain = base_of(GetParam());
  load_adapter(plain, out, ZeroAdapter::kRefuse);
  expect_pefts_log_probs(plain);
}

using PeftConverted = PeftStarts;
TEST_P(PeftConverted, IsWhatPeftTrained) {
  EXPECT_LT(expected("converted_gap").item<double>(), kTolerance) << "PEFT's own";
  Decoder model = base_of(GetParam());
  load_adapter(model, folder() / "converted", ZeroAdapter::kRefuse);
  expect_pefts_log_probs(model);
}

// PEFT computes the start from the base again and takes it out, whenever it loads such a folder.
using PeftUnconverted = PeftStarts;
TEST_P(PeftUnconverted, IsWhatPeftTrainedAndIsTrainedOn) {
  EXPECT_LT(expected("reloaded_gap").item<double>(), kTolerance) << "PEFT's own";
  Decoder model = base_of(GetParam());
  LoraOptions wanted;
  wanted.from = (folder() / "trained").string();
  testing::internal::CaptureStderr();
  const AdapterSet set = attach_adapters(model, wanted, 1);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("init_lora_weights"), std::string::npos);
  expect_pefts_log_probs(model);
  expect_pefts_gradients(model, set, "");

  const TestFolder folder_of_test;
  save_adapter(set, folder_of_test.path(), "base", {});
  Decoder plain = base_of(GetParam());
  load_adapter(plain, folder_of_test.path(), ZeroAdapter::kRefuse);
  expect_pefts_log_probs(plain);
  Decoder resumed = base_of(GetParam());
  const AdapterSet other = attach_adapters(resumed, wanted, 1);
  restore_adapter(other, folder_of_test.path());
  EXPECT_EQ(largest_difference(all_log_probs(resumed), all_log_probs(model)), 0.0);
}

// Whoever computed the singular vectors: another sign of them changes nothing, in bf16 either.
TEST_P(PeftUnconverted, TheSignsOfItsFactorsDoNotMatter) {
  const TestFolder folder_of_test;
  write_changed_adapter(folder() / "trained", folder_of_test.path(), [](FileTensors& tensors, Json&) {
    for (auto& [name, tensor] : tensors) {
      const bool is_a = name.ends_with("lora_A.weight"), is_b = name.ends_with("lora_B.weight");
      auto* values = reinterpret_cast<float*>(tensor.bytes.data());
      const std::int64_t rows = tensor.shape[0], columns = is_a || is_b ? tensor.shape[1] : 0;
      for (std::int64_t i = 0; i < rows * columns; ++i)
        if (is_a ? i < columns : i % columns == 0) values[i] = -values[i];  // the first direction
    }
  });
  Decoder model = base_of(GetParam(), ComputeDType::kBF16), other = base_of(GetParam(), ComputeDType::kBF16);
  load_adapter(model, folder() / "trained", ZeroAdapter::kRefuse);
  load_adapter(other, folder_of_test.path(), ZeroAdapter::kRefuse);
  EXPECT_EQ(largest_difference(all_log_probs(other), all_log_probs(model)), 0.0);
}

std::string name_of(const testing::TestParamInfo<const char*>& info) { return info.param; }

TEST_P(PeftUnconverted, InBf16ItIsAsNearToFp32AsPefts) {
  constexpr double kChance = 1.5;  // a distance of rounding alone, over few numbers
  Decoder model = base_of(GetParam(), ComputeDType::kBF16);
  load_adapter(model, folder() / "trained", ZeroAdapter::kRefuse);
  const at::Tensor off = chosen_log_probs(model).to(at::kFloat) - expected("log_probs");
  EXPECT_LT(off.square().mean().sqrt().item<double>(), kChance * expected("bf16_rms").item<double>());
}

INSTANTIATE_TEST_SUITE_P(Peft, PeftStarts,
                         testing::Values("llama_pissa", "qwen2_pissa", "gemma2_pissa", "llama_olora",
                                         "qwen2_olora", "gemma2_olora", "llama_pissa_niter",
                                         "qwen2_pissa_niter", "gemma2_pissa_niter", "qwen2_pissa_rslora",
                                         "llama_pissa_patterns", "gemma2_olora_rslora_patterns",
                                         "qwen2_pissa_rslora_patterns", "llama_pissa_dora",
                                         "gemma2_olora_dora"),
                         name_of);
// Not: rsLoRA with patterns, which PEFT does not convert, and DoRA, of which it loses the magnitudes.
INSTANTIATE_TEST_SUITE_P(Peft, PeftConverted,
                         testing::Values("llama_pissa", "qwen2_pissa", "gemma2_pissa", "llama_olora",
                                         "qwen2_olora", "gemma2_olora", "gemma2_pissa_niter",
                                         "qwen2_pissa_rslora", "llama_pissa_patterns"),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Peft, PeftUnconverted,
                         testing::Values("llama_pissa", "qwen2_pissa", "gemma2_pissa", "llama_olora",
                                         "qwen2_olora", "gemma2_olora", "gemma2_olora_rslora_patterns",
                                         "qwen2_pissa_rslora_patterns", "llama_pissa_dora",
                                         "gemma2_olora_dora"),
                         name_of);

// There PEFT takes the start out of the embedding too, and starts far from the base.
TEST(TiedHead, AStartThatIsPartOfItLeavesTheEmbeddingAlone) {
  for (const LoraInit init : {LoraInit::kPissa, LoraInit::kOlora}) {
    Decoder model = base_of("qwen2");
    const at::Tensor before = all_log_probs(model);
    LoraOptions options;
    options.r = 4;
    options.init = init;
    options.target_modules = {.all_linear = false, .names = {"lm_head"}};
    const AdapterSet set = attach_adapters(model, options, 1);
    EXPECT_LT(largest_difference(all_log_probs(model), before), kTolerance);
    case_loss(model).backward();
    EXPECT_GT(set.parameters.at(0).value.grad().norm().item<double>(), 0.01);
  }
}

}  // namespace
}  // namespace graft
