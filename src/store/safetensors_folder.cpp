#include <array>
#include <cassert>
#include <system_error>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "store/safetensors.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr std::array kPickles{"pytorch_model.bin", "pytorch_model.bin.index.json", "consolidated.00.pth"};

bool is_there(const Path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

bool is_below(const Path& path, const Path& folder) {
  const Path relative = path.lexically_relative(folder);
  return !relative.empty() && *relative.begin() != ".." && *relative.begin() != ".";
}

// Links may leave the folder only in the layout of a hub cache: snapshots/REVISION/file -> blobs/HASH.
void check_inside(const Path& shard, const Path& folder, const JsonView& view) {
  std::error_code error;
  const Path real_shard = fs::canonical(shard, error);
  check(!error, view.where(), ": there is no file ", printable(shard.string()),
        Hint{"the download may be incomplete"});
  const Path real_folder = fs::canonical(folder, error);
  check(!error, printable(folder.string()), ": cannot be read");
  const Path snapshots = real_folder.parent_path();
  const bool in_cache =
      snapshots.filename() == "snapshots" && is_below(real_shard, snapshots.parent_path() / "blobs");
  check(in_cache || is_below(real_shard, real_folder), view.where(),
        ": leads out of the model's folder (got ", printable(real_shard.string()), ")");
}

Path shard_path(const Path& folder, const JsonView& view) {
  const Path name = view.as_string();
  check(!name.empty() && name.is_relative(), view.where(), ": got `", printable(name.string()),
        "`, want the name of a file in the model's folder");
  for (const Path& part : name) {
    check(part != ".." && !part.empty(), view.where(), ": got `", printable(name.string()),
          "`, want the name of a file in the model's folder");
  }
  check_inside(folder / name, folder, view);
  return folder / name;
}

[[noreturn]] void fail_no_weights(const Path& folder) {
  std::error_code ignored;
  check(is_there(folder), printable(folder.string()), ": does not exist");
  check(fs::is_directory(folder, ignored), printable(folder.string()), ": is no folder");
  for (const char* name : kPickles) {
    check(!is_there(folder / name), printable((folder / name).string()), ": pickled weights are not read",
          Hint{"unpickling runs code from the file; convert the model to safetensors with save_pretrained"});
  }
  fail(printable(folder.string()), ": holds neither ", kSingle, " nor ", kIndex);
}

// Tensor name -> shard, and the shards in the order of their names.
struct ShardIndex {
  std::map<std::string, Path> shard_of;
  std::map<Path, std::size_t> shards;
};

ShardIndex read_index(const Path& folder) {
  const Path path = folder / kIndex;
  const Json json = read_json(path);
  ShardIndex index;
  JsonView(json, path.string())
      .at("weight_map")
      .each_member([&](const std::string& name, const JsonView& value) {
        const Path shard = folder / value.as_string();
        // Each shard once, not each tensor: the checks ask the file system.
        if (!index.shards.contains(shard)) index.shards.emplace(shard_path(folder, value), 0);
        index.shard_of.emplace(name, shard);
      });
  check(!index.shards.empty(), printable(path.string()), ": /weight_map: names no tensor");
  if (is_there(folder / kSingle)) {
    check(index.shards.contains(folder / kSingle), printable(path.string()), ": ", kSingle,
          " is beside it and is none of its shards",
          Hint{"remove the one that does not belong to the model"});
  }
  return index;
}

}  // namespace

SafetensorsFolder::SafetensorsFolder(const Path& folder) {
  ShardIndex shards;
  if (is_there(folder / kIndex)) {
    shards = read_index(folder);
  } else {
    if (!is_there(folder / kSingle)) fail_no_weights(folder);
    shards.shards.emplace(folder / kSingle, 0);
  }
  files_.reserve(shards.shards.size());
  for (auto& [path, number] : shards.shards) {
    number = files_.size();
    for (const TensorView& tensor : files_.emplace_back(path).tensors()) {
      const auto [place, is_new] = index_.try_emplace(tensor.name, number, &tensor);
      check(is_new, printable(path.string()), ": tensor `", printable(tensor.name), "` is also in ",
            printable(files_[place->second.first].path().string()));
    }
  }
  for (const auto& [name, path] : shards.shard_of) {
    const auto place = index_.find(name);
    check(place != index_.end() && place->second.first == shards.shards.at(path), printable(path.string()),
          ": tensor `", printable(name), "` is missing, which ", kIndex, " expects here");
  }
}

const TensorView* SafetensorsFolder::find(std::string_view name) const {
  const auto place = index_.find(name);
  return place == index_.end() ? nullptr : place->second.second;
}

std::vector<std::string> SafetensorsFolder::names() const {
  std::vector<std::string> names;
  for (const auto& [name, place] : index_) names.push_back(name);
  return names;
}

const Path& SafetensorsFolder::file_of(std::string_view name) const {
  const auto place = index_.find(name);
  assert(place != index_.end());
  return files_[place->second.first].path();
}

}  // namespace graft
