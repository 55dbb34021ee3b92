#include <gtest/gtest.h>

#include "expect_error.h"
#include "store/file_builder.h"
#include "store/safetensors.h"
#include "temporary_folder.h"

namespace graft {
namespace {

// A file that holds one-byte tensors of these names.
void write_shard(const Path& path, const std::vector<std::string>& names) {
  std::string header = "{", data;
  for (const std::string& name : names) {
    const std::string begin = std::to_string(data.size()), end = std::to_string(data.size() + 1);
    header += (data.empty() ? "" : ",") + ("\"" + name) +
              "\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[" + begin + "," + end + "]}";
    data += name.back();
  }
  write_file(path, safetensors_bytes(header + "}", data));
}

class SafetensorsFolderTest : public ::testing::Test {
 protected:
  void write_index(const std::string& weight_map) {
    write_file(folder_ / "model.safetensors.index.json",
               R"({"metadata":{},"weight_map":)" + weight_map + "}");
  }
  std::string message() {
    return error_of([&] { SafetensorsFolder weights(folder_.path()); }).what();
  }
  TemporaryFolder folder_;
};

TEST_F(SafetensorsFolderTest, ReadsTheSingleFile) {
  write_shard(folder_ / "model.safetensors", {"b", "a"});
  const SafetensorsFolder weights(folder_.path());
  EXPECT_EQ(weights.names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(weights.file_of("a").filename(), "model.safetensors");
  EXPECT_EQ(weights.find("c"), nullptr);
}

TEST_F(SafetensorsFolderTest, ReadsShardsAndStaysWholeWhenMoved) {
  write_shard(folder_ / "1.safetensors", {"a"});
  write_shard(folder_ / "2.safetensors", {"b", "c"});
  write_index(R"({"a":"1.safetensors","b":"2.safetensors","c":"2.safetensors"})");
  SafetensorsFolder first(folder_.path());
  const SafetensorsFolder weights(std::move(first));
  EXPECT_EQ(weights.find("c")->bytes[0], std::byte{'c'});
  EXPECT_EQ(weights.file_of("b").filename(), "2.safetensors");
  EXPECT_EQ(weights.names().size(), 3U);
}

TEST_F(SafetensorsFolderTest, IndexPathsStayInsideTheFolder) {  // IX01-IX03
  const TemporaryFolder outside;
  write_shard(outside / "x.safetensors", {"a"});
  for (const std::string& name : {std::string("../x"), (outside / "x.safetensors").string(),
                                  std::string("a/../../x"), std::string(), std::string(".")}) {
    write_index("{\"a\":\"" + name + "\"}");
    EXPECT_TRUE(contains(message(), "model.safetensors.index.json: /weight_map/a: ")) << name;
  }
}

TEST_F(SafetensorsFolderTest, LinksLeadOutOnlyInAHubCache) {  // IX04
  const TemporaryFolder outside;
  write_shard(outside / "x.safetensors", {"a"});
  std::filesystem::create_symlink(outside / "x.safetensors", folder_ / "1.safetensors");
  write_index(R"({"a":"1.safetensors"})");
  EXPECT_TRUE(contains(message(), "leads out of the model's folder"));

  const Path snapshot = outside / "snapshots" / "abc";
  make_folder(snapshot);
  make_folder(outside / "blobs");
  write_shard(outside / "blobs" / "hash", {"a"});
  std::filesystem::create_symlink("../../blobs/hash", snapshot / "1.safetensors");
  write_file(snapshot / "model.safetensors.index.json", R"({"weight_map":{"a":"1.safetensors"}})");
  EXPECT_NE(SafetensorsFolder(snapshot).find("a"), nullptr);
}

TEST_F(SafetensorsFolderTest, NamesAMissingShardAndAMissingTensor) {  // IX05, IX06
  write_index(R"({"a":"1.safetensors"})");
  EXPECT_TRUE(contains(message(), "there is no file"));
  write_shard(folder_ / "1.safetensors", {"b"});
  EXPECT_TRUE(contains(message(), "tensor `a` is missing"));
}

TEST_F(SafetensorsFolderTest, NamesATensorInTwoShards) {  // IX07
  write_shard(folder_ / "1.safetensors", {"a"});
  write_shard(folder_ / "2.safetensors", {"a", "b"});
  write_index(R"({"a":"1.safetensors","b":"2.safetensors"})");
  EXPECT_TRUE(contains(message(), "tensor `a` is also in"));
}

TEST_F(SafetensorsFolderTest, RefusesAnIndexThatIsNone) {  // IX08
  write_index(R"({"a":1})");
  EXPECT_TRUE(contains(message(), "/weight_map/a: got an integer, want a string"));
  write_index("{}");
  EXPECT_TRUE(contains(message(), "names no tensor"));
  write_file(folder_ / "model.safetensors.index.json", "{}");
  EXPECT_TRUE(contains(message(), "/weight_map: missing"));
}

TEST_F(SafetensorsFolderTest, RefusesAnIndexBesideAnotherSingleFile) {  // IX09
  write_shard(folder_ / "1.safetensors", {"a"});
  write_shard(folder_ / "model.safetensors", {"a"});
  write_index(R"({"a":"1.safetensors"})");
  EXPECT_TRUE(contains(message(), "is none of its shards"));
  write_index(R"({"a":"model.safetensors"})");
  EXPECT_NO_THROW(SafetensorsFolder{folder_.path()});
}

TEST_F(SafetensorsFolderTest, SaysWhatTheFolderHoldsInstead) {
  EXPECT_TRUE(contains(message(), "holds neither model.safetensors nor model.safetensors.index.json"));
  write_file(folder_ / "pytorch_model.bin", "");
  const Error error = error_of([&] { SafetensorsFolder weights(folder_.path()); });
  EXPECT_TRUE(contains(error.what(), "pytorch_model.bin: pickled weights are not read"));
  EXPECT_TRUE(contains(error.hint(), "runs code"));
  EXPECT_TRUE(contains(error_of([&] { SafetensorsFolder weights(folder_ / "x"); }).what(), "does not exist"));
  EXPECT_TRUE(contains(error_of([&] { SafetensorsFolder weights(folder_ / "pytorch_model.bin"); }).what(),
                       "is no folder"));
}

}  // namespace
}  // namespace graft
