#pragma once

#include <map>
#include <string>

#include "base/file.h"
#include "data/dataset.h"

namespace graft {

using HashesByName = std::map<std::string, std::string>;

/// SHA-256 over the weight files and the config of a base (a GGUF file, or a Hugging Face folder), in a fixed
/// order.
std::string hash_base(const Path& base);
/// SHA-256 over the files that decide tokens: tokenizer.json, its config and template; or the GGUF file.
std::string hash_tokenizer(const Path& base);
/// Both, as "base" and "tokenizer"; a GGUF file is both and is read once.
HashesByName hash_model_files(const Path& base);
/// SHA-256 over the hashes of all data files, in the order in which they are read.
std::string hash_data(const DataReport& train, const DataReport& eval);

}  // namespace graft
