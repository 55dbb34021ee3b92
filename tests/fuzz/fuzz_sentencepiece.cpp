#include <cstdint>
#include <span>

#include "base/error.h"
#include "fuzz/require.h"
#include "text/pipeline.h"

// An accepted model survives being written and read again; the library takes it, or it is an Error; then
// texts are encoded to ids and ranges inside them.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace graft;
  auto pipeline = std::make_shared<Tokenizer::Pipeline>();
  try {
    const SentencepieceProto proto = parse_sentencepiece(std::as_bytes(std::span(data, size)), "fuzz");
    const std::string written = serialize_sentencepiece(proto);
    require(serialize_sentencepiece(parse_sentencepiece(std::as_bytes(std::span(written)), "again")) ==
            written);
    use_sentencepiece(proto, PrependScheme::kFirst, "fuzz", *pipeline);
    add_control_pieces(proto, "fuzz", *pipeline);
  } catch (const Error&) {
    return 0;
  }
  const Tokenizer tokenizer(pipeline);
  for (const char* text : {"", " ", "Hello  world\n", "\xE2\x96\x81 \xE2\x96\x81x",
                           "e\xCC\x81 \xE4\xBD\xA0\xF0\x9F\x98\x80 \xEF\xAC\x81"}) {
    const std::string_view view(text);
    const Encoding encoding = tokenizer.encode(view, SpecialTokens::kAdd);
    for (std::size_t i = 0; i < encoding.ids.size(); ++i) {
      require(encoding.ids[i] >= 0 && encoding.ids[i] < tokenizer.vocab_size());
      require(encoding.offsets[i].begin <= encoding.offsets[i].end && encoding.offsets[i].end <= view.size());
    }
    tokenizer.decode(encoding.ids, true);
  }
  return 0;
}
