#include <gtest/gtest.h>

#include "base/error.h"
#include "model/base_outline.h"
#include "model/golden.h"

namespace graft {
namespace {

/// A copy of a golden folder that a test may break.
void copy_golden(const std::string& name, const Path& to) {
  std::filesystem::copy(golden(name), to, std::filesystem::copy_options::overwrite_existing);
}

/// The tensors of tiny_llama with changes, written beside its config.
struct Change {
  std::function<void(std::vector<TensorView>&)> tensors = [](auto&) {};
  std::function<void(Json&)> config = [](Json&) {};
};

void write_changed(const Path& folder, const Change& change) {
  const SafetensorsFile file(golden("tiny_llama/model.safetensors"));
  std::vector<TensorView> tensors = file.tensors();
  change.tensors(tensors);
  write_safetensors(folder / "model.safetensors", tensors, {{"format", "pt"}});
  Json config = read_json(golden("tiny_llama/config.json"));
  change.config(config);
  write_text(folder / "config.json", config.dump());
}

std::string load_error(const Path& base) {
  try {
    load_fp32(base);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kBadInput);
    return std::string(error.what()) + " | " + error.hint();
  }
  return "";
}

TensorView& find(std::vector<TensorView>& tensors, std::string_view name) {
  return *std::find_if(tensors.begin(), tensors.end(),
                       [&](const TensorView& one) { return one.name == name; });
}

TEST(Load, MatchingWeightsAreUsedInPlace) {
  const Decoder model = load_model({.path = golden("tiny_llama").string(), .dtype = ComputeDType::kBF16});
  EXPECT_EQ(model.dtype, at::kBFloat16);
  EXPECT_EQ(model.norm.weight.scalar_type(), at::kBFloat16);
  const SafetensorsFile file(golden("tiny_llama/model.safetensors"));
  const TensorView& view = *file.find("model.norm.weight");
  EXPECT_EQ(std::memcmp(model.norm.weight.const_data_ptr(), view.bytes.data(), view.bytes.size()), 0);
  // The mapping outlives the loader: memory of our own would belong to an allocation as large as the tensor.
  EXPECT_NE(model.norm.weight.storage().data_ptr().get_context(), model.norm.weight.const_data_ptr());
}

TEST(Outline, HasTheNamesShapesAndSizesOfWhatIsLoaded) {
  for (const char* base : {"tiny_llama", "model/tiny_biased"}) {
    const ModelOptions options{.path = golden(base).string(), .dtype = ComputeDType::kBF16};
    const Decoder model = load_model(options);
    const BaseOutline outline = outline_model(options);
    std::vector<std::string> loaded, outlined;
    std::int64_t values = 0;
    const auto text = [](const Linear& linear) {
      return linear.name + " " + std::to_string(linear.weight->out_features()) + " " +
             std::to_string(linear.weight->in_features());
    };
    model.each_group([&](const LinearGroup& group) {
      for (const Linear& linear : group.linears) {
        loaded.push_back(text(linear));
        values += linear.weight->out_features() * linear.weight->in_features();
      }
    });
    outline.model.each_group([&](const LinearGroup& group) {
      for (const Linear& linear : group.linears) outlined.push_back(text(linear));
    });
    EXPECT_EQ(outlined, loaded);
    EXPECT_EQ(outline.sizes.linears.values, values);
    EXPECT_EQ(outline.sizes.linears.file_bytes, 2U * static_cast<std::uint64_t>(values));
    const std::int64_t matrices = model.config.tie_word_embeddings ? 1 : 2;
    EXPECT_EQ(outline.sizes.embeddings.values, matrices * model.config.vocab_size * model.config.hidden_size);
  }
}

TEST(Outline, FindsWhatLoadingWouldRefuse) {
  const TemporaryFolder folder;
  write_changed(folder.path(), {.config = [](Json& config) { config["intermediate_size"] = 96; }});
  const ModelOptions options{.path = folder.path().string()};
  EXPECT_THROW(outline_model(options), Error);
  write_changed(folder.path(), {.config = [](Json& config) { config["num_hidden_layers"] = 1; }});
  EXPECT_THROW(outline_model(options), Error);
}

TEST(Load, MissingTensorIsNamedWithWhatStandsInItsPlace) {
  const TemporaryFolder folder;
  write_changed(folder.path(), {.tensors = [](auto& tensors) {
                  find(tensors, "model.layers.1.mlp.up_proj.weight").name =
                      "model.layers.1.mlp.upp_proj.weight";
                }});
  const std::string message = load_error(folder.path());
  EXPECT_NE(message.find("model.layers.1.mlp.up_proj.weight is missing"), std::string::npos) << message;
  EXPECT_NE(message.find("upp_proj"), std::string::npos) << message;
}

TEST(Load, LeftOverTensorIsNamed) {
  const TemporaryFolder folder;
  const std::vector<float> values(4);
  write_changed(folder.path(), {.tensors = [&](auto& tensors) {
                  tensors.push_back({.name = "model.layers.0.self_attn.q_proj.bias",
                                     .dtype = DType::kF32,
                                     .shape = {4},
                                     .bytes = std::as_bytes(std::span(values))});
                }});
  const std::string message = load_error(folder.path());
  EXPECT_NE(message.find("model.layers.0.self_attn.q_proj.bias"), std::string::npos) << message;
}

TEST(Load, MoreBlocksInTheFileThanInTheConfigIsAnError) {
  const TemporaryFolder folder;
  write_changed(folder.path(), {.config = [](Json& config) { config["num_hidden_layers"] = 1; }});
  EXPECT_NE(load_error(folder.path()).find("model.layers.1."), std::string::npos);
}

TEST(Load, MisshapenTensorNamesBothShapes) {
  const TemporaryFolder folder;
  write_changed(folder.path(), {.config = [](Json& config) { config["vocab_size"] = 500; }});
  const std::string message = load_error(folder.path());
  EXPECT_NE(message.find("model.embed_tokens.weight"), std::string::npos) << message;
  EXPECT_NE(message.find("[512, 64]"), std::string::npos) << message;
  EXPECT_NE(message.find("[500, 64]"), std::string::npos) << message;
}

TEST(Load, IntegersAreNoWeights) {
  const TemporaryFolder folder;
  write_changed(folder.path(), {.tensors = [](auto& tensors) {
                  TensorView& norm = find(tensors, "model.norm.weight");
                  norm.dtype = DType::kI16;  // two bytes a value, as bf16
                }});
  EXPECT_NE(load_error(folder.path()).find("model.norm.weight"), std::string::npos);
}

TEST(Load, RotaryBuffersOfOldFilesAreIgnored) {
  const TemporaryFolder folder;
  const std::vector<float> values(8);
  write_changed(folder.path(), {.tensors = [&](auto& tensors) {
                  tensors.push_back({.name = "model.layers.0.self_attn.rotary_emb.inv_freq",
                                     .dtype = DType::kF32,
                                     .shape = {8},
                                     .bytes = std::as_bytes(std::span(values))});
                }});
  EXPECT_EQ(load_error(folder.path()), "");
}

/// tiny_llama (tied) with a head of its own in the file.
void write_with_head(const Path& folder, std::span<const std::byte> bytes) {
  write_changed(folder, {.tensors = [&](auto& tensors) {
                  TensorView head = find(tensors, "model.embed_tokens.weight");
                  head.name = "lm_head.weight";
                  head.bytes = bytes;
                  tensors.push_back(head);
                }});
}

TEST(Load, ATiedHeadThatIsInTheFileTooIsOneMatrix) {
  const TemporaryFolder folder;
  const SafetensorsFile file(golden("tiny_llama/model.safetensors"));
  write_with_head(folder.path(), file.find("model.embed_tokens.weight")->bytes);
  const Decoder model = load_fp32(folder.path());
  EXPECT_EQ(model.head.weight, model.embedding);
  EXPECT_TRUE(model.config.tie_word_embeddings);
}

TEST(Load, ATiedHeadThatDiffersInTheFileIsUsedAsTransformersDoes) {
  const TemporaryFolder folder;
  const std::vector<std::byte> zeros(512 * 64 * 2);
  write_with_head(folder.path(), zeros);
  const Decoder model = load_fp32(folder.path());
  EXPECT_FALSE(model.config.tie_word_embeddings);
  EXPECT_EQ(model.config.source["tie_word_embeddings"], false);
  EXPECT_EQ(sequence_logits(model, {1, 2, 3}).abs().max().item<double>(), 0.0);
}

TEST(Load, ATiedModelSavedUnderTheHeadsNameAloneLoads) {
  const TemporaryFolder folder;
  write_changed(folder.path(), {.tensors = [](auto& tensors) {
                  find(tensors, "model.embed_tokens.weight").name = "lm_head.weight";
                }});
  const auto ids = std::vector<std::int32_t>{5, 6, 7};
  EXPECT_TRUE(at::equal(sequence_logits(load_fp32(folder.path()), ids),
                        sequence_logits(load_fp32(golden("tiny_llama")), ids)));
}

TEST(Load, AMisalignedFileLoadsTheSame) {
  // One byte more in the header shifts every tensor to an odd address.
  const std::string text = text_of_file(golden("tiny_llama/model.safetensors"));
  std::uint64_t length = 0;
  std::memcpy(&length, text.data(), sizeof(length));
  std::string shifted = text;
  shifted.insert(8 + length, " ");
  ++length;
  std::memcpy(shifted.data(), &length, sizeof(length));
  const TemporaryFolder folder;
  write_text(folder.path() / "model.safetensors", shifted);
  copy_golden("tiny_llama/config.json", folder.path() / "config.json");
  const ModelOptions options{.path = folder.path().string(), .dtype = ComputeDType::kBF16};
  const Decoder model = load_model(options);
  const Decoder plain = load_model({.path = golden("tiny_llama").string(), .dtype = ComputeDType::kBF16});
  EXPECT_TRUE(at::equal(sequence_logits(model, {9, 8, 7}), sequence_logits(plain, {9, 8, 7})));
}

TEST(Load, GgufInBf16IsItsFp32RoundedOnce) {
  const Decoder exact = load_fp32(golden("model/tiny.gguf"));
  const Decoder rounded =
      load_model({.path = golden("model/tiny.gguf").string(), .dtype = ComputeDType::kBF16});
  for (const char* name : {"q", "embedding"}) {
    const auto pick = [&](const Decoder& model) {
      return std::string(name) == "q" ? model.blocks[1].attention.qkv.linears[0].weight->rows(0, 64)
                                      : model.embedding->rows(0, 512);
    };
    EXPECT_TRUE(at::equal(pick(exact).to(at::kBFloat16).to(at::kFloat), pick(rounded))) << name;
  }
}

TEST(Load, TruncatedFilesAreErrorsAtEveryLength) {
  const TemporaryFolder folder;
  copy_golden("tiny_llama/config.json", folder.path() / "config.json");
  const std::string whole = text_of_file(golden("tiny_llama/model.safetensors"));
  const std::string gguf = text_of_file(golden("model/tiny.gguf"));
  for (const double share : {0.0, 0.00001, 0.001, 0.01, 0.1, 0.5, 0.9, 0.999, 0.99999}) {
    const auto cut = [&](const std::string& text) {
      return text.substr(0, static_cast<std::size_t>(static_cast<double>(text.size()) * share));
    };
    write_text(folder.path() / "model.safetensors", cut(whole));
    EXPECT_NE(load_error(folder.path()), "") << share;
    write_text(folder.path() / "cut.gguf", cut(gguf));
    EXPECT_NE(load_error(folder.path() / "cut.gguf"), "") << share;
  }
}

TEST(Load, AFolderWithoutWeightsSaysSo) {
  const TemporaryFolder folder;
  copy_golden("tiny_llama/config.json", folder.path() / "config.json");
  EXPECT_NE(load_error(folder.path()), "");
}

}  // namespace
}  // namespace graft
