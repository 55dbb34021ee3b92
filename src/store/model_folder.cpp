#include "store/model_folder.h"

#include <algorithm>

namespace graft {
namespace {

constexpr const char* kTokenizer[] = {"tokenizer.json",
                                      "tokenizer_config.json",
                                      "special_tokens_map.json",
                                      "added_tokens.json",
                                      "vocab.json",
                                      "merges.txt",
                                      "tokenizer.model",
                                      "tekken.json",
                                      "chat_template.jinja",
                                      "chat_template.json"};
constexpr const char* kTemplates = "additional_chat_templates";  // a folder of named ones
constexpr const char* kBesides[] = {"generation_config.json", "LICENSE", "LICENSE.txt", "LICENSE.md",
                                    "NOTICE"};

}  // namespace

std::vector<Path> tokenizer_files(const Path& folder) {
  std::vector<Path> found;
  for (const char* name : kTokenizer)
    if (std::filesystem::is_regular_file(folder / name)) found.emplace_back(name);
  if (!std::filesystem::is_directory(folder / kTemplates)) return found;
  const auto named = found.size();
  for (const auto& entry : std::filesystem::directory_iterator(folder / kTemplates))
    if (entry.path().extension() == ".jinja") found.push_back(Path(kTemplates) / entry.path().filename());
  std::sort(found.begin() + static_cast<std::ptrdiff_t>(named), found.end());
  return found;
}

void carry_tokenizer(const Path& from, const Path& to) {
  std::vector<Path> files = tokenizer_files(from);
  for (const char* name : kBesides)
    if (std::filesystem::is_regular_file(from / name)) files.emplace_back(name);
  for (const Path& file : files) {
    if (file.has_parent_path()) make_folder(to / file.parent_path());
    graft::copy_file(from / file, to / file);
  }
}

}  // namespace graft
