#include "adapters/portability.h"

#include <algorithm>
#include <functional>

#include "peft/adapter_maker.h"

namespace graft {
namespace {

AdapterFacts facts_after(const std::function<void(MadeAdapter&)>& change) {
  const TestFolder folder;
  MadeAdapter made;
  change(made);
  made.write(folder.path() / "a");
  return facts_of(open_adapter_folder(folder.path() / "a"));
}

/// The fits of PEFT, vLLM and llama.cpp for the finding `rule`.
std::vector<Fit> fits(const AdapterFacts& facts, const std::string& rule) {
  std::vector<Fit> result;
  for (const Loader loader : kLoaders) {
    const std::vector<Finding> findings = judge(facts, loader, {}, "A");
    const auto found =
        std::find_if(findings.begin(), findings.end(), [&](const Finding& f) { return f.rule == rule; });
    result.push_back(found == findings.end() ? Fit::kLoads : found->fit);
  }
  return result;
}

std::vector<Fit> all_fits(const AdapterFacts& facts) {
  std::vector<Fit> result;
  for (const Loader loader : kLoaders) result.push_back(fit_of(judge(facts, loader, {}, "A")));
  return result;
}

using Fits = std::vector<Fit>;
using enum Fit;

TEST(Portability, APlainLoraLoadsEverywhere) {
  EXPECT_EQ(all_fits(facts_after([](MadeAdapter&) {})), (Fits{kLoads, kLoads, kLoads}));
  for (const char* name : {"plain", "subset"})
    EXPECT_EQ(all_fits(facts_of(open_adapter_folder(kPeftGolden / name))), (Fits{kLoads, kLoads, kLoads}))
        << name;
}

const std::string kQ = "base_model.model.model.layers.0.self_attn.q_proj";

struct Case {
  const char* rule;
  std::function<void(MadeAdapter&)> change;
  Fits fits;
};

void expect_fits(const std::vector<Case>& cases) {
  for (const Case& test : cases) EXPECT_EQ(fits(facts_after(test.change), test.rule), test.fits) << test.rule;
}

TEST(Portability, EveryMethodHasItsRule) {
  expect_fits({
      {"rslora", [](auto& a) { a.config["use_rslora"] = true; }, {kLoads, kLoads, kDiffers}},
      {"dora", [](auto& a) { a.config["use_dora"] = true; }, {kLoads, kRefused, kRefused}},
      {"dora",
       [](auto& a) { a.tensors[kQ + ".lora_magnitude_vector"] = at::ones({12}); },
       {kLoads, kRefused, kRefused}},
      {"scales",
       [](auto& a) {
         a.config["alpha_pattern"] = {{"q_proj", 3}};
       },
       {kLoads, kDiffers, kLoads}},
      {"alphas",
       [](auto& a) {
         a.config["alpha_pattern"] = {{"q_proj", 3}};
       },
       {kLoads, kLoads, kDiffers}},
      {"scales",
       [](auto& a) {
         a.config["rank_pattern"] = {{"q_proj", 2}};
         a.add("model.layers.0.self_attn.q_proj", 12, 10, 2);
       },
       {kLoads, kDiffers, kLoads}},
      {"alphas",
       [](auto& a) {
         a.config["rank_pattern"] = {{"q_proj", 2}};
         a.add("model.layers.0.self_attn.q_proj", 12, 10, 2);
       },
       {kLoads, kLoads, kLoads}},
  });
}

TEST(Portability, WhatIsNoPlainFactorHasItsRule) {
  expect_fits({
      {"modules_to_save",
       [](auto& a) {
         a.tensors["base_model.model.lm_head.weight"] = at::ones({3, 3});
       },
       {kLoads, kRefused, kRefused}},
      {"trained_tokens",
       [](auto& a) {
         a.tensors["base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta"] =
             at::ones({1, 3});
       },
       {kLoads, kRefused, kRefused}},
      {"bias", [](auto& a) { a.config["bias"] = "lora_only"; }, {kLoads, kRefused, kRefused}},
      {"bias", [](auto& a) { a.config["lora_bias"] = true; }, {kLoads, kRefused, kRefused}},
      {"base_weights",
       [](auto& a) {
         a.tensors["base_model.model.lm_head.base_layer.weight"] = at::ones({3, 3});
       },
       {kLoads, kDepends, kDepends}},
      {"head",
       [](auto& a) {
         a.add("lm_head", 9, 10, 4);
         a.config["target_modules"].push_back("lm_head");
       },
       {kLoads, kDepends, kDepends}},
      {"init", [](auto& a) { a.config["init_lora_weights"] = "olora"; }, {kDepends, kDiffers, kDiffers}},
      {"lost_init",
       [](auto& a) { a.config["init_lora_weights"] = "pissa_niter_4"; },
       {kDiffers, kDiffers, kDiffers}},
      {"variant", [](auto& a) { a.config["use_qalora"] = true; }, {kLoads, kDiffers, kDiffers}},
      {"layer_replication",
       [](auto& a) {
         a.config["layer_replication"] = {{0, 1}};
       },
       {kLoads, kRefused, kRefused}},
      {"activated", [](auto& a) { a.config["alora_invocation_tokens"] = {1}; }, {kLoads, kDiffers, kLoads}},
      {"method", [](auto& a) { a.config["peft_type"] = "VERA"; }, {kLoads, kRefused, kRefused}},
  });
}

TEST(Portability, EveryDefectOfAFileHasItsRule) {
  expect_fits({
      {"alpha", [](auto& a) { a.config["lora_alpha"] = 0; }, {kDiffers, kDiffers, kDiffers}},
      {"targets", [](auto& a) { a.config["target_modules"] = {"q_proj"}; }, {kDiffers, kLoads, kLoads}},
      {"pairs", [](auto& a) { a.tensors.erase(kQ + ".lora_B.weight"); }, {kRefused, kRefused, kRefused}},
      {"pairs", [](auto& a) { a.config["r"] = 2; }, {kRefused, kRefused, kRefused}},
      {"config", [](auto& a) { a.config.erase("lora_alpha"); }, {kDepends, kRefused, kDepends}},
      {"zero",
       [](auto& a) {
         for (auto& [key, tensor] : a.tensors)
           if (key.find("lora_B") != std::string::npos) tensor.zero_();
       },
       {kDiffers, kDiffers, kDiffers}},
      {"not_finite", [](auto& a) { a.tensors.begin()->second[0][0] = NAN; }, {kDiffers, kDiffers, kDiffers}},
      {"type",
       [](auto& a) {
         a.tensors.begin()->second = at::ones({4, 10}, at::kLong);
       },
       {kDiffers, kDiffers, kRefused}},
      {"embedding",
       [](auto& a) {
         a.tensors["base_model.model.model.embed_tokens.lora_embedding_A"] = at::ones({4, 7});
         a.tensors["base_model.model.model.embed_tokens.lora_embedding_B"] = at::ones({10, 4});
       },
       {kLoads, kDepends, kLoads}},
      {"experts",
       [](auto& a) { a.config["target_parameters"] = {"mlp.experts.down_proj"}; },
       {kLoads, kDepends, kRefused}},
  });
}

TEST(Portability, NamesThatPeftDoesNotWriteAreTold) {
  const auto renamed = [](const std::string& from, const std::string& to) {
    return facts_after([&](MadeAdapter& a) {
      std::map<std::string, at::Tensor> tensors;
      for (const auto& [key, tensor] : a.tensors) {
        std::string name = key;
        name.replace(name.find(from), from.size(), to);
        tensors[name] = tensor;
      }
      a.tensors = tensors;
    });
  };
  EXPECT_EQ(fits(renamed("base_model.model.", ""), "prefix"), (Fits{kDiffers, kLoads, kLoads}));
  EXPECT_EQ(fits(renamed(".weight", ".default.weight"), "names"), (Fits{kDiffers, kRefused, kRefused}));
  EXPECT_EQ(fits(renamed("model.layers", "_orig_mod.model.layers"), "names"),
            (Fits{kDiffers, kRefused, kRefused}));
  const AdapterFacts text = renamed("model.layers", "model.language_model.layers");
  EXPECT_EQ(fits(text, "class"), (Fits{kDepends, kDepends, kRefused}));
  EXPECT_EQ(judge(text, Loader::kVllm, {}, "A").front().fix,
            "graft adapter rename A --from model.language_model --to model --out text");
}

TEST(Portability, RankIsJudgedByVllmsLimit) {
  const AdapterFacts facts = facts_after([](MadeAdapter& a) {
    a.config["r"] = 24;
    a.add("model.layers.0.self_attn.q_proj", 12, 10, 24);
    a.add("model.layers.0.self_attn.v_proj", 6, 10, 24);
  });
  EXPECT_EQ(fits(facts, "rank"), (Fits{kLoads, kRefused, kLoads}));
  EXPECT_EQ(judge(facts, Loader::kVllm, {}, "A").front().fix,
            "start it with --max-lora-rank 32, or graft adapter resize A --r 16 --out resized");
  EXPECT_TRUE(judge(facts, Loader::kVllm, {.max_lora_rank = 32}, "A").empty());
}

TEST(Portability, AnUnknownLoaderIsRefused) {
  EXPECT_EQ(find_loader("llama.cpp"), Loader::kLlamaCpp);
  EXPECT_EQ(error_of([] { find_loader("ollama"); }).code(), ExitCode::kUsage);
}

}  // namespace
}  // namespace graft
