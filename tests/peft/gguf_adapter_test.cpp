#include "peft/gguf_adapter.h"

#include <ATen/ATen.h>

#include "base/file.h"
#include "evaluate/compare.h"
#include "peft/fixture.h"

namespace graft {
namespace {

const Path kMethods = kPeftGolden / "methods";

Decoder llama() {
  return load_model({.path = (kGolden / "families/llama").string(), .dtype = ComputeDType::kF32});
}

at::Tensor log_probs_of(const Decoder& model) {
  return at::cat({log_probabilities(model, std::vector<std::int32_t>{1, 30, 17, 42, 51, 8, 26, 9, 2}),
                  log_probabilities(model, std::vector<std::int32_t>{1, 7, 40, 5, 12})});
}

// Two tensors are fp16: 11 bits.
TEST(GgufAdapter, DoesWhatPeftsAdapterDoes) {
  for (const auto& [name, tolerance] : {std::pair{"llama_patterns", 2e-3}, {"llama_embedding_head", 1e-4}}) {
    Decoder model = llama();
    const Path path = kMethods / (std::string(name) + ".gguf");
    const AdapterSet set = load_adapter(model, path, ZeroAdapter::kRefuse);
    const auto golden = read_tensors(kMethods / name / "expected.safetensors");
    EXPECT_LT(largest_difference(log_probs_of(model), golden.at("log_probs")), tolerance) << name;
    // Saved, it is PEFT's.
    const TestFolder folder;
    save_adapter(set, folder.path(), "base", {});
    Decoder other = llama();
    load_adapter(other, folder.path(), ZeroAdapter::kRefuse);
    EXPECT_EQ(largest_difference(log_probs_of(other), log_probs_of(model)), 0.0) << name;
  }
}

TEST(GgufAdapter, CanBeContinuedFrom) {
  Decoder model = llama();
  LoraOptions options;
  options.from = (kMethods / "llama_patterns.gguf").string();
  const AdapterSet set = attach_adapters(model, options, 1);
  EXPECT_EQ(set.modules.size(), 14U);
  const AdapterOutline outline = outline_adapters(model, options);
  EXPECT_EQ(outline.parameters, set.parameter_count());
}

TEST(GgufAdapter, OfAnotherBaseIsRefusedByName) {
  const Path path = kMethods / "llama_patterns.gguf";
  Decoder gemma = load_model({.path = (kGolden / "families/gemma2").string(), .dtype = ComputeDType::kF32});
  const Error other = error_of([&] { load_adapter(gemma, path, ZeroAdapter::kRefuse); });
  EXPECT_TRUE(says(other, "general.architecture") && says(other, "want gemma2")) << other.what();
  Decoder tiny = tiny_model();
  const Error shape = error_of([&] { load_adapter(tiny, path, ZeroAdapter::kRefuse); });
  EXPECT_TRUE(says(shape, "does not fit the base")) << shape.what();
}

TEST(GgufAdapter, AnythingElseInGgufIsRefused) {
  Decoder model = llama();
  const Error model_file =
      error_of([&] { load_adapter(model, kGolden / "families/qwen2.gguf", ZeroAdapter::kRefuse); });
  EXPECT_TRUE(says(model_file, "general.type") || says(model_file, "adapter")) << model_file.what();
  const TestFolder folder;
  const std::string bytes = read_file(kMethods / "llama_patterns.gguf", std::size_t{1} << 20);
  const Path cut = folder.path() / "cut.gguf";
  write_file(cut, bytes.substr(0, bytes.size() / 2));
  const Error truncated = error_of([&] { load_adapter(model, cut, ZeroAdapter::kRefuse); });
  EXPECT_TRUE(says(truncated, "cut.gguf")) << truncated.what();
  // A pair whose second half has another name.
  std::string renamed = bytes;
  renamed.replace(renamed.find("blk.0.attn_q.weight.lora_b"), 26, "blk.0.attn_x.weight.lora_b");
  write_file(cut, renamed);
  const Error unknown = error_of([&] { load_adapter(model, cut, ZeroAdapter::kRefuse); });
  EXPECT_TRUE(says(unknown, "attn_x") && says(unknown, "attn_q")) << unknown.what() << unknown.hint();
}

}  // namespace
}  // namespace graft
