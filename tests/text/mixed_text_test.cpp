#include "text/mixed_text.h"

#include <gtest/gtest.h>

#include "base/sha256.h"
#include "text/golden.h"

namespace graft {
namespace {

// As tests/bench/real_tokenizers.py hashes them: "id begin end" lines of a part's documents.
Json digest_of(const Tokenizer& tokenizer, const TextPart& part) {
  Sha256 hash;
  std::size_t tokens = 0;
  for (const std::string& document : part.documents) {
    const Encoding encoding = tokenizer.encode(document, SpecialTokens::kNone);
    hash.update(describe(encoding));
    tokens += encoding.ids.size();
  }
  return {{"tokens", tokens}, {"sha256", hash.hex()}};
}

void expect_equal(const Tokenizer& tokenizer, const Json& parts, const std::vector<TextPart>& text) {
  ASSERT_EQ(parts.size(), text.size());
  for (const TextPart& part : text) EXPECT_EQ(digest_of(tokenizer, part), parts[part.name]) << part.name;
}

class MixedText : public ::testing::Test {
 protected:
  const Json file_ = read_json(golden("mixed_text.json"));
  const std::vector<TextPart> text_ = mixed_text(file_["bytes"].get<std::size_t>());
};

TEST_F(MixedText, SmallTokenizersOfEveryKindGiveTheIdsAndOffsetsOfTheirLibraries) {
  std::size_t compared = 0;
  for (const auto& [name, parts] : file_["tokenizers"].items()) {
    if (name == "smollm2") continue;
    SCOPED_TRACE(name);
    const std::string folder = name.starts_with("small-") ? name.substr(6) : name;
    expect_equal(load_tokenizer(golden(folder)), parts, text_);
    ++compared;
  }
  EXPECT_GE(compared, 6U);
}

TEST_F(MixedText, SmolLm2GivesTheIdsAndOffsetsOfTokenizers) {
  if (!std::filesystem::exists(smollm2_gguf())) GTEST_SKIP() << "no SmolLM2: scripts/fetch_base.sh";
  expect_equal(load_tokenizer(smollm2_gguf()), file_["tokenizers"]["smollm2"], text_);
}

}  // namespace
}  // namespace graft
