#include "export/gguf_lora.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "expect_error.h"
#include "export/portable.h"
#include "model/base_outline.h"
#include "model/families.h"
#include "model/golden.h"
#include "peft/adapter_set.h"
#include "store/gguf.h"

namespace graft {
namespace {

class GgufLora : public ::testing::Test {
 protected:
  LoraExport write(const Path& adapter, DType type = DType::kF32) {
    return write_gguf_lora(model_, open_adapter_folder(adapter), out_, type);
  }
  // A copy of a golden adapter with another config.
  Path changed(const std::string& name, const std::function<void(Json&)>& change) {
    const Path folder = folder_.path() / "adapter";
    make_folder(folder);
    graft::copy_file(golden(name) / "adapter_model.safetensors", folder / "adapter_model.safetensors");
    Json config = read_json(golden(name) / "adapter_config.json");
    change(config);
    write_file(folder / "adapter_config.json", to_text(config));
    return folder;
  }

  TemporaryFolder folder_;
  Path out_ = folder_.path() / "lora.gguf";
  Decoder model_ = outline_model({.path = golden("tiny_llama").string()}).model;
};

TEST_F(GgufLora, APlainAdapterKeepsItsNumbersAndGetsLlamaCppsNames) {
  const Path folder = golden("peft/plain");
  const LoraExport report = write(folder);
  EXPECT_LT(report.difference, 1e-6);
  const GgufFile file(out_);
  EXPECT_EQ(file.string("general.type"), "adapter");
  EXPECT_EQ(file.string("adapter.type"), "lora");
  EXPECT_EQ(file.string("general.architecture"), "llama");
  EXPECT_EQ(file.number("adapter.lora.alpha"), read_json(folder / "adapter_config.json")["lora_alpha"]);
  const AdapterFolder adapter = open_adapter_folder(folder);
  EXPECT_EQ(file.tensors().size(), 2 * adapter.pairs.size());
  for (const FactorPair& pair : adapter.pairs) {
    const auto name = gguf_name(*find_family("LlamaForCausalLM"), pair.module + ".weight");
    const TensorView *a = file.find(name->name + ".lora_a"), *b = file.find(name->name + ".lora_b");
    ASSERT_TRUE(a != nullptr && b != nullptr) << pair.module;
    EXPECT_EQ(decode(*a), decode(*pair.a)) << pair.module;
    const std::vector<float> got = decode(*b), want = decode(*pair.b);
    const std::int64_t rank = pair.rank();
    for (std::int64_t row = 0; row < pair.b->shape[0]; ++row) {
      const std::int64_t place = name->order == RowOrder::kSame ? row : paired_row(row, 16);
      for (std::int64_t i = 0; i < rank; ++i)
        ASSERT_EQ(got[static_cast<std::size_t>(place * rank + i)],
                  want[static_cast<std::size_t>(row * rank + i)]);
    }
  }
}

TEST_F(GgufLora, RsLoraIsAnAlphaAndChangesNoNumber) {
  const LoraExport report = write(golden("peft/rslora"));  // r 4, alpha 6
  EXPECT_EQ(report.alpha, 12.0);
  EXPECT_LT(report.difference, 1e-6);
}

TEST_F(GgufLora, PatternsSurviveInB) {
  const Path folder = changed("peft/plain", [](Json& config) {
    config["alpha_pattern"] = {{"layers.1.*.q_proj", 1}, {"v_proj", 5}};
  });
  const LoraExport report = write(folder);
  EXPECT_LT(report.difference, 1e-6) << "read with the scale that llama.cpp takes";
  const GgufFile file(out_);
  EXPECT_EQ(file.number("adapter.lora.alpha"), report.alpha);
}

TEST_F(GgufLora, SmallTypesAreAsNearAsTheyRound) {
  EXPECT_LT(write(golden("peft/plain"), DType::kBF16).difference, 0.01);
  graft::remove_all(out_);
  EXPECT_LT(write(golden("peft/plain"), DType::kQ8_0).difference, 0.02);
  const GgufFile file(out_);
  EXPECT_EQ(file.find("blk.0.attn_q.weight.lora_a")->dtype, DType::kQ8_0);
  EXPECT_EQ(file.find("blk.0.attn_q.weight.lora_b")->dtype, DType::kF16) << "a rank is no block of 32";
}

TEST_F(GgufLora, RefusesWhatLlamaCppHasNot) {
  const Path dora = changed("peft/plain", [](Json& config) { config["use_dora"] = true; });
  EXPECT_TRUE(contains(error_of([&] { write(dora); }).what(), "use_dora"));
  const Path zero = changed("peft/plain", [](Json& config) { config["lora_alpha"] = 0; });
  EXPECT_TRUE(contains(error_of([&] { write(zero); }).what(), "scale is 0"));
  Decoder other = outline_model({.path = golden("families/phi3").string()}).model;
  std::swap(other, model_);
  EXPECT_TRUE(contains(error_of([&] { write(golden("peft/plain")); }).what(), "want [r, 40] and [32, r]"));
  EXPECT_FALSE(std::filesystem::exists(out_));
}

TEST_F(GgufLora, APortableAdapterPredictsAsTheOriginal) {
  const std::vector<std::int32_t> ids = {1, 300, 17, 42, 511, 88, 260, 9, 2};
  const Path folder = golden("peft/rslora"), out = folder_.path() / "portable";
  const PortableExport report = write_portable(open_adapter_folder(folder), out);
  EXPECT_EQ(report.rank, 4);
  EXPECT_FALSE(report.exact) << "6 / sqrt(4) is no power of two";
  const Json config = read_json(out / "adapter_config.json");
  EXPECT_EQ(config["r"], 4);
  EXPECT_EQ(config["lora_alpha"], 4);
  EXPECT_EQ(config["use_rslora"], false);
  Decoder original = load_fp32(golden("tiny_llama")), portable = load_fp32(golden("tiny_llama"));
  load_adapter(original, folder, ZeroAdapter::kRefuse);
  load_adapter(portable, out, ZeroAdapter::kRefuse);
  EXPECT_LT(largest_difference(sequence_logits(original, ids), sequence_logits(portable, ids)), 1e-5);
}

TEST_F(GgufLora, APortableAdapterHasOneRank) {
  // Rank 2 and scale 4 in one module, 4 and 0.5 in the others: zeros fill up, the scales go into B.
  const Path folder = folder_.path() / "mixed", out = folder_.path() / "portable";
  make_folder(folder);
  const at::Tensor a2 = at::randn({2, 64}), b2 = at::randn({64, 2}), a4 = at::randn({4, 64}),
                   b4 = at::randn({32, 4});
  const auto view = [](const char* name, const at::Tensor& tensor) {
    return TensorView{std::string("base_model.model.model.layers.0.self_attn.") + name + ".weight",
                      DType::kF32,
                      tensor.sizes().vec(),
                      {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()}};
  };
  write_safetensors(folder / "adapter_model.safetensors",
                    {view("q_proj.lora_A", a2), view("q_proj.lora_B", b2), view("v_proj.lora_A", a4),
                     view("v_proj.lora_B", b4)},
                    {{"format", "pt"}});
  write_file(folder / "adapter_config.json",
             R"({"peft_type": "LORA", "r": 4, "lora_alpha": 2, "rank_pattern": {"q_proj": 2},
                 "alpha_pattern": {"q_proj": 8}, "target_modules": ["q_proj", "v_proj"]})");
  const PortableExport report = write_portable(open_adapter_folder(folder), out);
  EXPECT_TRUE(report.exact);
  const AdapterFolder portable = open_adapter_folder(out);
  ASSERT_EQ(portable.pairs.size(), 2U);
  for (const FactorPair& pair : portable.pairs) {
    EXPECT_EQ(pair.rank(), 4);
    EXPECT_EQ(pair.scale, 1.0);
    const bool query = pair.module.ends_with("q_proj");
    const at::Tensor want = query ? 4.0 * b2.mm(a2) : 0.5 * b4.mm(a4);
    const at::Tensor got = read_values(*pair.b).mm(read_values(*pair.a));
    EXPECT_LT((got - want).abs().max().item<double>(), 1e-5) << pair.module;
  }
  const LoraExport lora = write(folder);
  EXPECT_EQ(lora.alpha, 2.0) << "the first of two equally common";
  EXPECT_LT(lora.difference, 1e-6);
}

}  // namespace
}  // namespace graft
