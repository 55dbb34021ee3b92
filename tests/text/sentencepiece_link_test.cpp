#include <gtest/gtest.h>
#include <sentencepiece_processor.h>

#include "text/golden.h"

namespace graft {
namespace {

// The static library works inside our program; the tokenizer kind itself comes later.
TEST(SentencepieceLink, EncodesAndDecodesAsItsPythonPackage) {
  sentencepiece::SentencePieceProcessor processor;
  ASSERT_TRUE(processor.Load(golden("sentencepiece.model").string()).ok());
  const Json cases = read_json(golden("sentencepiece.json"));
  ASSERT_GE(cases.size(), 5U);
  for (const Json& golden_case : cases) {
    std::vector<int> ids;
    std::string decoded;
    ASSERT_TRUE(processor.Encode(golden_case["text"].get<std::string>(), &ids).ok());
    EXPECT_EQ(ids, golden_case["ids"].get<std::vector<int>>());
    ASSERT_TRUE(processor.Decode(ids, &decoded).ok());
    EXPECT_EQ(decoded, golden_case["decoded"].get<std::string>());
  }
}

}  // namespace
}  // namespace graft
