#include "export/tokenizer_files.h"

#include <algorithm>

#include "base/json.h"
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

void write_trained_template(const ChatTemplate& chat, const ModelConfig& config, const Path& folder) {
  write_chat_template(chat.source(), folder);
  const auto end = chat.end_of_turn() ? load_tokenizer(folder).id(*chat.end_of_turn()) : std::nullopt;
  if (!end || std::ranges::find(config.eos_token_ids, *end) != config.eos_token_ids.end()) return;
  std::vector<std::int32_t> ends = config.eos_token_ids;
  ends.push_back(*end);
  const Path path = folder / "generation_config.json";
  Json json = std::filesystem::exists(path) ? read_json(path) : Json::object();
  json["eos_token_id"] = ends;
  write_file(path, to_text(json, 2) + "\n");
}

}  // namespace graft
