#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "fuzz/require.h"
#include "text/tokenizer_json.h"

// Whatever file is taken, texts are encoded to ids of its vocabulary and ranges inside them, or it is an
// Error; and streaming gives the decoded text.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace graft;
  auto pipeline = std::make_shared<Tokenizer::Pipeline>();
  try {
    const Json file = parse_json({reinterpret_cast<const char*>(data), size}, "fuzz");
    read_tokenizer_json(JsonView(file, "fuzz"), {}, *pipeline);
  } catch (const Error&) {
    return 0;
  }
  const Tokenizer tokenizer(pipeline);
  for (const char* text : {"", " ", "ab  Ab\n", "\xE2\x96\x81 a\xC4\xA0<s>b",
                           "e\xCC\x81 \xE4\xBD\xA0\xF0\x9F\x98\x80 12", "  aaaaaaaaaaaaab  "}) {
    const std::string_view view(text);
    Encoding encoding;
    try {
      encoding = tokenizer.encode(view, SpecialTokens::kAdd);
    } catch (const Error&) {
      continue;
    }
    StreamDecoder stream(tokenizer);
    std::string streamed;
    for (std::size_t i = 0; i < encoding.ids.size(); ++i) {
      require(encoding.ids[i] >= 0 && encoding.ids[i] < tokenizer.vocab_size());
      require(encoding.offsets[i].end <= view.size());
      streamed += stream.put(encoding.ids[i]);
    }
    require(streamed + stream.finish() == tokenizer.decode(encoding.ids));
  }
  return 0;
}
