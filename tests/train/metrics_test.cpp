#include "train/metrics.h"

#include <gtest/gtest.h>

#include "temporary_folder.h"

namespace graft {
namespace {

TEST(Metrics, StepLineHasTheKeysOfTheContractInOrder) {
  const StepMetrics metrics{.step = 3, .tokens = 500, .step_seconds = 2.0};
  const Json json = parse_json(metrics_line(metrics), "line");
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  EXPECT_EQ(keys, (std::vector<std::string>{"step", "epoch", "loss", "lr", "grad_norm", "tokens",
                                            "target_tokens", "tokens_per_second", "seconds", "rss_bytes"}));
  EXPECT_DOUBLE_EQ(json["tokens_per_second"].get<double>(), 250.0);
}

TEST(Metrics, CutKeepsStepsUpToTheCheckpointAndDropsATornLine) {
  const TemporaryFolder folder;
  const Path path = folder.path() / "metrics.jsonl";
  const std::string first = metrics_line(StepMetrics{.step = 1}),
                    evaluation = metrics_line(Evaluation{.step = 1});
  write_file(path, first + evaluation + metrics_line(StepMetrics{.step = 2}) + "{\"step\": 1, \"lo");
  cut_metrics(path, 1);
  EXPECT_EQ(read_file(path, 1 << 20), first + evaluation);
}

TEST(Metrics, CutOfAMissingFileIsNothing) {
  const TemporaryFolder folder;
  cut_metrics(folder.path() / "metrics.jsonl", 5);
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "metrics.jsonl"));
}

TEST(Metrics, ConsoleLineReadsLikeThis) {
  const StepMetrics metrics{.step = 12,
                            .loss = 1.92345,
                            .lr = 9.8e-4,
                            .grad_norm = 0.82,
                            .tokens = 712,
                            .step_seconds = 1.0,
                            .rss_bytes = 1210000000};
  EXPECT_EQ(console_line(metrics, 340, 192.0),
            "step  12/340    3.5%  loss 1.9235  lr 9.8e-04  norm 0.82    712 tok/s  1.21 GB  left 3m12s");
}

}  // namespace
}  // namespace graft
