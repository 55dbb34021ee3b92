#include "store/gguf.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "expect_error.h"
#include "store/file_builder.h"
#include "temporary_folder.h"

namespace graft {
namespace {

// scripts/golden/store.py, written by the gguf package.
class PackageGguf : public ::testing::Test {
 protected:
  GgufFile file_{GRAFT_SOURCE_DIR "/tests/golden/store/package.gguf"};
};

TEST_F(PackageGguf, HasEveryKindOfMetadata) {
  EXPECT_EQ(file_.string("general.architecture"), "llama");
  EXPECT_EQ(file_.integer("kv.u8"), 200);
  EXPECT_EQ(file_.integer("kv.i8"), -5);
  EXPECT_EQ(file_.integer("kv.u16"), 65535);
  EXPECT_EQ(file_.integer("kv.i16"), -32768);
  EXPECT_EQ(file_.integer("kv.u32"), 4294967295);
  EXPECT_EQ(file_.integer("kv.i32"), -7);
  EXPECT_EQ(file_.integer("kv.u64"), std::int64_t{1} << 40);
  EXPECT_EQ(file_.integer("kv.i64"), -(std::int64_t{1} << 40));
  EXPECT_EQ(file_.number("kv.f32"), 0.5);
  EXPECT_EQ(file_.number("kv.f64"), 0.1);
  EXPECT_EQ(file_.number("kv.i32"), -7.0);
  EXPECT_TRUE(file_.boolean("kv.bool"));
  EXPECT_EQ(file_.string("kv.string"), "über");
  EXPECT_EQ(file_.strings("kv.strings"), (std::vector<std::string>{"a", "", "ccc"}));
  EXPECT_EQ(file_.integers("kv.integers"), (std::vector<std::int64_t>{1, -2, 3}));
  EXPECT_EQ(file_.numbers("kv.numbers"), (std::vector<double>{0.5, 1.5}));
  EXPECT_FALSE(file_.has("kv.absent"));
}

TEST_F(PackageGguf, NamesKeyAndKindWhereMetadataIsNotAsAsked) {
  EXPECT_TRUE(
      contains(error_of([&] { file_.integer("kv.absent"); }).what(), "kv.absent: missing from the metadata"));
  EXPECT_TRUE(contains(error_of([&] { file_.integer("kv.string"); }).what(),
                       "kv.string: got a string, want an integer"));
  EXPECT_TRUE(contains(error_of([&] { file_.number("kv.bool"); }).what(), "got a boolean, want a number"));
  EXPECT_TRUE(contains(error_of([&] { file_.strings("kv.integers"); }).what(),
                       "got a list of integers, want a list of strings"));
}

TEST_F(PackageGguf, HasTensorsInTorchOrder) {
  std::vector<float> want(128);
  std::iota(want.begin(), want.end(), 0.0F);
  EXPECT_EQ(file_.find("plain")->shape, (std::vector<std::int64_t>{2, 64}));
  EXPECT_EQ(decode(*file_.find("plain")), want);
  EXPECT_EQ(decode(*file_.find("half")), want);
  const std::vector<float> rounded = decode(*file_.find("q8_0"));
  for (std::size_t i = 0; i < want.size(); ++i)
    EXPECT_NEAR(rounded[i], want[i], 0.52) << i;  // half a step of 127 / 127
  EXPECT_EQ(file_.find("q4_1")->dtype, DType::kQ4_1);
  EXPECT_EQ(file_.find("absent"), nullptr);
}

TEST_F(PackageGguf, HasKQuants) {
  const TensorView* tensor = file_.find("k_quant");
  EXPECT_EQ(tensor->dtype, DType::kQ4_K);
  EXPECT_EQ(tensor->shape, (std::vector<std::int64_t>{2, 256}));
  const std::vector<float> values = decode(*tensor);
  EXPECT_EQ(values[0], -0.0003671646F);  // gguf's dequantize
  EXPECT_EQ(values[511], 0.010475159F);
}

TEST_F(PackageGguf, RefusesATypeItCannotDecodeOnlyWhenItIsAskedFor) {
  EXPECT_EQ(file_.tensors().size(), 5U);
  EXPECT_EQ(file_.unsupported().at("i_quant"), "iq2_xs");
  const Error error = error_of([&] { file_.find("i_quant"); });
  EXPECT_TRUE(contains(error.what(), "not yet supported: iq2_xs (tensor i_quant)"));
}

TEST(GgufFile, RefusesRowsThatKBlocksDoNotDivide) {
  const TemporaryFolder folder;
  write_file(folder / "f", GgufBuilder(1, 0).tensor("a", {288, 8}, 12, 0).with_data(std::string(1296, 'x')));
  EXPECT_TRUE(contains(error_of([&] { GgufFile(folder / "f"); }).what(),
                       "rows of 288 values cannot be cut into q4_k blocks of 256"));
}

TEST(GgufFile, NamesATypeThatIsUnknownByItsNumber) {
  const TemporaryFolder folder;
  write_file(folder / "f", GgufBuilder(1, 0).tensor("a", {256}, 99, 0).with_data(std::string(256, 'x')));
  EXPECT_TRUE(contains(error_of([&] { GgufFile(folder / "f").find("a"); }).what(), "ggml type 99"));
}

TEST(GgufFile, ReadsVersionTwoAndItsOwnAlignment) {
  const TemporaryFolder folder;
  const std::string four = bytes_of(1.0F);
  write_file(folder / "f", GgufBuilder(1, 1, 2)
                               .pair("general.alignment", 4, bytes_of(std::uint32_t{64}))
                               .tensor("a", {1}, 0, 0)
                               .with_data(four));
  EXPECT_THROW(GgufFile(folder / "f"), Error);  // the data begins at a multiple of 64, not of 32
  std::string bytes = GgufBuilder(1, 1, 2)
                          .pair("general.alignment", 4, bytes_of(std::uint32_t{64}))
                          .tensor("a", {1}, 0, 0)
                          .bytes();
  bytes.resize((bytes.size() + 63) / 64 * 64);
  write_file(folder / "f", bytes + four);
  EXPECT_EQ(decode(GgufFile(folder / "f").tensors()[0]), std::vector<float>{1.0F});
}

TEST(GgufFile, ReadsTheRealBase) {
  const Path path = Path(GRAFT_DEPS_DIR) / "base" / "SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is missing: run scripts/fetch_base.sh";
  const GgufFile file(path);
  EXPECT_EQ(file.tensors().size(), 272U);
  EXPECT_EQ(file.string("general.architecture"), "llama");
  EXPECT_EQ(file.string("tokenizer.ggml.pre"), "smollm");
  EXPECT_EQ(file.strings("tokenizer.ggml.tokens").size(), 49152U);
  EXPECT_EQ(file.integer("llama.block_count"), 30);
  const TensorView* norm = file.find("output_norm.weight");
  ASSERT_NE(norm, nullptr);
  EXPECT_EQ(norm->shape, (std::vector<std::int64_t>{576}));
  for (const float value : decode(*norm)) ASSERT_TRUE(std::isfinite(value));
  EXPECT_TRUE(file.unsupported().empty());
}

TEST(IsGguf, LooksAtTheMagic) {
  const TemporaryFolder folder;
  write_file(folder / "a", "GGUF and more");
  write_file(folder / "b", "GGU");
  EXPECT_TRUE(is_gguf(folder / "a"));
  EXPECT_FALSE(is_gguf(folder / "b"));
}

}  // namespace
}  // namespace graft
