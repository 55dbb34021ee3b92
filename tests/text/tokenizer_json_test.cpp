#include "text/tokenizer_json.h"

#include <gtest/gtest.h>

#include "text/fixture.h"

namespace graft {
namespace {

struct Change {
  const char* pointer;  // where a value is put
  Json value;
  const char* message;  // what the error must hold
};

Json added_token(int id, const char* content) {
  return {{"id", id}, {"content", content}, {"normalized", false}, {"special", true}};
}

void expect_refused(const Change& change) {
  SCOPED_TRACE(change.pointer);
  Json file = small_tokenizer_json();
  file[Json::json_pointer(change.pointer)] = change.value;
  expect_bad_input([&] { tokenizer_of(file); }, change.message);
}

TEST(TokenizerJson, UnsupportedPartsAreRefusedByName) {
  const Json byte_level = {{"type", "ByteLevel"}};
  const std::vector<Change> changes = {
      {"/model/type", "Unigram",
       "/model: the model Unigram is not supported beside the pre-tokenizer ByteLevel"},
      {"/model/type", "WordPiece", "/model: the model WordPiece is not supported"},
      {"/model/byte_fallback", true,
       "/model/byte_fallback: not supported beside the pre-tokenizer ByteLevel"},
      {"/model/continuing_subword_prefix", "##", "/model/continuing_subword_prefix: not supported"},
      {"/model/end_of_word_suffix", "</w>", "/model/end_of_word_suffix: not supported"},
      {"/model/dropout", 0.1, "/model/dropout"},
      {"/normalizer",
       {{"type", "BertNormalizer"}},
       "/normalizer: the normalizer BertNormalizer is not supported"},
      {"/normalizer",
       {{"type", "Sequence"}, {"normalizers", {{{"type", "Nmt"}}}}},
       "/normalizers/0: the normalizer Nmt"},
      {"/pre_tokenizer", {{"type", "UnicodeScripts"}}, "the pre-tokenizer UnicodeScripts is not supported"},
      {"/pre_tokenizer",
       {{"type", "Sequence"}, {"pretokenizers", {byte_level, {{"type", "Digits"}}}}},
       "/pretokenizers/1: the pre-tokenizer Digits after ByteLevel"},
      {"/post_processor", {{"type", "PairProcessing"}}, "the post-processor PairProcessing is not supported"},
      {"/decoder", {{"type", "WordPiece"}}, "/decoder: the decoder WordPiece is not supported"},
      {"/decoder",
       {{"type", "Sequence"}, {"decoders", {byte_level, byte_level}}},
       "/decoder/decoders/1: the decoder ByteLevel stands alone"},
  };
  for (const Change& change : changes) expect_refused(change);
}

TEST(TokenizerJson, BrokenVocabulariesAndMergesAreRefusedWithTheirPlace) {
  const std::vector<Change> changes = {
      {"/model/vocab", Json::array(), "/model/vocab: want an object"},
      {"/model/vocab/a", -1, "`a` has id -1"},
      {"/model/vocab/a", "5", "/model/vocab/a: got a string"},
      {"/model/vocab/a", 1.5, "/model/vocab/a"},
      {"/model/vocab/a", 10'000'000, "`a` has id 10000000, want 0 to"},
      {"/model/vocab/a", 18446744073709551615ULL, "`a` has id"},
      {"/model/vocab/a", 4, "have the same id 4"},
      {"/model/vocab/zzz", 900, "no token has id 640"},
      {"/model/merges", nullptr, "/model/merges: want a list"},
      {"/model/merges/3", Json::array({"a", "nonsense"}),
       "/model/merges/3: the merge of `a` and `nonsense` needs"},
      {"/model/merges/3", Json::array({"Q", "Q"}), "needs the token `QQ`"},
      {"/model/merges/3", Json::array({"a"}), "/model/merges/3: want two tokens"},
      {"/model/merges/3", "a b c", "/model/merges/3: got `a b c`"},
      {"/model/merges/3", "ab", "/model/merges/3: got `ab`"},
      {"/model/merges/3", " b", "/model/merges/3: got ` b`"},
      {"/model/merges/3", 7, "/model/merges/3: want two tokens"},
      {"/model/unk_token", "<unk>", "/model/unk_token: `<unk>` is not in the vocabulary"},
      {"/model", nullptr, "got null, want an object"},
  };
  for (const Change& change : changes) expect_refused(change);
}

TEST(TokenizerJson, BrokenAddedTokensAreRefusedWithTheirPlace) {
  const std::vector<Change> changes = {
      {"/added_tokens/1", added_token(1, ""), "/added_tokens/1: an added token without text"},
      {"/added_tokens/1", added_token(5, "<|im_start|>"),
       "`<|im_start|>` has id 5, but the vocabulary has it as id 1"},
      {"/added_tokens/1", added_token(5, "<new>"), "have the same id 5"},
      {"/added_tokens/1", added_token(-1, "<new>"), "/added_tokens/1/id"},
      {"/added_tokens/1", added_token(1, std::string(5000, 'x').c_str()), "an added token of 5000 bytes"},
      {"/added_tokens/1", Json::object(), "/added_tokens/1/id: missing"},
      {"/added_tokens", 3, "/added_tokens: got an integer, want a list"},
  };
  for (const Change& change : changes) expect_refused(change);
}

TEST(TokenizerJson, BrokenStepsAreRefusedWithTheirPlace) {
  const auto split = [](const Json& pattern, const char* behavior) {
    const Json step = {{"type", "Split"}, {"pattern", pattern}, {"behavior", behavior}, {"invert", false}};
    return Json{{"type", "Sequence"}, {"pretokenizers", {step, {{"type", "ByteLevel"}}}}};
  };
  const auto special = [](const char* id) { return Json{{"SpecialToken", {{"id", id}, {"type_id", 0}}}}; };
  const auto sequence = [](const char* id) { return Json{{"Sequence", {{"id", id}, {"type_id", 0}}}}; };
  const auto with_template = [](Json single, int id) {
    const Json tokens = {{"<s>", {{"id", "<s>"}, {"ids", {id}}, {"tokens", {"<s>"}}}}};
    return Json{{"type", "TemplateProcessing"}, {"single", std::move(single)}, {"special_tokens", tokens}};
  };
  const std::vector<Change> changes = {
      {"/pre_tokenizer", split({{"Regex", "(a"}}, "Isolated"),
       "/pattern: the regular expression `(a` is malformed"},
      {"/pre_tokenizer", split({{"Regex", ""}}, "Isolated"), "/pattern: an empty pattern"},
      {"/pre_tokenizer", split({{"String", "a"}}, "Sideways"), "/behavior: unknown behavior `Sideways`"},
      {"/pre_tokenizer", split(Json::object(), "Isolated"), "/pattern/String: missing"},
      {"/pre_tokenizer/use_regex", "yes", "/pre_tokenizer/use_regex: got a string, want a boolean"},
      {"/post_processor", with_template({special("<s>")}, 0), "/single: the text itself ($A) is missing"},
      {"/post_processor", with_template({sequence("B")}, 0), "want the sequence A, once"},
      {"/post_processor", with_template({sequence("A"), sequence("A")}, 0), "want the sequence A, once"},
      {"/post_processor", with_template({special("</s>"), sequence("A")}, 0),
       "/special_tokens/<~1s>: missing"},
      {"/post_processor", with_template({special("<s>"), sequence("A")}, 99999), "no token has id 99999"},
  };
  for (const Change& change : changes) expect_refused(change);
}

TEST(TokenizerJson, MergesAsStringsAndAsPairsMeanTheSame) {
  Json file = small_tokenizer_json();
  const Tokenizer pairs = tokenizer_of(file);
  for (Json& merge : file["model"]["merges"])
    merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  const Tokenizer strings = tokenizer_of(file);
  const std::string text = "The quick brown fox, 你好 and without within";
  EXPECT_EQ(pairs.encode(text, SpecialTokens::kNone).ids, strings.encode(text, SpecialTokens::kNone).ids);
}

TEST(TokenizerJson, TemplateProcessingAddsItsTokensOnlyWhereAsked) {
  Json file = small_tokenizer_json();
  file["post_processor"] = Json::parse(R"({"type":"TemplateProcessing",
    "single":[{"SpecialToken":{"id":"s","type_id":0}},{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"e","type_id":0}}],
    "special_tokens":{"s":{"id":"s","ids":[1,0],"tokens":["a","b"]},"e":{"id":"e","ids":[2],"tokens":["c"]}}})");
  const Tokenizer tokenizer = tokenizer_of(file);
  const auto x = *tokenizer.id("x");
  EXPECT_EQ(tokenizer.encode("x", SpecialTokens::kNone).ids, std::vector<std::int32_t>({x}));
  const Encoding added = tokenizer.encode("x", SpecialTokens::kAdd);
  EXPECT_EQ(added.ids, std::vector<std::int32_t>({1, 0, x, 2}));
  EXPECT_EQ(added.offsets, std::vector<ByteSpan>({{0, 0}, {0, 0}, {0, 1}, {0, 0}}));
  EXPECT_EQ(tokenizer.encode("", SpecialTokens::kAdd).ids, std::vector<std::int32_t>({1, 0, 2}));
}

TEST(TokenizerJson, APatternThatNeverEndsIsStoppedWithAnError) {
  Json file = small_tokenizer_json();
  file["pre_tokenizer"] = Json::parse(R"({"type":"Sequence","pretokenizers":[
    {"type":"Split","pattern":{"Regex":"(a+)+$"},"behavior":"Isolated","invert":false},{"type":"ByteLevel"}]})");
  const Tokenizer tokenizer = tokenizer_of(file);
  expect_bad_input(
      [&] { tokenizer.encode(std::string(100'000, 'a') + "b", SpecialTokens::kNone); },
      "the pre-tokenizer's regular expression `(a+)+$` gives up at byte 0 of a text of 100001 bytes");
}

}  // namespace
}  // namespace graft
