#include "train/provenance.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/sha256.h"

namespace graft {
namespace {

std::string hash_files(const std::vector<Path>& files) {
  Sha256 hash;
  for (const Path& file : files) {
    hash.update(file.filename().string() + "\n");
    hash_file(hash, file);
  }
  return hash.hex();
}

// The files of a folder that `wanted` accepts, by name.
template <class Predicate>
std::vector<Path> files_of(const Path& folder, Predicate wanted) {
  std::vector<Path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_regular_file() && wanted(entry.path())) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

std::string hash_base(const Path& base) {
  if (!std::filesystem::is_directory(base)) return sha256_of_file(base);
  return hash_files(files_of(base, [](const Path& file) {
    return file.extension() == ".safetensors" || file.filename() == "config.json";
  }));
}

std::string hash_tokenizer(const Path& base) {
  if (!std::filesystem::is_directory(base)) return sha256_of_file(base);
  return hash_files(files_of(base, [](const Path& file) {
    const std::string name = file.filename().string();
    return name.starts_with("tokenizer") || name == "special_tokens_map.json" ||
           name == "chat_template.jinja";
  }));
}

HashesByName hash_model_files(const Path& base) {
  std::string hash = hash_base(base);
  std::string tokenizer = std::filesystem::is_directory(base) ? hash_tokenizer(base) : hash;
  return {{"base", std::move(hash)}, {"tokenizer", std::move(tokenizer)}};
}

std::string hash_data(const DataReport& train, const DataReport& eval) {
  Sha256 hash;
  for (const DataReport* report : {&train, &eval}) {
    for (const DataReport::File& file : report->files) hash.update(file.sha256 + "\n");
    hash.update("--\n");
  }
  return hash.hex();
}

}  // namespace graft
