#include "text/bpe.h"

#include <gtest/gtest.h>

#include <map>

#include "base/random.h"
#include "text/byte_alphabet.h"
#include "text/fixture.h"

namespace graft {
namespace {

using Merges = std::vector<std::pair<std::string, std::string>>;

// Merges the lowest rank, leftmost first, one pair at a time: the definition.
std::vector<std::string> merge_by_definition(std::string_view word, const Merges& merges) {
  std::vector<std::string> parts;
  for (const char c : word) parts.emplace_back(1, c);
  while (true) {
    std::size_t best_rank = merges.size(), best = 0;
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
      for (std::size_t rank = 0; rank < best_rank; ++rank) {
        if (merges[rank].first != parts[i] || merges[rank].second != parts[i + 1]) continue;
        best_rank = rank;
        best = i;
      }
    }
    if (best_rank == merges.size()) return parts;
    parts[best] += parts[best + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

struct Model {
  Vocabulary vocabulary;
  Merges merges;
};

// Random merges over three letters; parts are tokens made before.
Model random_model(RandomStream& random) {
  Model model;
  std::vector<std::string> tokens = {"a", "b", "c"};
  std::map<std::string, int> known = {{"a", 0}, {"b", 1}, {"c", 2}};
  std::map<std::pair<std::string, std::string>, int> used;
  for (int i = 0; i < 40; ++i) {
    const std::pair merge = {tokens[random.below(tokens.size())], tokens[random.below(tokens.size())]};
    if (!used.emplace(merge, 0).second) continue;
    model.merges.push_back(merge);
    if (known.emplace(merge.first + merge.second, 0).second) tokens.push_back(merge.first + merge.second);
  }
  for (std::size_t id = 0; id < tokens.size(); ++id)
    model.vocabulary.add(tokens[id], static_cast<std::int64_t>(id), TokenKind::kWord, "test");
  return model;
}

TEST(Bpe, EqualsTheDefinitionOnRandomModelsAndWords) {
  RandomStream random(7);
  for (int round = 0; round < 200; ++round) {
    const Model model = random_model(random);
    const std::vector<Bpe::Merge> merges(model.merges.begin(), model.merges.end());
    const Bpe bpe(model.vocabulary, merges, {}, "test");
    std::string word;
    for (std::size_t i = 1 + random.below(100); i > 0; --i) word += static_cast<char>('a' + random.below(3));
    std::vector<Piece> pieces, again;
    bpe.encode(word, pieces);
    bpe.encode(word, again);  // from the cache
    std::vector<std::string> parts;
    for (const auto& piece : pieces) {
      parts.push_back(model.vocabulary.spelling(piece.id));
      EXPECT_EQ(word.substr(piece.range.begin, piece.range.end - piece.range.begin), parts.back());
    }
    ASSERT_EQ(parts, merge_by_definition(word, model.merges)) << word;
    ASSERT_EQ(again.size(), pieces.size());
    for (std::size_t i = 0; i < pieces.size(); ++i) EXPECT_EQ(again[i].id, pieces[i].id);
  }
}

TEST(Bpe, AWordOfAMegabyteIsMerged) {
  const Tokenizer tokenizer = tokenizer_of(small_tokenizer_json());
  std::string text;
  RandomStream random(3);
  for (int i = 0; i < 1'000'000; ++i) text += static_cast<char>('a' + random.below(26));
  const Encoding encoding = tokenizer.encode(text, SpecialTokens::kNone);
  EXPECT_EQ(tokenizer.decode(encoding.ids), text);
  EXPECT_LT(encoding.ids.size(), text.size());
}

TEST(Bpe, BytesThatTheVocabularyLacksVanishOrBecomeTheUnknownToken) {
  Vocabulary vocabulary;
  vocabulary.add("a", 0, TokenKind::kWord, "test");
  vocabulary.add("<unk>", 1, TokenKind::kWord, "test");
  const auto ids = [&](const BpeOptions& options) {
    std::vector<Piece> pieces;
    Bpe(vocabulary, {}, options, "test").encode("axxa", pieces);
    std::vector<std::int32_t> found;
    for (const auto& piece : pieces) found.push_back(piece.id);
    return found;
  };
  BpeOptions options;
  EXPECT_EQ(ids(options), (std::vector<std::int32_t>{0, 0}));
  options.unknown = 1;
  EXPECT_EQ(ids(options), (std::vector<std::int32_t>{0, 1, 1, 0}));
  options.fuse_unknown = true;
  EXPECT_EQ(ids(options), (std::vector<std::int32_t>{0, 1, 0}));
}

TEST(ByteAlphabet, SpellsEachByteByItsOwnCharacter) {
  std::map<std::string, int> seen;
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const std::string spelling = spelling_of_bytes({&c, 1});
    EXPECT_EQ(bytes_of_spelling(spelling), std::string(1, c));
    EXPECT_TRUE(seen.emplace(spelling, byte).second);
  }
  EXPECT_EQ(spelling_of_bytes(" \n"), "ĠĊ");
  EXPECT_EQ(bytes_of_spelling("你"), std::nullopt);
  EXPECT_EQ(bytes_of_spelling("a b"), std::nullopt);
}

}  // namespace
}  // namespace graft
