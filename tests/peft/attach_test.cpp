#include <ATen/ATen.h>

#include "evaluate/compare.h"
#include "model/base_outline.h"
#include "peft/fixture.h"

namespace graft {
namespace {

const std::vector<std::int32_t> kTokens = {1, 300, 17, 42, 511};

LoraOptions continued() {
  LoraOptions options;
  options.from = (kPeftGolden / "subset").string();
  return options;
}

TEST(Attach, AFreshAdapterChangesNothing) {
  Decoder model = tiny_model();
  const at::Tensor before = log_probabilities(model, kTokens);
  const AdapterSet set = attach_adapters(model, {}, 1);
  EXPECT_EQ(set.modules.size(), 14U);
  EXPECT_EQ(set.parameters.size(), 28U);
  // r (in + out) of q 64+64, k and v 64+32, o 64+64, gate and up 64+128, down 128+64, two blocks.
  EXPECT_EQ(set.parameter_count(), 2 * 16 * (128 + 96 + 96 + 128 + 192 + 192 + 192));
  EXPECT_EQ(largest_difference(log_probabilities(model, kTokens), before), 0.0);
  for (const Parameter& parameter : set.parameters) {
    EXPECT_TRUE(parameter.value.requires_grad()) << parameter.name;
    EXPECT_EQ(parameter.value.scalar_type(), at::kFloat);
  }
}

TEST(Attach, AnOutlineCountsWhatWouldBeAttached) {
  const Decoder shapes = outline_model({.path = (kGolden / "tiny_llama").string()}).model;
  Decoder model = tiny_model();
  LoraOptions options;
  options.r = 5;
  options.target_modules = {.all_linear = false, .pattern = R"(.*layers\.1\..*(q|v|up)_proj)"};
  const AdapterOutline outline = outline_adapters(shapes, options);
  const AdapterSet set = attach_adapters(model, options, 1);
  EXPECT_EQ(outline.modules, set.modules);
  EXPECT_EQ(outline.parameters, set.parameter_count());
  EXPECT_EQ(outline.ranks, 3 * 5);
  EXPECT_EQ(outline.first_block, 1);
  EXPECT_EQ(outline_adapters(shapes, {}).first_block, 0);
}

TEST(Attach, FactorsDrawnFromAnOutlineAreThoseThatAttachingDraws) {
  const Decoder shapes = outline_model({.path = (kGolden / "tiny_llama").string()}).model;
  LoraOptions options;
  options.target_modules = {.all_linear = false, .names = {"q_proj", "down_proj"}};
  Decoder model = tiny_model(), other = tiny_model();
  const AdapterSet set = attach_adapters(model, options, 3, draw_tensors(shapes, options, 3));
  const AdapterSet drawn_there = attach_adapters(other, options, 3);
  ASSERT_EQ(set.parameters.size(), 8U);
  ASSERT_EQ(drawn_there.parameters.size(), 8U);
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(set.parameters[i].name, drawn_there.parameters[i].name);
    EXPECT_TRUE(at::equal(set.parameters[i].value, drawn_there.parameters[i].value));
  }
  EXPECT_TRUE(draw_tensors(shapes, continued(), 3).empty());
}

TEST(Attach, TheFirstPatternThatMatchesCountsAfterSavingToo) {
  LoraOptions options;
  options.target_modules = {.all_linear = false, .names = {"q_proj", "v_proj"}};
  options.rank_pattern = {{"v_proj", 3}, {".*_proj", 2}};  // sorted, the second would come first
  Decoder model = tiny_model(), other = tiny_model();
  const AdapterSet set = attach_adapters(model, options, 3);
  const TestFolder folder;
  save_adapter(set, folder.path(), "base", {});
  const AdapterSet read = load_adapter(other, folder.path(), ZeroAdapter::kAccept);
  ASSERT_EQ(read.layout.adapted.size(), 4U);
  EXPECT_EQ(read.layout.adapted[0].r, 2);
  EXPECT_EQ(read.layout.adapted[1].r, 3);
}

TEST(Attach, AnOutlineOfAnAdapterToContinueFromIsTheFiles) {
  const Decoder shapes = outline_model({.path = (kGolden / "tiny_llama").string()}).model;
  Decoder model = tiny_model();
  const AdapterOutline outline = outline_adapters(shapes, continued());
  const AdapterSet set = attach_adapters(model, continued(), 1);
  EXPECT_EQ(outline.options.r, 3);
  EXPECT_EQ(outline.modules, set.modules);
  EXPECT_EQ(outline.parameters, set.parameter_count());
  LoraOptions other = continued();
  other.r = 4;
  EXPECT_EQ(error_of([&] { outline_adapters(shapes, other); }).code(), ExitCode::kUsage);
}

TEST(Attach, ANameThatMatchesNothingIsAUsageErrorThatOffersTheRealOnes) {
  Decoder model = tiny_model();
  LoraOptions options;
  options.target_modules = {.all_linear = false, .names = {"q_proj", "v_prj"}};
  const Error error = error_of([&] { attach_adapters(model, options, 1); });
  EXPECT_EQ(error.code(), ExitCode::kUsage);
  EXPECT_TRUE(says(error, "'v_prj'") && says(error, "did you mean 'v_proj'") && says(error, "down_proj"))
      << error.hint();
}

TEST(Attach, ExcludingEverythingIsAnError) {
  Decoder model = tiny_model();
  LoraOptions options;
  options.exclude_modules.pattern = ".*";
  EXPECT_EQ(error_of([&] { attach_adapters(model, options, 1); }).code(), ExitCode::kUsage);
}

// What a fresh adapter of each kind must do: nothing.
TEST(Attach, FreshAdaptersOfEveryKindChangeNothing) {
  const auto with = [](auto change) {
    LoraOptions options;
    change(options);
    return options;
  };
  const std::vector<LoraOptions> all = {
      with([](LoraOptions& o) { o.method = AdapterMethod::kDora; }),
      with([](LoraOptions& o) { o.method = AdapterMethod::kVera; }),
      with([](LoraOptions& o) { o.method = AdapterMethod::kIa3; }),
      with([](LoraOptions& o) { o.lora_bias = true; }),
      with([](LoraOptions& o) { o.init = LoraInit::kOrthogonal; }),
      with([](LoraOptions& o) { o.init = LoraInit::kPissa; }),
      with([](LoraOptions& o) { o.init = LoraInit::kPissa, o.pissa_niter = 2; }),
      with([](LoraOptions& o) { o.init = LoraInit::kOlora, o.method = AdapterMethod::kDora; }),
      with([](LoraOptions& o) {
        o.target_modules = {.all_linear = false, .names = {"lm_head", "embed_tokens"}};
      }),
      with([](LoraOptions& o) {
        o.modules_to_save = {"lm_head", "embed_tokens", "norm", "v_proj"};
      }),
      with([](LoraOptions& o) {
        o.trainable_tokens = {1, 300};
      }),
      with([](LoraOptions& o) { o.bias = TrainedBias::kAll, o.freeze_a = true; })};
  Decoder bare = tiny_model();
  const at::Tensor before = log_probabilities(bare, kTokens);
  for (std::size_t i = 0; i < all.size(); ++i) {
    Decoder model = tiny_model();
    const AdapterSet set = attach_adapters(model, all[i], 1);
    EXPECT_LT(largest_difference(log_probabilities(model, kTokens), before), 2e-5) << i;
    const Decoder shapes = outline_model({.path = (kGolden / "tiny_llama").string()}).model;
    const AdapterOutline outline = outline_adapters(shapes, all[i]);
    EXPECT_EQ(outline.parameters, set.parameter_count()) << i;
    EXPECT_EQ(outline.modules, set.modules) << i;
    const TestFolder folder;
    save_adapter(set, folder.path(), "base", {});
    Decoder other = tiny_model();
    load_adapter(other, folder.path(), ZeroAdapter::kAccept);
    EXPECT_LT(largest_difference(log_probabilities(other, kTokens), before), 2e-5) << i;
  }
}

TEST(Attach, WhatDoesNotFitTheBaseIsAUsageError) {
  Decoder model = tiny_model();
  const auto refused = [&](auto change, const char* part) {
    LoraOptions options;
    change(options);
    const Error error = error_of([&] { attach_adapters(model, options, 1); });
    EXPECT_EQ(error.code(), ExitCode::kUsage) << error.what();
    EXPECT_TRUE(says(error, part)) << error.what();
  };
  refused([](LoraOptions& o) { o.modules_to_save = {"classifier"}; }, "classifier");
  refused([](LoraOptions& o) { o.trainable_tokens = {512}; }, "token 512");
  refused([](LoraOptions& o) { o.trainable_tokens = {5, 5}; }, "twice");
  refused([](LoraOptions& o) { o.trainable_tokens = {5}, o.modules_to_save = {"embed_tokens"}; },
          "trained otherwise");
  refused([](LoraOptions& o) { o.init = LoraInit::kOrthogonal, o.r = 3; }, "even rank");
  refused([](LoraOptions& o) { o.init = LoraInit::kPissa, o.r = 65; }, "at most 64");
  refused([](LoraOptions& o) { o.rank_pattern = {{"q_proj(", 2}}; }, "rank_pattern");
  refused([](LoraOptions& o) { o.layers_to_transform = {7}; }, "no linear");
  refused(
      [](LoraOptions& o) {
        o.method = AdapterMethod::kDora;
        o.target_modules = {.all_linear = false, .names = {"embed_tokens"}};
      },
      "only lora");
}

TEST(Attach, ContinuingTakesRankAlphaAndTargetsFromTheFile) {
  Decoder model = tiny_model();
  LoraOptions options = continued();
  options.dropout = 0.25;
  const AdapterSet set = attach_adapters(model, options, 1);
  EXPECT_EQ(set.options.r, 3);
  EXPECT_DOUBLE_EQ(set.options.alpha, 4.5);
  EXPECT_DOUBLE_EQ(set.options.dropout, 0.25);
  EXPECT_EQ(set.modules.size(), 4U);
}

TEST(Attach, ContinuingRefusesWhatTheRecipeSaysOtherwise) {
  Decoder model = tiny_model();
  const auto refused = [&](const LoraOptions& options, const char* part) {
    const Error error = error_of([&] { attach_adapters(model, options, 1); });
    EXPECT_EQ(error.code(), ExitCode::kUsage) << error.what();
    EXPECT_TRUE(says(error, part)) << error.what();
  };
  LoraOptions options = continued();
  options.r = 8;
  refused(options, "lora.r");
  options = continued();
  options.given = {"r"};  // 16, written out
  refused(options, "lora.r");
  options = continued();
  options.alpha = 5;
  refused(options, "lora.alpha");
  options = continued();
  options.use_rslora = true;
  refused(options, "lora.use_rslora");
  options = continued();
  options.target_modules = {.all_linear = false, .names = {"o_proj"}};
  refused(options, "lora.target_modules");
}

TEST(Attach, ContinuingAcceptsTheSameModulesInOtherWords) {
  Decoder model = tiny_model();
  LoraOptions options = continued();
  options.r = 3;
  options.target_modules = {.all_linear = false,
                            .pattern = ".*(o_proj|1\\.self_attn\\.k_proj|1\\.mlp\\.gate_proj)"};
  EXPECT_EQ(attach_adapters(model, options, 1).modules.size(), 4U);
}

Decoder tied_model() {
  return load_model({.path = (kGolden / "families/qwen2").string(), .dtype = ComputeDType::kF32});
}

TEST(Attach, ATiedHeadIsStoredTwiceAndTrainedOnce) {
  LoraOptions options;
  options.r = 2;
  options.ensure_weight_tying = true;
  options.target_modules = {.all_linear = false, .names = {"lm_head"}};
  const TestFolder folder;
  Decoder model = tied_model();
  const AdapterSet set = attach_adapters(model, options, 3);
  ASSERT_EQ(set.parameters.size(), 2U);
  EXPECT_EQ(set.stored.size(), 4U);
  EXPECT_EQ(set.parameter_count(), outline_adapters(tied_model(), options).parameters);
  for (const Parameter& parameter : set.parameters)
    parameter.value.detach().copy_(at::randn_like(parameter.value));  // as an optimizer does
  save_adapter(set, folder.path(), "", {});
  const auto saved = read_tensors(folder.path() / "adapter_model.safetensors");
  const std::string embedding = "base_model.model.model.embed_tokens.lora_embedding_",
                    head = "base_model.model.lm_head.lora_";
  EXPECT_TRUE(at::equal(saved.at(head + "A.weight"), saved.at(embedding + "B").t()));
  EXPECT_TRUE(at::equal(saved.at(head + "B.weight"), saved.at(embedding + "A").t()));
  Decoder other = tied_model();
  const AdapterSet fresh = attach_adapters(other, options, 4);
  restore_adapter(fresh, folder.path());
  for (std::size_t i = 0; i < 2; ++i)
    EXPECT_TRUE(at::equal(fresh.parameters[i].value, set.parameters[i].value));
}

TEST(Attach, ABiasOnBIsRefusedWherePeftHasNone) {
  LoraOptions options;
  options.lora_bias = true;
  options.method = AdapterMethod::kDora;
  Decoder model = tiny_model();
  const Error dora = error_of([&] { attach_adapters(model, options, 1); });
  EXPECT_EQ(dora.code(), ExitCode::kUsage);
  EXPECT_TRUE(says(dora, "lora_bias")) << dora.what();
  options.method = AdapterMethod::kLora;
  options.init = LoraInit::kPissa;
  EXPECT_TRUE(says(error_of([&] { attach_adapters(model, options, 1); }), "lora_bias"));
  options.init = LoraInit::kKaiming;
  options.target_modules = {.all_linear = false, .names = {"embed_tokens"}};
  EXPECT_TRUE(says(error_of([&] { attach_adapters(model, options, 1); }), "embed_tokens"));
  options.lora_bias = false;
  options.init = LoraInit::kOlora;
  EXPECT_TRUE(says(error_of([&] { attach_adapters(model, options, 1); }), "lora.init"));
}

}  // namespace
}  // namespace graft
