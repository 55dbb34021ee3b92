#include <gtest/gtest.h>

#include <algorithm>

#include "recipe/fields.h"
#include "recipe/recipe_text.h"

namespace graft {
namespace {

std::string answer(const std::string& line) {
  const Failure failure = failure_of([&] { load_minimal(line + "\n"); });
  return failure.message + " | " + failure.hint;
}

/// Keys of other tools that users paste: the answer must be a key that exists here.
TEST(ForeignKeys, AreAnsweredWithOurKey) {
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"lora_rank", "lora.r"},
      {"lora_r", "lora.r"},
      {"lora_alpha", "lora.alpha"},
      {"lora_dropout", "lora.dropout"},
      {"lora_target", "lora.target_modules"},
      {"cutoff_len", "data.max_seq_len"},
      {"sequence_len", "data.max_seq_len"},
      {"max_seq_length", "data.max_seq_len"},
      {"base_model", "model.path"},
      {"model_name_or_path", "model.path"},
      {"num_train_epochs", "train.epochs"},
      {"num_epochs", "train.epochs"},
      {"micro_batch_size", "train.batch_size"},
      {"per_device_train_batch_size", "train.batch_size"},
      {"gradient_accumulation_steps", "train.batch_size"},
      {"gradient_checkpointing", "train.activation_checkpointing"},
      {"lr_scheduler_type", "schedule.name"},
      {"save_steps", "checkpoint.every_steps"},
      {"logging_steps", "log.every_steps"},
      {"val_set_size", "data.eval_fraction"},
      {"train_on_inputs", "data.train_on"},
      {"load_in_4bit", "model.quantization"},
  };
  const std::vector<std::string> paths = key_paths();
  for (const auto& [foreign, ours] : expected) {
    EXPECT_NE(std::find(paths.begin(), paths.end(), ours), paths.end()) << ours;
    EXPECT_NE(answer(foreign + ": 1").find(foreign + ": a key of another tool (here it is " + ours + ")"),
              std::string::npos)
        << answer(foreign + ": 1");
  }
}

TEST(ForeignKeys, InASectionAreKnownToo) {
  EXPECT_NE(answer("lora: {rank: 8}").find("lora.rank: a key of another tool (here it is lora.r)"),
            std::string::npos);
  EXPECT_NE(answer("optim: {lr: 8}").find("optim.lr: a key of another tool (here it is optim.learning_rate)"),
            std::string::npos);
}

TEST(UnknownKeys, OfAnotherSectionAreSentThere) {
  EXPECT_NE(answer("learning_rate: 1").find("did you mean optim.learning_rate?"), std::string::npos);
  EXPECT_NE(answer("lora: {epochs: 1}").find("did you mean train.epochs?"), std::string::npos);
}

TEST(UnknownKeys, OfASectionWithoutANearNameListItsKeys) {
  EXPECT_NE(answer("log: {qqqqqqqqqq: 1}").find("the keys of log are every_steps, tensorboard"),
            std::string::npos);
}

}  // namespace
}  // namespace graft
