#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "fuzz/require.h"

// Whatever the strict parser takes, the library takes as the same value, and it survives being written.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace graft;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Json value;
  try {
    value = parse_json(text, "fuzz");
  } catch (const Error&) {
    return 0;
  }
  require(value == Json::parse(text));
  require(parse_json(to_text(value), "again") == value);
  return 0;
}
