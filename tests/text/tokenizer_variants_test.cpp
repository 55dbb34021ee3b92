#include <gtest/gtest.h>

#include "base/sha256.h"
#include "base/text.h"
#include "temporary_folder.h"
#include "text/fixture.h"

namespace graft {
namespace {

enum class Decoded { kAll, kWithoutSpecial, kNone };

// As scripts/golden/tokenizer_variants.py makes it: ids, byte spans and the decoded text.
std::string digest(const Tokenizer& tokenizer, const std::string& text, Decoded decoded) {
  const Encoding encoding = tokenizer.encode(text, SpecialTokens::kNone);
  std::string all = describe(encoding);
  if (decoded != Decoded::kNone) all += tokenizer.decode(encoding.ids, decoded == Decoded::kAll);
  return sha256_hex(std::as_bytes(std::span(all))).substr(0, 16);
}

void expect_digests(const Tokenizer& tokenizer, const Json& corpus, const Json& digests, Decoded decoded) {
  ASSERT_EQ(corpus.size(), digests.size());
  for (std::size_t i = 0; i < corpus.size(); ++i) {
    const std::string text = corpus[i].get<std::string>();
    EXPECT_EQ(digest(tokenizer, text, decoded), digests[i].get<std::string>())
        << printable(text) << "\n"
        << describe(tokenizer.encode(text, SpecialTokens::kNone));
  }
}

Json patched(Json file, const Json& patch) {
  for (const auto& [key, part] : patch.items()) {
    if (key == "model")
      file[key].update(part);
    else
      file[key] = part;
  }
  return file;
}

void expect_streamed(const Tokenizer& tokenizer, const Json& corpus) {
  for (const Json& text : corpus) {
    const auto ids = tokenizer.encode(text.get<std::string>(), SpecialTokens::kNone).ids;
    StreamDecoder stream(tokenizer);
    std::string streamed;
    for (const std::int32_t id : ids) {
      streamed += stream.put(id);
      EXPECT_FALSE(find_invalid_utf8(streamed));
    }
    EXPECT_EQ(streamed + stream.finish(), tokenizer.decode(ids));
  }
}

TEST(TokenizerVariants, EachPartEqualsTokenizers) {
  const Json golden_file = read_json(golden("tokenizers.json"));
  ASSERT_GT(golden_file["variants"].size(), 30U);
  for (const Json& variant : golden_file["variants"]) {
    SCOPED_TRACE(variant["name"].get<std::string>());
    const Json& base = golden_file["bases"][variant["base"].get<std::string>()];
    const Tokenizer tokenizer = tokenizer_of(patched(base, variant["patch"]));
    expect_digests(tokenizer, golden_file["corpus"], variant["digests"],
                   variant["decodes"].get<bool>() ? Decoded::kAll : Decoded::kNone);
    expect_streamed(tokenizer, golden_file["corpus"]);
  }
}

TEST(TokenizerVariants, SentencepieceModelsEqualTheirLibrary) {
  const Json golden_file = read_json(golden("tokenizers.json"));
  ASSERT_EQ(golden_file["models"].size(), 4U);
  for (const Json& model : golden_file["models"]) {
    SCOPED_TRACE(model["name"].get<std::string>());
    const Tokenizer tokenizer = load_tokenizer(golden(model["name"].get<std::string>()));
    expect_digests(tokenizer, golden_file["model_corpus"], model["digests"], Decoded::kWithoutSpecial);
    expect_streamed(tokenizer, golden_file["model_corpus"]);
  }
}

TEST(TokenizerVariants, TokensInTextAreParsedAsTransformersDoesForEachPrefixScheme) {
  const Json cases = read_json(golden("tokenizers.json"))["parsed"];
  ASSERT_EQ(cases.size(), 33U);
  const TemporaryFolder folder;
  graft::copy_file(golden("bpe/tokenizer.model"), folder / "tokenizer.model");
  for (const Json& golden_case : cases) {
    const std::string scheme = golden_case["scheme"].get<std::string>();
    const Json config = {
        {"add_prefix_space", scheme != "never"},
        {"legacy", scheme == "always"},
        {"added_tokens_decoder",
         {{std::to_string(load_tokenizer(golden("bpe")).vocab_size()), {{"content", "<tool>"}}}}}};
    write_file(folder / "tokenizer_config.json", to_text(config));
    const std::string text = golden_case["text"].get<std::string>();
    const Encoding encoding = load_tokenizer(folder.path()).encode(text, SpecialTokens::kNone);
    EXPECT_EQ(describe(encoding), describe(expected_encoding(golden_case))) << scheme << ": " << text;
  }
}

TEST(TokenizerVariants, ATextOfAMegabyteWithoutSpacesIsEncoded) {
  std::string word;
  for (std::size_t i = 0; i < 1'000'000; ++i) word += static_cast<char>('a' + i * i % 23);
  const Json golden_file = read_json(golden("tokenizers.json"));
  for (const char* base : {"characters", "unigram"})
    EXPECT_GT(tokenizer_of(golden_file["bases"][base]).encode(word, SpecialTokens::kNone).ids.size(),
              100'000U);
  for (const char* model : {"bpe", "unigram"})
    EXPECT_GT(load_tokenizer(golden(model)).encode(word, SpecialTokens::kNone).ids.size(), 100'000U);
}

}  // namespace
}  // namespace graft
