#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "fuzz/require.h"
#include "fuzz/scratch_file.h"
#include "model/config.h"
#include "model/families.h"

namespace {

// Whatever is accepted is of a known family, has sizes that fit, and says the same when its own config.json
// is read.
void check_accepted(const graft::ModelConfig& config) {
  using namespace graft;
  require(find_family(config.architecture) != nullptr);
  require(config.hidden_size > 0 && config.vocab_size > 0 && config.intermediate_size > 0);
  require(config.num_key_value_heads > 0 && config.num_attention_heads % config.num_key_value_heads == 0);
  require(config.layers.size() == static_cast<std::size_t>(config.num_hidden_layers));
  for (const LayerConfig& layer : config.layers)
    require(layer.window >= 0 && layer.rope >= -1 &&
            layer.rope < static_cast<std::int64_t>(config.ropes.size()));
  for (const RopeConfig& rope : config.ropes)
    require(rope.dims >= 2 && rope.dims % 2 == 0 && rope.dims <= config.head_dim && rope.factor > 0);
  const ModelConfig again = parse_config(config.source, "again");
  require(again.architecture == config.architecture && again.head_dim == config.head_dim);
  require(again.layers.size() == config.layers.size() && again.ropes.size() == config.ropes.size());
}

}  // namespace

// A config.json, or a GGUF file's metadata.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace graft;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    if (text.starts_with("GGUF")) {
      const ScratchFile file(data, size);
      check_accepted(load_config(file.path()));
    } else {
      check_accepted(parse_config(parse_json(text, "fuzz"), "fuzz"));
    }
  } catch (const Error&) {
  }
  return 0;
}
