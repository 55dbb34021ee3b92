#include <cmath>
#include <filesystem>
#include <limits>

#include "cli/program.h"
#include "peft/changed_adapter.h"

namespace graft {
namespace {

/// What lies on hubs and is no adapter of this base: each is refused in one line that names file and place.
class UnusualAdapter : public Program {
 protected:
  static constexpr const char* kA = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
  static constexpr const char* kB = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight";

  /// The plain adapter of the tiny model, changed, as the folder a.
  void make(const AdapterChange& change) const {
    std::filesystem::create_directories(folder_ / "a");
    write_changed_adapter(kPlain, folder_ / "a", change);
  }
  std::string error_of_score(const std::string& model) const {
    write("rows.jsonl", "{\"input_ids\": [1, 2, 3]}\n");
    const Outcome outcome = run("score --model '" + model + "' --adapter a rows.jsonl");
    EXPECT_EQ(outcome.code, 3) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    return outcome.err;
  }
  std::string error_of(const AdapterChange& change) const {
    make(change);
    return error_of_score(kBase);
  }

  const Path kPlain = Path(GRAFT_SOURCE_DIR) / "tests/golden/peft/plain";
};

TEST_F(UnusualAdapter, AMissingB) {
  EXPECT_EQ(
      error_of([](FileTensors& tensors, Json&) { tensors.erase(kB); }),
      "error: a/adapter_model.safetensors: base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight: "
      "missing tensor (1 such), though adapter_config.json targets its module\nhint: the nearest name in the "
      "file is base_model.model.model.layers.0.self_attn.k_proj.lora_B.weight\n");
}

TEST_F(UnusualAdapter, AnExtraKey) {
  EXPECT_EQ(error_of([](FileTensors& tensors, Json&) {
              tensors["base_model.model.model.layers.0.self_attn.q_prj.lora_A.weight"] = tensors.at(kA);
            }),
            "error: a/adapter_model.safetensors: "
            "base_model.model.model.layers.0.self_attn.q_prj.lora_A.weight: unexpected tensor (1 such): "
            "target_modules of the config and the base's linears do not name this module\nhint: the nearest "
            "expected name is base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight\n");
}

TEST_F(UnusualAdapter, AWrongRank) {
  EXPECT_EQ(
      error_of([](FileTensors&, Json& config) { config["r"] = 8; }),
      "error: a/adapter_model.safetensors: base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight: "
      "got shape [4, 64], want [8, 64]\n");
}

TEST_F(UnusualAdapter, NotANumber) {
  EXPECT_EQ(
      error_of([](FileTensors& tensors, Json&) {
        const float nan = std::numeric_limits<float>::quiet_NaN();
        const auto bytes = std::as_bytes(std::span(&nan, 1));
        std::copy(bytes.begin(), bytes.end(), tensors.at(kB).bytes.begin());
      }),
      "error: a/adapter_model.safetensors: base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight: "
      "holds a value that is not finite\n");
}

TEST_F(UnusualAdapter, AForeignPrefix) {
  EXPECT_EQ(
      error_of([](FileTensors& tensors, Json&) {
        FileTensors renamed;
        for (auto& [name, tensor] : tensors) renamed[name.substr(17)] = tensor;
        tensors = renamed;
      }),
      "error: a/adapter_model.safetensors: model.layers.0.mlp.down_proj.lora_A.weight: unexpected tensor: "
      "PEFT's keys start with base_model.model.\nhint: it may be of another tool, or keys were renamed\n");
}

TEST_F(UnusualAdapter, AModuleThatIsThereTwice) {
  EXPECT_EQ(
      error_of([](FileTensors& tensors, Json&) {
        tensors["base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight"] = tensors.at(kA);
      }),
      "error: a/adapter_model.safetensors: base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight: "
      "twice in the file, with and without the adapter's name\n");
}

TEST_F(UnusualAdapter, ATruncatedFile) {
  make([](FileTensors&, Json&) {});
  const Path file = folder_ / "a/adapter_model.safetensors";
  std::filesystem::resize_file(file, std::filesystem::file_size(file) / 2);
  EXPECT_EQ(error_of_score(kBase),
            "error: a/adapter_model.safetensors: "
            "/base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight/data_offsets: is outside the "
            "file (got [13824, 14848), the file has 14640 bytes of data)\n");
}

TEST_F(UnusualAdapter, APickleAlone) {
  make([](FileTensors&, Json&) {});
  std::filesystem::rename(folder_ / "a/adapter_model.safetensors", folder_ / "a/adapter_model.bin");
  EXPECT_EQ(error_of_score(kBase),
            "error: a/adapter_model.bin: a pickle can run code and is never read\nhint: save the adapter "
            "from PEFT with safe_serialization=True, which writes adapter_model.safetensors\n");
}

// PEFT's default, 8, is meant.
TEST_F(UnusualAdapter, AConfigWithoutARank) {
  EXPECT_EQ(error_of([](FileTensors&, Json& config) { config.erase("r"); }),
            "error: a/adapter_config.json: has no r (PEFT takes 8), and "
            "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight has rank 4\nhint: write \"r\": 4 "
            "into it, and the lora_alpha of the training: PEFT takes 8\n");
}

TEST_F(UnusualAdapter, AConfigWithoutTargets) {
  EXPECT_EQ(error_of([](FileTensors&, Json& config) { config.erase("target_modules"); }),
            "error: a/adapter_model.safetensors: "
            "base_model.model.model.layers.0.mlp.down_proj.lora_A.weight: unexpected tensor (20 such): "
            "target_modules is null, and PEFT's default, q_proj and v_proj, of the config and the base's "
            "linears do not name this module\nhint: the nearest expected name is "
            "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight\n");
}

TEST_F(UnusualAdapter, AConfigWithoutAType) {
  EXPECT_EQ(error_of([](FileTensors&, Json& config) { config.erase("peft_type"); }),
            "error: a/adapter_config.json: peft_type is missing\nhint: of a LoRA, write \"peft_type\": "
            "\"LORA\" into it\n");
}

TEST_F(UnusualAdapter, ANumberInQuotes) {
  EXPECT_EQ(error_of([](FileTensors&, Json& config) { config["r"] = "4"; }),
            "error: a/adapter_config.json: /r: got the string \"4\", want a number\nhint: write it without "
            "quotes\n");
}

TEST_F(UnusualAdapter, NoAlpha) {
  EXPECT_EQ(error_of([](FileTensors&, Json& config) { config["lora_alpha"] = nullptr; }),
            "error: a/adapter_config.json: /lora_alpha: got null, want a number\nhint: write what it was "
            "trained with; without the key PEFT takes 8\n");
}

TEST_F(UnusualAdapter, OtherMathematics) {
  EXPECT_EQ(
      error_of([](FileTensors&, Json& config) {
        config["layer_replication"] = {{0, 1}, {0, 2}};
      }),
      "error: a/adapter_config.json: /layer_replication: replicated layers: blocks of the base are used "
      "several times, each with its own adapter: not supported (got [[0,1],[0,2]])\nhint: save the "
      "deeper network as a base of its own, and train on that\n");
}

TEST_F(UnusualAdapter, AConfigThatIsAPointer) {
  make([](FileTensors&, Json&) {});
  write("a/adapter_config.json", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 10\n");
  EXPECT_EQ(error_of_score(kBase),
            "error: a/adapter_config.json: a git-LFS pointer, not the file itself\nhint: fetch the file with "
            "`git lfs pull`\n");
}

TEST_F(UnusualAdapter, AnUnknownType) {
  EXPECT_EQ(error_of([](FileTensors&, Json& config) { config["peft_type"] = "LOHA"; }),
            "error: a/adapter_config.json: /peft_type: only LORA, VERA and IA3 adapters are supported (got "
            "\"LOHA\")\nhint: PEFT's save_as_lora makes a LoRA of most others\n");
}

TEST_F(UnusualAdapter, DoraWithoutMagnitudes) {
  EXPECT_EQ(error_of([](FileTensors&, Json& config) { config["use_dora"] = true; }),
            "error: a/adapter_model.safetensors: "
            "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector: missing tensor (14 "
            "such), though adapter_config.json targets its module\nhint: the nearest name in the file is "
            "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight\n");
}

TEST_F(UnusualAdapter, OneOfAnotherBase) {
  write_recipe();
  ASSERT_EQ(run("train r.yaml train.max_steps=1 lora.r=2").code, 0);
  std::filesystem::rename(folder_ / "run/adapter", folder_ / "a");
  std::filesystem::copy(kBase, folder_ / "other", std::filesystem::copy_options::recursive);
  FileTensors tensors = tensors_of(Path(kBase) / "model.safetensors");
  for (auto& [name, tensor] : tensors)
    for (std::size_t i = 1; i < tensor.bytes.size(); i += 2) tensor.bytes[i] ^= std::byte{0x80};  // of bf16
  write_tensors(folder_ / "other/model.safetensors", tensors);
  EXPECT_EQ(error_of_score("other"),
            "error: a/adapter_model.safetensors: trained on another base (the signs of 0 % of the recorded "
            "weights agree, want 95 %)\nhint: give the base that the adapter was trained on\n");
}

}  // namespace
}  // namespace graft
