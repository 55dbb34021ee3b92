#include "export/hf_folder.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "model/golden.h"
#include "ops/linear.h"
#include "text/tokenizer.h"

namespace graft {
namespace {

const std::vector<std::int32_t> kIds = {1, 300, 17, 42, 511, 88, 260, 9, 2};

std::set<std::string> names_in(const Path& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.insert(entry.path().filename().string());
  return names;
}

TEST(HfFolder, AGgufInF32GivesTheSameNumbers) {
  const TemporaryFolder folder;
  const Path out = folder.path() / "out";
  const Decoder model = load_fp32(golden("model/tiny.gguf"));
  const Proof proof = write_hf_folder(model, golden("model/tiny.gguf"), out, WeightType::kF32);
  EXPECT_LT(proof.largest_difference, 1e-5);
  EXPECT_GT(proof.positions, 20);
  EXPECT_LT(largest_difference(sequence_logits(load_fp32(out), kIds), sequence_logits(model, kIds)), 1e-5);
  EXPECT_EQ(names_in(out), (std::set<std::string>{"config.json", "model.safetensors", "tokenizer.json",
                                                  "tokenizer_config.json", "special_tokens_map.json",
                                                  "chat_template.jinja", "generation_config.json"}));
  EXPECT_EQ(read_json(out / "config.json")["torch_dtype"], "float32");
  EXPECT_EQ(names_in(folder.path()), std::set<std::string>{"out"}) << "nothing temporary is left";
}

TEST(HfFolder, AGgufInBf16IsRoundedOnceWhateverTypeItWasLoadedIn) {
  const TemporaryFolder folder;
  const Path gguf = golden("model/tiny.gguf");
  write_hf_folder(load_fp32(gguf), gguf, folder.path() / "from_fp32", WeightType::kBF16);
  write_hf_folder(load_model({.path = gguf.string(), .dtype = ComputeDType::kBF16}), gguf,
                  folder.path() / "from_bf16", WeightType::kBF16);
  EXPECT_EQ(text_of_file(folder.path() / "from_fp32/model.safetensors"),
            text_of_file(folder.path() / "from_bf16/model.safetensors"));
}

TEST(HfFolder, AFolderComesBackWithTheSameWeightsAndItsOwnFiles) {
  const TemporaryFolder folder;
  const Path out = folder.path() / "out", base = golden("tiny_llama");
  write_hf_folder(load_model({.path = base.string(), .dtype = ComputeDType::kBF16}), base, out,
                  WeightType::kBF16);
  const SafetensorsFile want(base / "model.safetensors"), got(out / "model.safetensors");
  ASSERT_EQ(got.tensors().size(), want.tensors().size());
  for (const TensorView& tensor : want.tensors()) {
    const TensorView* written = got.find(tensor.name);
    ASSERT_NE(written, nullptr) << tensor.name;
    EXPECT_EQ(written->shape, tensor.shape) << tensor.name;
    EXPECT_TRUE(
        std::equal(tensor.bytes.begin(), tensor.bytes.end(), written->bytes.begin(), written->bytes.end()));
  }
  EXPECT_EQ(text_of_file(out / "tokenizer.json"), text_of_file(base / "tokenizer.json"));
  EXPECT_EQ(text_of_file(out / "tokenizer_config.json"), text_of_file(base / "tokenizer_config.json"));
  EXPECT_EQ(read_json(out / "config.json"), read_json(base / "config.json"));
}

TEST(HfFolder, BiasesAndAHeadOfItsOwnAreWritten) {
  const TemporaryFolder folder;
  const Path out = folder.path() / "out", base = golden("model/tiny_biased");
  const Decoder model = load_fp32(base);
  write_hf_folder(model, base, out, WeightType::kF16);
  const Decoder back = load_fp32(out);
  EXPECT_FALSE(back.config.tie_word_embeddings);
  EXPECT_EQ(read_json(out / "config.json")["torch_dtype"], "float16");
  const std::vector<std::int32_t> ids = {3, 90, 7, 11};
  EXPECT_LT(largest_difference(sequence_logits(back, ids), sequence_logits(model, ids)), 1e-2);
}

/// Adds 0.01 times the row's number to every weight.
class RowShift final : public Adapter {
 public:
  std::vector<at::Tensor> forward(const LinearInput& input, const std::vector<Linear>& group, const Pass&,
                                  const LinearOutput& output) const override {
    const at::Tensor x = input.value();
    std::vector<at::Tensor> ys;
    for (const Linear& one : group) {
      const at::Tensor shift = at::arange(one.weight->out_features(), at::kFloat) * kShift;
      ys.push_back(linear(x, one.weight, one.bias) + x.sum(-1, true) * shift);
    }
    return output.applied_to(std::move(ys));
  }
  std::vector<Parameter> parameters() const override { return {}; }
  at::Tensor merge_into(const Linear&, const at::Tensor& rows, std::int64_t first) const override {
    const at::Tensor shift = at::arange(first, first + rows.size(0), at::kFloat) * kShift;
    return rows + shift.unsqueeze(1);
  }

 private:
  static constexpr double kShift = 1e-4;
};

TEST(HfFolder, AdaptersInTheSlotsAreMerged) {
  const TemporaryFolder folder;
  Decoder model = load_fp32(golden("tiny_llama"));
  const at::Tensor plain = sequence_logits(model, kIds);
  model.each_group([](LinearGroup& group) { group.adapter = std::make_shared<RowShift>(); });
  const at::Tensor adapted = sequence_logits(model, kIds);
  ASSERT_GT(largest_difference(adapted, plain), 1e-2);
  write_hf_folder(model, golden("tiny_llama"), folder.path() / "out", WeightType::kF32);
  EXPECT_LT(largest_difference(sequence_logits(load_fp32(folder.path() / "out"), kIds), adapted), 1e-4);
}

TEST(HfFolder, AnExistingFolderIsLeftAlone) {
  const TemporaryFolder folder;
  const Decoder model = load_fp32(golden("tiny_llama"));
  try {
    write_hf_folder(model, golden("tiny_llama"), folder.path(), WeightType::kF32);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
  }
  EXPECT_TRUE(names_in(folder.path()).empty());
}

TEST(HfFolder, AFullDiskLeavesNothing) {
  const TemporaryFolder folder;
  const Decoder model = load_fp32(golden("tiny_llama"));
  int writes = 0;
  set_file_fault([&](std::string_view operation, const Path&) {
    return operation == "write" && ++writes == 3 ? ENOSPC : 0;
  });
  EXPECT_THROW(write_hf_folder(model, golden("tiny_llama"), folder.path() / "out", WeightType::kF32), Error);
  set_file_fault({});
  EXPECT_GE(writes, 3);
  EXPECT_TRUE(names_in(folder.path()).empty());
}

TEST(HfFolder, TheTokenizerOfAGgufEncodesAsTheFolderItWasMadeOf) {
  const TemporaryFolder folder;
  const Path out = folder.path() / "out", gguf = golden("model/tiny.gguf");
  write_hf_folder(load_fp32(gguf), gguf, out, WeightType::kBF16);
  const Tokenizer got = load_tokenizer(out), want = load_tokenizer(golden("tiny_llama"));
  const std::string text = "<|im_start|>user\nChop 123 onions, naïve café 你好 🙂<|im_end|>\n";
  EXPECT_EQ(got.encode(text, SpecialTokens::kAdd).ids, want.encode(text, SpecialTokens::kAdd).ids);
  EXPECT_EQ(got.eos(), want.eos());
  EXPECT_EQ(got.chat_template(), want.chat_template());
}

TEST(WeightType, NamesAreReadAndOthersRefused) {
  EXPECT_EQ(parse_weight_type("fp32"), WeightType::kF32);
  EXPECT_EQ(parse_weight_type("bf16"), WeightType::kBF16);
  EXPECT_EQ(parse_weight_type("f16"), WeightType::kF16);
  EXPECT_THROW(parse_weight_type("q8_0"), Error);
  EXPECT_THROW(parse_weight_type(""), Error);
}

}  // namespace
}  // namespace graft
