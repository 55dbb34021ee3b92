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

void write_chat_template(const std::string& source, const Path& folder) {
  write_file(folder / "chat_template.jinja", source);
  const Path config = folder / "tokenizer_config.json";
  if (!std::filesystem::exists(config)) return;
  Json json = read_json(config);
  json["chat_template"] = source;
  write_file(config, to_text(json, 2) + "\n");
}

}  // namespace graft
