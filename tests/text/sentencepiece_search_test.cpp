#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"
#include "text/sentencepiece_model.h"
#include "text/tokenizer_json.h"

namespace graft {
namespace {

/// Small random models with pieces of all kinds: scripts/golden/sentencepiece_models.py.
TEST(SentencepieceSearch, FindsWhatTheLibraryFindsWithRandomModels) {
  const Path file = Path(GRAFT_SOURCE_DIR) / "tests/golden/text/sentencepiece_models.json";
  std::size_t cases = 0;
  for (const Json& row : read_json(file)) {
    const std::string bytes = decode_base64(row["model"].get<std::string>()).value();
    const SentencepieceProto proto = parse_sentencepiece(std::as_bytes(std::span(bytes)), "model");
    const SentencepieceModel model(proto, "model");
    for (const Json& entry : row["cases"]) {
      std::vector<Piece> pieces;
      const auto text = entry["text"].get<std::string>();
      model.encode(text, proto.add_dummy_prefix ? DummyPrefix::kAdd : DummyPrefix::kNone, pieces);
      std::vector<std::int64_t> ids, offsets;
      for (const Piece& piece : pieces) {
        ids.push_back(piece.id);
        offsets.push_back(static_cast<std::int64_t>(piece.range.begin));
        offsets.push_back(static_cast<std::int64_t>(piece.range.end));
      }
      EXPECT_EQ(ids, entry["ids"].get<std::vector<std::int64_t>>()) << text;
      EXPECT_EQ(offsets, entry["offsets"].get<std::vector<std::int64_t>>()) << text;
      ++cases;
    }
  }
  EXPECT_EQ(cases, 24 * 12);
}

}  // namespace
}  // namespace graft
