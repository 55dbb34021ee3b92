#include "train/checkpoint.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "temporary_folder.h"

namespace graft {
namespace {

AdapterSet adapters(float value) {
  AdapterSet set;
  set.modules = {"model.layers.0.self_attn.q_proj"};
  set.options.r = 2;
  set.parameters = {
      {"model.layers.0.self_attn.q_proj.lora_A.weight", at::full({2, 3}, value).requires_grad_(true)},
      {"model.layers.0.self_attn.q_proj.lora_B.weight", at::full({4, 2}, value + 1).requires_grad_(true)}};
  for (const Parameter& parameter : set.parameters) set.stored.push_back({parameter.name, {parameter.value}});
  return set;
}

void train_once(AdapterSet& set, AdamW& optimizer) {
  for (Parameter& p : set.parameters) p.value.mutable_grad() = at::rand_like(p.value.detach());
  optimizer.step(0.1);
}

RunState state_at(std::int64_t step) {
  RunState state;
  state.step = step;
  state.evaluations = {{.step = 0, .loss = 2.5, .tokens = 10}};
  state.best_step = step;
  state.best_loss = 1.0 / 3.0;
  state.micro_batch_tokens = 512;
  state.hashes = {{"base", "abc"}};
  return state;
}

class CheckpointTest : public testing::Test {
 protected:
  void save(std::int64_t step) {
    save_checkpoint(folder_.path(), state_at(step), set_, optimizer_, "base", {});
  }
  TemporaryFolder folder_;
  AdapterSet set_ = adapters(1.0F);
  AdamW optimizer_{set_.parameters, {}};
};

TEST_F(CheckpointTest, RestoresEveryBitOfAdaptersOptimizerAndState) {
  train_once(set_, optimizer_);
  save(1);
  AdapterSet other = adapters(9.0F);
  AdamW other_optimizer(other.parameters, {});
  const RunState state = restore_checkpoint(checkpoint_path(folder_.path(), 1), other, other_optimizer);
  for (std::size_t i = 0; i < set_.parameters.size(); ++i) {
    EXPECT_TRUE(at::equal(other.parameters[i].value, set_.parameters[i].value));
  }
  for (std::size_t i = 0; i < optimizer_.state().size(); ++i) {
    EXPECT_TRUE(at::equal(other_optimizer.state()[i].value, optimizer_.state()[i].value));
  }
  EXPECT_EQ(other_optimizer.steps(), 1);
  EXPECT_EQ(to_json(state), to_json(state_at(1)));
}

TEST_F(CheckpointTest, NewestIsTheHighestStepNotTheLastWritten) {
  save(20);
  save(3);
  EXPECT_EQ(newest_checkpoint(folder_.path()).path, checkpoint_path(folder_.path(), 20));
}

TEST_F(CheckpointTest, ADamagedCheckpointIsNamedAndTheNextOlderUsed) {
  save(1);
  save(2);
  const Path damaged = checkpoint_path(folder_.path(), 2) / "optimizer.safetensors";
  std::string bytes = read_file(damaged, 1 << 20);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  write_file(damaged, bytes);
  const CheckpointChoice choice = newest_checkpoint(folder_.path());
  EXPECT_EQ(choice.path, checkpoint_path(folder_.path(), 1));
  ASSERT_EQ(choice.rejected.size(), 1U);
  EXPECT_NE(choice.rejected[0].find("step-000002"), std::string::npos);
  EXPECT_NE(choice.rejected[0].find("SHA-256"), std::string::npos);
}

TEST_F(CheckpointTest, NoneValidGivesAllReasons) {
  save(1);
  std::filesystem::remove(checkpoint_path(folder_.path(), 1) / "MANIFEST.json");
  const CheckpointChoice choice = newest_checkpoint(folder_.path());
  EXPECT_FALSE(choice.path.has_value());
  EXPECT_EQ(choice.rejected.size(), 1U);
}

TEST_F(CheckpointTest, PruneKeepsTheNewestTheBestAndNothingHalfMade) {
  for (const std::int64_t step : {1, 2, 3, 4}) save(step);
  make_folder(folder_.path() / ".step-000005.tmp-1");
  prune_checkpoints(folder_.path(), 2, 1);
  std::vector<std::string> left;
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path()))
    left.push_back(entry.path().filename());
  std::sort(left.begin(), left.end());
  EXPECT_EQ(left, (std::vector<std::string>{"step-000001", "step-000003", "step-000004"}));
}

TEST_F(CheckpointTest, ACheckpointOfAnotherShapeIsRefusedByTensor) {
  save(1);
  AdapterSet other = adapters(1.0F);
  other.parameters[0].value = at::zeros({5, 3});
  AdamW other_optimizer(other.parameters, {});
  try {
    restore_checkpoint(checkpoint_path(folder_.path(), 1), other, other_optimizer);
    FAIL() << "a misshapen tensor was read";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("q_proj.lora_A.weight"), std::string::npos);
  }
}

}  // namespace
}  // namespace graft
