#include "store/safetensors.h"

#include <gtest/gtest.h>

#include "expect_error.h"
#include "store/file_builder.h"
#include "store/safetensors_writer.h"
#include "temporary_folder.h"

namespace graft {
namespace {

template <class Number>
std::span<const std::byte> bytes_of_vector(const std::vector<Number>& values) {
  return std::as_bytes(std::span(values));
}

// scripts/golden/store.py, written by the safetensors package.
TEST(SafetensorsFile, ReadsWhatThePackageWrites) {
  const SafetensorsFile file(GRAFT_SOURCE_DIR "/tests/golden/store/package.safetensors");
  EXPECT_EQ(file.tensors().size(), 13U);
  EXPECT_EQ(file.metadata().at("note"), "écrit par Python");
  for (const char* name : {"float64", "float32", "float16", "bfloat16"}) {
    const TensorView* tensor = file.find(std::string("values.") + name);
    ASSERT_NE(tensor, nullptr) << name;
    EXPECT_EQ(tensor->shape_text(), "[2, 3]");
    EXPECT_EQ(decode(*tensor), (std::vector<float>{0, 1, 2, 3, 4, 5})) << name;
  }
  EXPECT_EQ(file.find("values.int64")->bytes[8], std::byte{1});
  EXPECT_EQ(file.find("values.bool")->dtype, DType::kBool);
  EXPECT_EQ(file.find("scalar")->shape_text(), "[]");
  EXPECT_EQ(decode(*file.find("scalar")), std::vector<float>{2.5F});
  EXPECT_EQ(file.find("empty")->elements(), 0);
  EXPECT_NE(file.find("näme/with ünicode"), nullptr);
  EXPECT_EQ(file.find("absent"), nullptr);
}

TEST(SafetensorsFile, GivesTensorsInTheOrderOfTheirData) {
  const TemporaryFolder folder;
  write_file(folder / "f", safetensors_bytes(R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},)"
                                             R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
                                             "xy"));
  const SafetensorsFile file(folder / "f");
  EXPECT_EQ(file.tensors()[0].name, "a");
  EXPECT_EQ(file.tensors()[1].bytes[0], std::byte{'y'});
}

TEST(SafetensorsWriter, TakesTheBytesInPiecesOfAnySize) {
  const TemporaryFolder folder;
  const std::vector<float> floats{1, -2, 3, 4};
  const auto bytes = bytes_of_vector(floats);
  SafetensorsWriter writer(folder / "f", {{"a", DType::kF32, {3}, {}}, {"b", DType::kF32, {1, 1}, {}}}, {});
  writer.write(bytes.first(5));
  EXPECT_FALSE(std::filesystem::exists(folder / "f"));
  writer.write(bytes.subspan(5));
  writer.commit();
  const SafetensorsFile file(folder / "f");
  EXPECT_EQ(decode(*file.find("a")), (std::vector<float>{1, -2, 3}));
  EXPECT_EQ(decode(*file.find("b")), std::vector<float>{4});
}

TEST(WriteSafetensors, IsUndoneByReading) {
  const TemporaryFolder folder;
  const std::vector<float> floats{1, -2, 3, 4, 5, 6};
  const std::vector<std::uint16_t> halves{0x3C00};
  const std::vector<TensorView> tensors{
      {"z \"quoted\" é", DType::kF32, {2, 3}, bytes_of_vector(floats)},
      {"none", DType::kI64, {0, 7}, {}},
      {"a", DType::kF16, {}, bytes_of_vector(halves)},
  };
  write_safetensors(folder / "f", tensors, {{"format", "pt"}, {"empty", ""}});
  const SafetensorsFile file(folder / "f");
  ASSERT_EQ(file.tensors().size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(file.tensors()[i].name, tensors[i].name);
    EXPECT_EQ(file.tensors()[i].dtype, tensors[i].dtype);
    EXPECT_EQ(file.tensors()[i].shape, tensors[i].shape);
  }
  EXPECT_EQ(decode(file.tensors()[0]), floats);
  EXPECT_EQ(decode(file.tensors()[2]), std::vector<float>{1.0F});
  EXPECT_EQ(file.metadata().size(), 2U);
}

TEST(WriteSafetensors, AlignsTheDataToEightBytes) {
  const TemporaryFolder folder;
  const std::vector<float> one{1};
  for (std::size_t length = 1; length <= 8; ++length) {
    write_safetensors(folder / "f", {{std::string(length, 'n'), DType::kF32, {1}, bytes_of_vector(one)}}, {});
    EXPECT_EQ(read_file(folder / "f", 1000).size() % 8, 4U) << length;
    EXPECT_EQ(decode(SafetensorsFile(folder / "f").tensors()[0]), one);
  }
}

TEST(WriteSafetensors, WritesAFileWithoutTensors) {
  const TemporaryFolder folder;
  write_safetensors(folder / "f", {}, {});
  EXPECT_TRUE(SafetensorsFile(folder / "f").tensors().empty());
}

TEST(WriteSafetensors, RefusesWhatCouldNotBeRead) {
  const TemporaryFolder folder;
  const std::vector<float> one{1};
  const auto bytes = bytes_of_vector(one);
  const auto message = [&](const std::vector<TensorView>& tensors) {
    return std::string(error_of([&] { write_safetensors(folder / "f", tensors, {}); }).what());
  };
  EXPECT_TRUE(
      contains(message({{"a", DType::kF32, {1}, bytes}, {"a", DType::kF32, {1}, bytes}}), "two tensors"));
  EXPECT_TRUE(contains(message({{"a", DType::kF32, {2}, bytes}}), "needs 8 bytes (got 4)"));
  EXPECT_TRUE(contains(message({{"a\n", DType::kF32, {1}, bytes}}), "a\\x0A"));
  EXPECT_TRUE(contains(message({{"__metadata__", DType::kF32, {1}, bytes}}), "reserved"));
  EXPECT_TRUE(contains(message({{"a", DType::kQ4_0, {32}, bytes}}), "q4_0"));
  EXPECT_EQ(folder.entries(), 0U);
}

TEST(Decode, RefusesTensorsWithoutFloats) {
  const TensorView tensor{"ids", DType::kI32, {0}, {}};
  EXPECT_TRUE(
      contains(error_of([&] { decode(tensor); }).what(), "ids: holds no floating-point numbers (got i32)"));
}

}  // namespace
}  // namespace graft
