#include "store/gguf_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "expect_error.h"
#include "store/gguf.h"
#include "temporary_folder.h"

namespace graft {
namespace {

std::vector<std::byte> as_bytes(const std::vector<float>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

std::string contents_of(const Path& path) { return read_file(path, std::uint64_t{1} << 24); }

class GgufWriterTest : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  Path path_ = folder_.path() / "out.gguf";
};

TEST_F(GgufWriterTest, WritesEveryTypeOfMetadataAsTheGgufPackageDoes) {
  // The golden file's metadata, copied pair by pair, and set once more from C++ values.
  const GgufFile package(GRAFT_SOURCE_DIR "/tests/golden/store/package.gguf");
  GgufMetadata copied, set;
  for (const GgufPair& pair : package.pairs()) copied.set(pair), set.set(pair);
  set.set("kv.u8", std::uint8_t{200});
  set.set("kv.i8", std::int8_t{-5});
  set.set("kv.u16", std::uint16_t{65535});
  set.set("kv.i16", std::int16_t{-32768});
  set.set("kv.u32", std::uint32_t{4294967295});
  set.set("kv.i32", std::int32_t{-7});
  set.set("kv.u64", std::uint64_t{1} << 40);
  set.set("kv.i64", -(std::int64_t{1} << 40));
  set.set("kv.f32", 0.5F);
  set.set("kv.f64", 0.1);
  set.set("kv.bool", true);
  set.set("kv.string", "über");
  set.set("kv.strings", std::vector<std::string>{"a", "", "ccc"});
  set.set("kv.integers", std::vector<std::int32_t>{1, -2, 3});
  set.set("kv.numbers", std::vector<float>{0.5F, 1.5F});
  EXPECT_EQ(set.encoded(), copied.encoded());
  EXPECT_EQ(set.size(), package.metadata().size());
}

TEST_F(GgufWriterTest, WritesThePackagesTensorsAgain) {
  const GgufFile package(GRAFT_SOURCE_DIR "/tests/golden/store/package.gguf");
  GgufMetadata metadata;
  for (const GgufPair& pair : package.pairs()) metadata.set(pair);
  write_gguf(path_, metadata, package.tensors());
  const GgufFile written(path_);
  EXPECT_EQ(written.metadata(), package.metadata());
  ASSERT_EQ(written.tensors().size(), package.tensors().size());
  for (std::size_t i = 0; i < written.tensors().size(); ++i) {
    const TensorView &got = written.tensors()[i], &want = package.tensors()[i];
    EXPECT_EQ(got.name, want.name);
    EXPECT_EQ(got.dtype, want.dtype);
    EXPECT_EQ(got.shape, want.shape);
    EXPECT_TRUE(std::ranges::equal(got.bytes, want.bytes)) << got.name;
  }
}

TEST_F(GgufWriterTest, AlignsTensorsThatComeInPiecesOfAnySize) {
  GgufMetadata metadata;
  metadata.set("general.alignment", std::uint32_t{64});
  std::vector<float> values(40);
  std::iota(values.begin(), values.end(), 1.0F);
  const std::vector<std::byte> bytes = as_bytes(values);
  {
    GgufWriter writer(path_, metadata,
                      {{.name = "a", .dtype = DType::kF32, .shape = {2, 4}, .bytes = {}},
                       {.name = "none", .dtype = DType::kF32, .shape = {0, 4}, .bytes = {}},
                       {.name = "b", .dtype = DType::kF32, .shape = {32}, .bytes = {}}});
    const std::span<const std::byte> all(bytes);
    for (std::size_t at = 0; at < all.size();) {  // 7 bytes at a time, over the tensors' ends
      const std::size_t count = std::min<std::size_t>(7, all.size() - at);
      writer.write(all.subspan(at, count));
      at += count;
    }
    writer.commit();
  }
  const GgufFile file(path_);
  EXPECT_EQ(decode(*file.find("a")), std::vector<float>(values.begin(), values.begin() + 8));
  EXPECT_EQ(decode(*file.find("b")), std::vector<float>(values.begin() + 8, values.end()));
  EXPECT_TRUE(file.find("none")->bytes.empty());
  const auto address = reinterpret_cast<std::uintptr_t>(file.find("b")->bytes.data());
  EXPECT_EQ((address - reinterpret_cast<std::uintptr_t>(file.find("a")->bytes.data())) % 64, 0U);
  EXPECT_EQ(contents_of(path_).size() % 64, 0U);
}

TEST_F(GgufWriterTest, KeepsTheOrderOfKeysAndReplacesAndRemovesThem) {
  GgufMetadata metadata;
  metadata.set("b", std::uint32_t{1});
  metadata.set("a", true);
  metadata.set("c", "x");
  metadata.set("b", "new");
  metadata.remove("a");
  write_gguf(path_, metadata, {});
  const GgufFile file(path_);
  ASSERT_EQ(file.pairs().size(), 2U);
  EXPECT_EQ(file.pairs()[0].key, "b");
  EXPECT_EQ(file.string("b"), "new");
  EXPECT_FALSE(metadata.has("a"));
  EXPECT_TRUE(metadata.has("c"));
}

TEST_F(GgufWriterTest, LeavesNothingWithoutCommit) {
  { const GgufWriter writer(path_, {}, {{.name = "a", .dtype = DType::kF32, .shape = {4}, .bytes = {}}}); }
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(GgufWriterTest, RefusesWhatReadersWouldNotTake) {
  const auto refused = [&](const TensorView& tensor) {
    return error_of([&] { const GgufWriter writer(path_, {}, {tensor}); }).what();
  };
  EXPECT_TRUE(
      contains(refused({std::string(64, 'x'), DType::kF32, {1}, {}}), "the name is too long (got 64"));
  EXPECT_TRUE(contains(refused({"t", DType::kBool, {1}, {}}), "tensor t: GGUF has no type bool"));
  EXPECT_TRUE(contains(refused({"t", DType::kF32, {1, 1, 1, 1, 1}, {}}), "got 5 dimensions"));
  EXPECT_TRUE(contains(refused({"t", DType::kQ4_K, {2, 128}, {}}),
                       "rows of 128 values cannot be cut into q4_k blocks of 256"));
  EXPECT_TRUE(contains(refused({"t", DType::kF32, {std::int64_t{1} << 62, 8}, {}}), "tensor t: the size"));
  const TensorView twice{"t", DType::kF32, {1}, {}};
  EXPECT_TRUE(contains(error_of([&] {
                         const GgufWriter writer(path_, {}, {twice, twice});
                       }).what(),
                       "two tensors are named `t`"));
  const std::vector<std::byte> four(4);
  EXPECT_TRUE(contains(error_of([&] {
                         write_gguf(path_, {}, {{"t", DType::kF32, {2}, four}});
                       }).what(),
                       "needs 8 bytes (got 4)"));
  GgufMetadata odd;
  odd.set("general.alignment", std::uint32_t{48});
  EXPECT_TRUE(contains(error_of([&] { const GgufWriter writer(path_, odd, {}); }).what(), "a power of two"));
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

}  // namespace
}  // namespace graft
