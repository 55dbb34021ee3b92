#include <filesystem>
#include <sstream>

#include "base/sha256.h"
#include "cli/program.h"
#include "store/safetensors.h"

namespace graft {
namespace {

/// golden.json beside what train, export and merge write, and score --golden.
class GoldenFile : public Program {
 protected:
  Outcome replay(const std::string& golden, const std::string& arguments) const {
    return run("score --golden '" + golden + "' " + arguments);
  }
  std::string with_adapter(const std::string& adapter) const {
    return "--model " + kBase + " --adapter '" + adapter + "'";
  }
  static Json last_line(const Outcome& outcome) {
    Json last;
    std::istringstream lines(outcome.out);
    for (std::string line; std::getline(lines, line);) last = parse_json(line, "stdout");
    return last;
  }
  Json json_of(const std::string& name) const { return parse_json(read(name), name); }
  std::string portable() const {
    EXPECT_EQ(run("export --adapter '" + kAdapter + "' --to portable --out p --model " + kBase).code, 0);
    return "p/golden.json";
  }
  /// The adapter with every number of A multiplied.
  std::string scaled_adapter(float factor) const {
    const Path from = kAdapter, to = folder_ / "scaled";
    std::filesystem::create_directories(to);
    std::filesystem::copy_file(from / "adapter_config.json", to / "adapter_config.json");
    const SafetensorsFile file(from / "adapter_model.safetensors");
    std::vector<std::vector<float>> alive;
    std::vector<TensorView> tensors = file.tensors();
    for (TensorView& tensor : tensors) {
      std::vector<float>& values = alive.emplace_back(decode(tensor));
      if (tensor.name.ends_with("lora_A.weight"))
        for (float& value : values) value *= factor;
      tensor.dtype = DType::kF32;
      tensor.bytes = std::as_bytes(std::span<const float>(values));
    }
    write_safetensors(to / "adapter_model.safetensors", tensors, {{"format", "pt"}});
    return to.string();
  }

  const std::string kAdapter = GRAFT_SOURCE_DIR "/tests/golden/peft/rslora";
  const std::string kFamily = GRAFT_SOURCE_DIR "/tests/golden/families/llama";
};

TEST_F(GoldenFile, ExportWritesItAndScoreFindsItTrue) {
  const Outcome exported =
      run("export --adapter '" + kAdapter + "' --to portable --out p --json --model " + kBase);
  ASSERT_EQ(exported.code, 0) << exported.err;
  const Json proof = parse_json(exported.out, "export")["proof"];
  EXPECT_LT(proof["largest_difference"].get<double>(), 1e-3);
  EXPECT_GT(proof["adapter_kl"].get<double>(), 1e-3);
  const Json golden = json_of("p/golden.json");
  EXPECT_EQ(golden["dtype"], "fp32");
  EXPECT_EQ(golden["weights"], "bf16");
  EXPECT_EQ(golden["adapter"]["sha256"], sha256_of_file(folder_ / "p/adapter_model.safetensors"));
  EXPECT_EQ(golden["prompts"][0]["top_ids"][0].size(), 20U);
  for (const std::string& adapter : {std::string("p"), kAdapter}) {
    const Outcome outcome = replay("p/golden.json", with_adapter(adapter));
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const Json all = last_line(outcome);
    EXPECT_EQ(all["prompts"], golden["prompts"].size());
    EXPECT_LT(all["largest_difference"].get<double>(), 1e-3);
    EXPECT_EQ(all["top1_agreement"], 1.0);
    // The same adapter in another file is said, not refused.
    EXPECT_EQ(outcome.err.find("not the very file") != std::string::npos, adapter == kAdapter);
  }
  EXPECT_EQ(replay("p/golden.json", with_adapter("p") + " --dtype bf16").code, 0);
}

TEST_F(GoldenFile, AnExportWithoutABaseKeepsWhatIsBesideTheAdapter) {
  portable();
  const Outcome again = run("export --adapter p --to portable --out q");
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(json_of("q/golden.json")["prompts"], json_of("p/golden.json")["prompts"]);
  EXPECT_EQ(json_of("q/golden.json")["adapter"]["sha256"],
            sha256_of_file(folder_ / "q/adapter_model.safetensors"));
  const std::string other = scaled_adapter(2.0F);
  std::filesystem::copy_file(folder_ / "p/golden.json", Path(other) / "golden.json");
  const Outcome stale = run("export --adapter '" + other + "' --to peft --out r");
  EXPECT_EQ(stale.code, 0);
  EXPECT_NE(stale.err.find("of another adapter than the one beside it"), std::string::npos) << stale.err;
  EXPECT_FALSE(std::filesystem::exists(folder_ / "r/golden.json"));
}

TEST_F(GoldenFile, APerturbedAdapterIsFoundOut) {
  const std::string golden = portable();
  const Outcome outcome = replay(golden, with_adapter(scaled_adapter(1.05F)));
  EXPECT_EQ(outcome.code, 5) << outcome.out;
  EXPECT_NE(outcome.err.find("not the recorded predictions: largest difference"), std::string::npos)
      << outcome.err;
  EXPECT_NE(outcome.err.find("only the order of sums differs"), std::string::npos) << outcome.err;
}

TEST_F(GoldenFile, ALostAdapterIsFoundOutWhateverTheTolerance) {
  const std::string golden = portable();
  for (const std::string dtype : {"", " --dtype bf16"}) {
    const Outcome outcome = replay(golden, "--model " + kBase + dtype);
    EXPECT_EQ(outcome.code, 5) << outcome.out;
    EXPECT_NE(outcome.err.find("these are the predictions of the base"), std::string::npos) << outcome.err;
  }
}

TEST_F(GoldenFile, AnotherBaseIsRefused) {
  const Outcome outcome = replay(portable(), "--model '" + kFamily + "'");
  EXPECT_EQ(outcome.code, 3);
  EXPECT_NE(outcome.err.find("p/golden.json"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("base"), std::string::npos) << outcome.err;
}

TEST_F(GoldenFile, ABrokenOneIsOneErrorOfItsPlace) {
  Json golden = json_of(portable());
  golden["prompts"][0]["input_ids"][0] = 1 << 20;
  write("g.json", to_text(golden));
  const Outcome beyond = replay("g.json", with_adapter("p"));
  EXPECT_EQ(beyond.code, 3);
  EXPECT_NE(beyond.err.find("g.json: /prompts/0/input_ids: id 1048576 lies beyond the model's vocabulary"),
            std::string::npos)
      << beyond.err;
  golden["version"] = 7;
  write("g.json", to_text(golden));
  EXPECT_EQ(replay("g.json", with_adapter("p")).err,
            "error: g.json: /version: got 7, want 1\nhint: this file is of another release of graft\n");
  EXPECT_EQ(replay("nowhere.json", with_adapter("p")).code, 3);
  EXPECT_EQ(run("score --model " + kBase).code, 2);
  EXPECT_EQ(run("score --model " + kBase + " rows.jsonl --golden p/golden.json").code, 2);
}

TEST_F(GoldenFile, MergeWritesItForTheMergedModel) {
  const std::string common = "merge --model " + kBase + " --adapter '" + kAdapter + "' ";
  ASSERT_EQ(run(common + "--type f32 --out merged").code, 0);
  const Outcome folder = replay("merged/golden.json", "--model merged");
  EXPECT_EQ(folder.code, 0) << folder.err;
  EXPECT_LT(last_line(folder)["largest_difference"].get<double>(), 1e-3);
  EXPECT_EQ(replay("merged/golden.json", with_adapter(kAdapter)).code, 0);
  ASSERT_EQ(run(common + "--format gguf --type q8_0 --out m.gguf").code, 0);
  const Outcome gguf = replay("m.golden.json", "--model m.gguf");
  EXPECT_EQ(gguf.code, 0) << gguf.err;
  EXPECT_NE(gguf.out.find("quantised in blocks"), std::string::npos) << gguf.out;
}

TEST_F(GoldenFile, AGgufLoraIsProvenAndRecorded) {
  const Outcome exported =
      run("export --adapter '" + kAdapter + "' --to gguf-lora --out l.gguf --model " + kBase);
  ASSERT_EQ(exported.code, 0) << exported.err;
  EXPECT_NE(exported.out.find("read again: largest difference"), std::string::npos) << exported.out;
  EXPECT_EQ(replay("l.golden.json", with_adapter("l.gguf")).code, 0);
}

TEST_F(GoldenFile, TrainWritesItBesideTheAdapter) {
  write_recipe();
  const Outcome trained = run("train r.yaml model.dtype=fp32 train.max_steps=2 optim.learning_rate=0.05");
  ASSERT_EQ(trained.code, 0) << trained.err;
  const Outcome outcome = replay("run/adapter/golden.json", with_adapter("run/adapter"));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.err.find("warning"), std::string::npos) << outcome.err;
  EXPECT_EQ(replay("run/adapter/golden.json", with_adapter(kAdapter)).code, 5);
}

}  // namespace
}  // namespace graft
