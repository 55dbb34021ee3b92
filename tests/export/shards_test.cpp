#include "export/shards.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "model/golden.h"

namespace graft {
namespace {

const std::map<std::string, std::string> kMetadata{{"graft.merge.base", "mine"}};

ExportTensor tensor_of(const std::string& name, const at::Tensor& values) {
  return {name, values.sizes().vec(),
          [values](std::int64_t first, std::int64_t last) { return values.slice(0, first, last); }};
}

std::vector<ExportTensor> some_tensors() {
  return {tensor_of("a", at::arange(12, at::kFloat).reshape({3, 4}) / 7),
          tensor_of("b", at::arange(5, at::kFloat) * 0.3),
          tensor_of("c", -at::arange(8, at::kFloat).reshape({2, 4}) / 3)};
}

at::Tensor read(const SafetensorsFolder& folder, const std::string& name) {
  const TensorView& view = *folder.find(name);
  std::vector<float> values = decode(view);
  return at::from_blob(values.data(), view.shape, at::kFloat).clone();
}

TEST(Shards, OneFileHoldsEveryTensorRoundedOnce) {
  const TemporaryFolder folder;
  write_weights(some_tensors(), at::kBFloat16, kMetadata, folder.path());
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "model.safetensors.index.json"));
  const SafetensorsFile file(folder.path() / "model.safetensors");
  EXPECT_EQ(file.metadata().at("format"), "pt") << "transformers refuses a file without it";
  EXPECT_EQ(file.metadata().at("graft.merge.base"), "mine");
  const SafetensorsFolder written(folder.path());
  for (const ExportTensor& tensor : some_tensors()) {
    const at::Tensor want = tensor.rows(0, tensor.shape[0]).to(at::kBFloat16).to(at::kFloat);
    EXPECT_TRUE(at::equal(read(written, tensor.name), want)) << tensor.name;
  }
}

TEST(Shards, ASmallLimitCutsBetweenTensorsAndTheIndexFindsThem) {
  const TemporaryFolder folder;
  write_weights(some_tensors(), at::kFloat, kMetadata, folder.path(), 60);  // a 48 + b 20 bytes, c 32
  for (const char* name : {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}) {
    EXPECT_TRUE(std::filesystem::exists(folder.path() / name)) << name;
  }
  const Json index = read_json(folder.path() / "model.safetensors.index.json");
  EXPECT_EQ(index["metadata"]["total_size"], 100);
  EXPECT_EQ(index["weight_map"]["b"], "model-00002-of-00002.safetensors");
  const SafetensorsFolder written(folder.path());
  for (const ExportTensor& tensor : some_tensors()) {
    EXPECT_TRUE(at::equal(read(written, tensor.name), tensor.rows(0, tensor.shape[0]))) << tensor.name;
  }
}

TEST(Shards, ATensorAboveTheLimitIsAShardAlone) {
  const TemporaryFolder folder;
  write_weights(some_tensors(), at::kFloat, kMetadata, folder.path(), 1);
  EXPECT_TRUE(std::filesystem::exists(folder.path() / "model-00003-of-00003.safetensors"));
  EXPECT_EQ(SafetensorsFolder(folder.path()).names().size(), 3U);
}

TEST(Shards, BadNumbersAreRefusedByTensor) {
  const auto message = [](float value, at::ScalarType dtype) -> std::string {
    const TemporaryFolder folder;
    try {
      write_weights({tensor_of("w", at::full({2, 2}, value))}, dtype, kMetadata, folder.path());
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kNumerics);
      EXPECT_FALSE(std::filesystem::exists(folder.path() / "model.safetensors"));
      return error.what();
    }
    return "";
  };
  EXPECT_NE(message(std::numeric_limits<float>::quiet_NaN(), at::kFloat).find("tensor w"), std::string::npos);
  EXPECT_NE(message(std::numeric_limits<float>::infinity(), at::kBFloat16).find("tensor w"),
            std::string::npos);
  EXPECT_NE(message(70000.0F, at::kHalf).find("f16"), std::string::npos);
  EXPECT_EQ(message(65504.0F, at::kHalf), "");
  EXPECT_EQ(message(70000.0F, at::kBFloat16), "");
}

}  // namespace
}  // namespace graft
