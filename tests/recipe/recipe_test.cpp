#include "recipe/recipe.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "base/random.h"
#include "recipe/fields.h"
#include "recipe/recipe_text.h"

namespace graft {
namespace {

TEST(Recipe, WhatIsNotWrittenHasTheDefaultOfItsRoom) {
  const Recipe recipe = load_minimal("");
  EXPECT_EQ(recipe.seed, 42U);
  EXPECT_EQ(recipe.lora.r, LoraOptions{}.r);
  EXPECT_TRUE(recipe.lora.target_modules.all_linear);
  EXPECT_FALSE(recipe.lora.exclude_modules.all_linear);
  EXPECT_EQ(recipe.train.micro_batch_tokens, 0);
  EXPECT_EQ(recipe.optim.learning_rate, OptimOptions{}.learning_rate);
  ASSERT_EQ(recipe.data.train.size(), 1U);
  EXPECT_EQ(recipe.data.train[0].format, "auto");
}

/// The recipe of DESIGN section 5, with every key: later features at the value that means "off".
constexpr const char* kEveryKey = R"(version: 1
seed: 7
device: cpu
output_dir: runs/insurance
model:
  path: models/SmolLM2-135M-Instruct
  dtype: fp32
  quantization: none
  compute: auto
lora:
  method: dora
  r: 8
  alpha: 4.5
  dropout: 0.25
  target_modules: [q_proj, v_proj]
  exclude_modules: ".*mlp.*"
  layers_to_transform: [0, 2]
  layers_pattern: [layers]
  rank_pattern: {".*[.]v_proj": 3, q_proj: 2}
  alpha_pattern: {v_proj: 1.5}
  modules_to_save: [lm_head]
  trainable_tokens: [5, 3]
  bias: lora_only
  use_rslora: true
  freeze_a: true
  lora_bias: true
  ensure_weight_tying: true
  init: pissa_niter_4
  feedforward_modules: [w2]
  from: ""
data:
  max_seq_len: 2k
  over_length: truncate
  chat_template: chatml
  template_date: 2026-03-09
  train_on: last_turn
  train:
    - {path: data/insurance.jsonl, format: messages, weight: 1.0, max_samples: 5}
  eval: []
  eval_fraction: 0.125
  shuffle: false
  clean: {}
train:
  objective: pretrain
  epochs: 2
  max_steps: 0
  batch_size: 4
  micro_batch_tokens: 512
  activation_checkpointing: full
  max_grad_norm: 0
optim:    {name: adamw, learning_rate: 2e-4, weight_decay: 0.5, betas: [0.5, 0.75], eps: 1.0e-6, loraplus_lr_ratio: 16, loraplus_lr_embedding: 3e-6}
schedule: {name: linear, warmup_ratio: 0.0, warmup_steps: 3, min_lr_ratio: 0.5}
evaluation: {every_steps: 5, early_stopping_patience: 2, sample_prompts: ["Hi: there", yes please]}
checkpoint: {every_steps: 9, keep_last: 3, keep_best: false}
log:      {every_steps: 6, tensorboard: false}
)";

TEST(Recipe, EveryKeyReachesItsMember) {
  const Recipe recipe = load_text(kEveryKey);
  EXPECT_EQ(recipe.seed, 7U);
  EXPECT_EQ(recipe.device, "cpu");
  EXPECT_EQ(recipe.output_dir, "runs/insurance");
  EXPECT_EQ(recipe.model.dtype, ComputeDType::kF32);
  EXPECT_EQ(recipe.lora.r, 8);
  EXPECT_EQ(recipe.lora.alpha, 4.5);
  EXPECT_EQ(recipe.lora.dropout, 0.25);
  EXPECT_EQ(recipe.lora.target_modules.names, (std::vector<std::string>{"q_proj", "v_proj"}));
  EXPECT_FALSE(recipe.lora.target_modules.all_linear);
  EXPECT_EQ(recipe.lora.exclude_modules.pattern, ".*mlp.*");
  EXPECT_TRUE(recipe.lora.use_rslora);
  EXPECT_EQ(recipe.lora.method, AdapterMethod::kDora);
  EXPECT_EQ(recipe.lora.layers_to_transform, (std::vector<std::int64_t>{0, 2}));
  EXPECT_EQ(recipe.lora.layers_pattern, std::vector<std::string>{"layers"});
  EXPECT_EQ(recipe.lora.rank_pattern,
            (ModulePattern<std::int64_t>{{".*[.]v_proj", 3}, {"q_proj", 2}}));  // in their own order
  EXPECT_EQ(recipe.lora.alpha_pattern, (ModulePattern<double>{{"v_proj", 1.5}}));
  EXPECT_EQ(recipe.lora.modules_to_save, std::vector<std::string>{"lm_head"});
  EXPECT_EQ(recipe.lora.trainable_tokens, (std::vector<std::int64_t>{5, 3}));
  EXPECT_EQ(recipe.lora.bias, TrainedBias::kLoraOnly);
  EXPECT_TRUE(recipe.lora.freeze_a);
  EXPECT_TRUE(recipe.lora.lora_bias && recipe.lora.ensure_weight_tying);
  EXPECT_EQ(recipe.lora.init, LoraInit::kPissa);
  EXPECT_EQ(recipe.lora.pissa_niter, 4);
  EXPECT_EQ(recipe.lora.feedforward_modules, std::vector<std::string>{"w2"});
  EXPECT_EQ(recipe.data.max_seq_len, 2000);
  EXPECT_EQ(recipe.data.over_length, OverLength::kTruncate);
  EXPECT_EQ(recipe.data.chat_template, "chatml");
  EXPECT_EQ(recipe.data.template_date, "2026-03-09");
  EXPECT_EQ(recipe.data.train_on, TrainOn::kLastTurn);
  EXPECT_EQ(recipe.data.train[0].format, "messages");
  EXPECT_EQ(recipe.data.train[0].max_samples, 5);
  EXPECT_EQ(recipe.data.eval_fraction, 0.125);
  EXPECT_FALSE(recipe.data.shuffle);
  EXPECT_EQ(recipe.train.objective, Objective::kPretrain);
  EXPECT_EQ(recipe.train.epochs, 2);
  EXPECT_EQ(recipe.train.batch_size, 4);
  EXPECT_EQ(recipe.train.micro_batch_tokens, 512);
  EXPECT_EQ(recipe.train.activation_checkpointing, ActivationCheckpointing::kFull);
  EXPECT_EQ(recipe.train.max_grad_norm, 0.0);
  EXPECT_EQ(recipe.optim.learning_rate, 2e-4);
  EXPECT_EQ(recipe.optim.weight_decay, 0.5);
  EXPECT_EQ(recipe.optim.beta1, 0.5);
  EXPECT_EQ(recipe.optim.beta2, 0.75);
  EXPECT_EQ(recipe.optim.eps, 1e-6);
  EXPECT_EQ(recipe.optim.loraplus_lr_ratio, 16.0);
  EXPECT_EQ(recipe.optim.loraplus_lr_embedding, 3e-6);
  EXPECT_EQ(recipe.schedule.name, ScheduleName::kLinear);
  EXPECT_EQ(recipe.schedule.warmup_steps, 3);
  EXPECT_EQ(recipe.schedule.min_lr_ratio, 0.5);
  EXPECT_EQ(recipe.evaluation.every_steps, 5);
  EXPECT_EQ(recipe.evaluation.early_stopping_patience, 2);
  EXPECT_EQ(recipe.evaluation.sample_prompts, (std::vector<std::string>{"Hi: there", "yes please"}));
  EXPECT_EQ(recipe.checkpoint.every_steps, 9);
  EXPECT_EQ(recipe.checkpoint.keep_last, 3);
  EXPECT_FALSE(recipe.checkpoint.keep_best);
  EXPECT_EQ(recipe.log.every_steps, 6);
}

TEST(Recipe, EveryKeyOfTheTableIsInTheRecipeAbove) {
  const std::string text = kEveryKey;
  for (const std::string& path : key_paths()) {
    const std::string leaf = path.substr(path.rfind('.') + 1);
    EXPECT_NE(text.find(leaf + ":"), std::string::npos) << path;
  }
}

TEST(Recipe, WrittenAndReadBackIsTheSame) {
  for (const std::string& text : {std::string(kMinimalRecipe), std::string(kEveryKey)}) {
    const Recipe recipe = load_text(text);
    EXPECT_EQ(to_json(load_text(to_yaml(recipe))), to_json(recipe));
    EXPECT_EQ(to_yaml(load_text(to_yaml(recipe))), to_yaml(recipe));
  }
}

/// A text of characters that YAML, JSON and shells care about.
std::string random_text(RandomStream& random) {
  const std::vector<std::string> pieces = {
      "a",  "Z",  "0", " ", ":",  ": ",   "#",    " #",   "-",   "- ",   "\"",  "'",  "\\",     "\n",
      "\t", "\r", "{", "}", "[",  "]",    ",",    "&",    "*",   "!",    "|",   ">",  "%",      "@",
      "`",  "~",  "=", "é", "中", "🙂", "\x01", "\x7f", "yes", "null", "1e5", "<<", "\u0085", "\u2028"};
  std::string text;
  for (std::uint64_t i = random.below(8); i > 0; --i) text += pieces[random.below(pieces.size())];
  return text;
}

TEST(Recipe, AnyTextAndAnyNumberSurvivesWritingAndReading) {
  RandomStream random(mix(1, 2));
  for (int round = 0; round < 100; ++round) {
    Recipe recipe = load_minimal("");
    recipe.seed = random.next();
    recipe.output_dir = "x" + random_text(random);
    recipe.optim.learning_rate = random.uniform() + 1e-300;
    recipe.optim.eps = std::ldexp(random.uniform() + 0.5, -static_cast<int>(random.below(1000)));
    recipe.lora.r = 1 + static_cast<std::int64_t>(random.below(2147483647));
    recipe.train.max_steps = static_cast<std::int64_t>(random.below(3));
    recipe.lora.target_modules = {
        .all_linear = false, .names = {random_text(random), random_text(random)}, .pattern = {}};
    recipe.lora.exclude_modules.pattern = random_text(random);
    recipe.evaluation.sample_prompts = {random_text(random), random_text(random)};
    const std::string yaml = to_yaml(recipe);
    const Recipe back = load_text(yaml);
    ASSERT_EQ(to_json(back), to_json(recipe)) << yaml;
    ASSERT_EQ(back.seed, recipe.seed);
    ASSERT_EQ(back.optim.eps, recipe.optim.eps);
  }
}

TEST(Recipe, PathsAreRelativeToTheFileAndOutputDirIsNot) {
  const Recipe recipe = load_text(
      "output_dir: runs/a\nmodel: {path: ../m}\nlora: {from: old}\n"
      "data: {train: [{path: d/a.jsonl}], eval: [{path: /abs/b.jsonl}], chat_template: chatml}\n");
  EXPECT_EQ(recipe.output_dir, "runs/a");
  EXPECT_TRUE(Path(recipe.model.path).is_absolute());
  EXPECT_EQ(Path(recipe.lora.from).filename(), "old");
  const Path folder = Path(recipe.lora.from).parent_path();
  EXPECT_EQ(Path(recipe.model.path), folder.parent_path() / "m");
  EXPECT_EQ(Path(recipe.data.train[0].path), folder / "d/a.jsonl");
  EXPECT_EQ(recipe.data.eval[0].path, "/abs/b.jsonl");
}

TEST(Recipe, OutputInsideAnInputIsRefused) {
  const Failure failure =
      failure_of([] { load_text("output_dir: m/run\nmodel: {path: m}\ndata: {train: [{path: a}]}\n"); });
  EXPECT_EQ(failure.code, ExitCode::kUsage);
  EXPECT_EQ(failure.message,
            "recipe.yaml:1:13: output_dir: lies in model.path (got m/run, want a folder outside it)");
}

TEST(Recipe, WithAnAdapterToContinueFromOnlyWhatWasWrittenIsWritten) {
  const Recipe recipe = load_minimal("lora: {from: old, alpha: 4}\n");
  EXPECT_EQ(recipe.lora.given, (std::vector<std::string>{"from", "alpha"}));
  EXPECT_FALSE(to_json(recipe)["lora"].contains("r"));
  EXPECT_EQ(to_json(recipe)["lora"]["alpha"], 4.0);
  EXPECT_EQ(to_json(load_text(to_yaml(recipe))), to_json(recipe));
}

TEST(Recipe, AnEmptySectionSaysNothing) {
  const Recipe recipe = load_minimal("lora:\n# r: 8\ntrain:\n");
  EXPECT_EQ(to_json(recipe)["lora"], to_json(load_minimal(""))["lora"]);
  EXPECT_EQ(to_json(recipe)["train"], to_json(load_minimal(""))["train"]);
}

TEST(Recipe, AMissingFileIsBadInputNotUsage) {
  const Failure failure = failure_of([] { load_recipe("/nowhere/recipe.yaml"); });
  EXPECT_EQ(failure.code, ExitCode::kBadInput);
  EXPECT_NE(failure.message.find("/nowhere/recipe.yaml"), std::string::npos);
}

TEST(Recipe, AByteOrderMarkAndWindowsLineEndsAreAccepted) {
  std::string text = std::string("\xEF\xBB\xBF") + kMinimalRecipe;
  for (std::size_t at = text.find('\n'); at != text.npos; at = text.find('\n', at + 2))
    text.replace(at, 1, "\r\n");
  EXPECT_EQ(load_text(text).output_dir, "out");
}

TEST(RecipeSchema, DescribesEveryKeyWithItsDefault) {
  const Json schema = recipe_schema();
  EXPECT_EQ(schema["properties"]["lora"]["properties"]["r"]["default"], 16);
  EXPECT_EQ(schema["properties"]["lora"]["properties"]["r"]["minimum"], 1.0);
  EXPECT_EQ(schema["properties"]["model"]["properties"]["dtype"]["default"], "bf16");
  EXPECT_EQ(schema["additionalProperties"], false);
  EXPECT_TRUE(schema["properties"].contains("extends"));
  for (const std::string& path : key_paths()) {
    Json key = schema;
    std::size_t begin = 0;
    for (std::size_t dot = path.find('.'); begin != std::string::npos; dot = path.find('.', begin)) {
      key = key["properties"][path.substr(begin, dot == path.npos ? path.npos : dot - begin)];
      begin = dot == path.npos ? path.npos : dot + 1;
    }
    EXPECT_TRUE(key.contains("description")) << path;
    EXPECT_TRUE(key.contains("default")) << path;
  }
}

TEST(Recipe, ValuesOfLoraThatDoNotGoTogetherAreRefusedWithThePlace) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"lora: {method: adalora}", "lora.method: not yet"},
      {"lora: {method: lorra}", "lora.method: unknown value"},
      {"lora: {bias: some}", "lora.bias: unknown value"},
      {"lora: {init: pisa}", "lora.init: unknown value"},
      {"lora: {init: eva}", "lora.init: not yet"},
      {"lora: {init: pissa_niter_0}", "lora.init: unknown value"},
      {"lora: {init: pissa_niter_x}", "lora.init: unknown value"},
      {"lora: {rank_pattern: [q_proj]}", "lora.rank_pattern: wrong type"},
      {"lora: {rank_pattern: {q_proj: 0}}", "lora.rank_pattern.q_proj"},
      {"lora: {alpha_pattern: {q_proj: x}}", "lora.alpha_pattern.q_proj"},
      {"lora: {layers_to_transform: [-1]}", "lora.layers_to_transform[0]"},
      {"lora: {layers_pattern: [h]}", "lora.layers_pattern: needs lora.layers_to_transform"},
      {"lora: {layers_to_transform: [1], target_modules: .*q_proj}",
       "lora.layers_to_transform: does not go with an expression"},
      {"lora: {trainable_tokens: [a]}", "lora.trainable_tokens[0]"},
      {"lora: {freeze_a: 1}", "lora.freeze_a"},
      {"lora: {method: vera, init: gaussian}", "lora.init: does not go with lora.method"},
      {"lora: {method: vera, lora_bias: true}", "lora.lora_bias: does not go with lora.method"},
      {"lora: {method: ia3, use_rslora: true}", "lora.use_rslora: does not go with lora.method"},
      {"lora: {method: ia3, bias: all}", "lora.bias: does not go with lora.method"},
      {"lora: {method: vera, rank_pattern: {q_proj: 2}}", "lora.rank_pattern: does not go with lora.method"},
      {"optim: {loraplus_lr_embedding: 0}", "optim.loraplus_lr_embedding"}};
  for (const auto& [text, part] : cases) {
    const Failure failure = failure_of([&, t = text] { load_minimal(t + "\n"); });
    EXPECT_EQ(failure.code, ExitCode::kUsage) << text;
    EXPECT_NE(failure.message.find("recipe.yaml:4:"), std::string::npos) << failure.message;
    EXPECT_NE(failure.message.find(part), std::string::npos) << failure.message;
  }
}

}  // namespace
}  // namespace graft
