#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "fuzz/require.h"
#include "text/jinja/template.h"

namespace {

constexpr const char* kMessages = R"([
  {"role": "system", "content": "You are <b>kind</b>."},
  {"role": "user", "content": "Weather in 北京?", "name": null},
  {"role": "assistant", "content": "", "reasoning_content": "hm", "tool_calls": [
    {"id": "a", "type": "function", "function": {"name": "f", "arguments": {"city": "北京", "n": [1, 2.5, true, null]}}}]},
  {"role": "tool", "content": "{\"t\": 21}"},
  {"role": "assistant", "content": [{"type": "text", "text": "<think>x</think> 21 °C"}]}])";

const graft::JinjaVariables& variables() {
  using namespace graft;
  static const JinjaVariables all = {{"messages", jinja_value(Json::parse(kMessages), "messages")},
                                     {"tools", jinja_value(Json::parse(R"([{"a": {"b": ["c"]}}])"), "tools")},
                                     {"add_generation_prompt", JinjaValue(true)},
                                     {"bos_token", JinjaValue("<s>")},
                                     {"eos_token", JinjaValue("</s>")}};
  return all;
}

}  // namespace

// Whatever is parsed renders, or ends in an error, within the limits; spans lie inside the text, and the text
// is UTF-8 and the same every time.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace graft;
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  const JinjaLimits limits{.work = 4'000'000, .output_bytes = 100'000};
  try {
    const JinjaTemplate made(source, "fuzz");
    const JinjaRendering rendering = made.render(variables(), std::tm{}, limits);
    require(rendering.text.size() <= limits.output_bytes);
    require(!find_invalid_utf8(rendering.text));
    std::size_t end = 0;
    for (const auto& generation : rendering.generations) {
      require(generation.bytes.begin < generation.bytes.end && generation.bytes.end <= rendering.text.size());
      require(generation.bytes.end >= end);
      end = generation.bytes.end;
      require(!generation.message || *generation.message < 5);
    }
    require(made.render(variables(), std::tm{}, limits).text == rendering.text);
  } catch (const Error&) {
  }
  return 0;
}
