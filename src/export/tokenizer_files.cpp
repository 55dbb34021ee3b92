#include "export/tokenizer_files.h"

#include "export/tokenizer_json.h"
#include "store/gguf.h"
#include "store/model_folder.h"

namespace graft {

void write_tokenizer_files(const Path& base, const ModelConfig& config, const Path& folder) {
  if (!std::filesystem::is_directory(base)) return write_tokenizer_files(GgufFile(base), config, folder);
  carry_tokenizer(base, folder);
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
