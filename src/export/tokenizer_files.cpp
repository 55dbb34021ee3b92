#include "export/tokenizer_files.h"

#include "export/tokenizer_json.h"
#include "store/gguf.h"

namespace graft {
namespace {

/// What a tokenizer, generation and the licence need, whichever of them the base has.
constexpr const char* kCopied[] = {
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "LICENSE",
    "LICENSE.txt",
    "LICENSE.md",
    "NOTICE",
};

}  // namespace

void write_tokenizer_files(const Path& base, const ModelConfig& config, const Path& folder) {
  if (!std::filesystem::is_directory(base)) return write_tokenizer_files(GgufFile(base), config, folder);
  for (const char* name : kCopied) {
    if (std::filesystem::is_regular_file(base / name)) graft::copy_file(base / name, folder / name);
  }
}

}  // namespace graft
