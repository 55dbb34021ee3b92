#include "base/sha256.h"

#include <gtest/gtest.h>

#include "temporary_folder.h"

namespace graft {
namespace {

// FIPS 180-4 example.
constexpr const char* kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(Sha256, GivesThePublishedDigestsWhateverThePieces) {
  Sha256 hash;
  hash.update("a");
  hash.update("");
  hash.update("bc");
  EXPECT_EQ(hash.hex(), kAbc);
  EXPECT_EQ(sha256_hex({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Sha256, HashesFiles) {
  const TemporaryFolder folder;
  write_file(folder / "a", "abc");
  EXPECT_EQ(sha256_of_file(folder / "a"), kAbc);
}

}  // namespace
}  // namespace graft
