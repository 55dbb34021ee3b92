#include "train/provenance.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/sha256.h"
#include "store/model_folder.h"

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

}  // namespace

std::string hash_base(const Path& base) {
  if (!std::filesystem::is_directory(base)) return sha256_of_file(base);
  std::vector<Path> files;
  for (const auto& entry : std::filesystem::directory_iterator(base)) {
    const Path& file = entry.path();
    if (entry.is_regular_file() && (file.extension() == ".safetensors" || file.filename() == "config.json"))
      files.push_back(file);
  }
  std::sort(files.begin(), files.end());
  return hash_files(files);
}

std::string hash_tokenizer(const Path& base) {
  if (!std::filesystem::is_directory(base)) return sha256_of_file(base);
  std::vector<Path> files;
  for (const Path& file : tokenizer_files(base)) files.push_back(base / file);
  return hash_files(files);
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
