#include "train/checkpoint.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/format.h"
#include "base/json.h"
#include "base/sha256.h"
#include "store/safetensors.h"

namespace graft {
namespace {

constexpr std::int64_t kFormat = 1;
constexpr const char* kFiles[] = {"adapter/adapter_config.json", "adapter/adapter_model.safetensors",
                                  "optimizer.safetensors", "state.json"};
constexpr std::string_view kStepPrefix = "step-";

TensorView view_of(const Parameter& parameter) {
  const at::Tensor& t = parameter.value;
  return {.name = parameter.name,
          .dtype = DType::kF32,
          .shape = t.sizes().vec(),
          .bytes = {static_cast<const std::byte*>(t.const_data_ptr()), static_cast<std::size_t>(t.nbytes())}};
}

void write_optimizer(const Path& path, const AdamW& optimizer) {
  const std::vector<Parameter> state = optimizer.state();
  std::vector<TensorView> tensors;
  for (const Parameter& tensor : state) tensors.push_back(view_of(tensor));
  write_safetensors(path, tensors, {{"steps", std::to_string(optimizer.steps())}});
}

void write_manifest(const Path& folder, std::int64_t step) {
  Json files = Json::object();
  for (const char* name : kFiles) {
    files[name] = {{"bytes", std::filesystem::file_size(folder / name)},
                   {"sha256", sha256_of_file(folder / name)}};
  }
  write_file(folder / "MANIFEST.json",
             to_text({{"format", kFormat}, {"step", step}, {"files", files}}, 1) + "\n");
}

// Throws the reason why the checkpoint cannot be used.
void verify(const Path& folder, std::int64_t step) {
  const Json manifest = read_json(folder / "MANIFEST.json");
  const JsonView view(manifest, (folder / "MANIFEST.json").string());
  check(view.at("format").as_int() == kFormat, "written by another version of graft");
  check(view.at("step").as_int() == step, "its manifest is of step ", view.at("step").as_int());
  for (const char* name : kFiles) {
    const JsonView file = view.at("files").at(name);
    const Path path = folder / name;
    check(std::filesystem::is_regular_file(path), name, " is missing");
    check(std::filesystem::file_size(path) == static_cast<std::uintmax_t>(file.at("bytes").as_int(0)), name,
          " has another size than its manifest says");
    check(sha256_of_file(path) == file.at("sha256").as_string(), name,
          " has another SHA-256 than its manifest says");
  }
}

// The step that a folder name says, or nothing where it is no checkpoint's name.
std::optional<std::int64_t> step_of(const Path& folder) {
  const std::string name = folder.filename().string();
  if (!name.starts_with(kStepPrefix)) return std::nullopt;
  std::int64_t step = 0;
  const char* end = name.data() + name.size();
  const auto result = std::from_chars(name.data() + kStepPrefix.size(), end, step);
  if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return step;
}

std::vector<std::pair<std::int64_t, Path>> checkpoints_newest_first(const Path& folder) {
  std::vector<std::pair<std::int64_t, Path>> found;
  if (!std::filesystem::is_directory(folder)) return found;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (const auto step = step_of(entry.path())) found.emplace_back(*step, entry.path());
  }
  std::sort(found.rbegin(), found.rend());
  return found;
}

// Copies each named tensor of the file into its parameter, bit for bit.
void read_tensors(const SafetensorsFile& file, const std::vector<Parameter>& parameters) {
  check(file.tensors().size() == parameters.size(), file.path().string(), ": holds ", file.tensors().size(),
        " tensors, want ", parameters.size());
  for (const Parameter& parameter : parameters) {
    const TensorView* tensor = file.find(parameter.name);
    check(tensor != nullptr, file.path().string(), ": tensor ", parameter.name, " is missing");
    check(tensor->dtype == DType::kF32 && tensor->shape == parameter.value.sizes().vec(),
          file.path().string(), ": tensor ", tensor->name, " has shape ", tensor->shape_text(),
          ", want another");
    std::copy(tensor->bytes.begin(), tensor->bytes.end(),
              static_cast<std::byte*>(parameter.value.data_ptr()));
  }
}

}  // namespace

Path checkpoint_path(const Path& checkpoints, std::int64_t step) {
  return checkpoints / format("step-%06lld", static_cast<long long>(step));
}

void save_checkpoint(const Path& checkpoints, const RunState& state, const AdapterSet& adapters,
                     const AdamW& optimizer, const std::string& base_path,
                     const std::map<std::string, std::string>& adapter_metadata) {
  const Path path = checkpoint_path(checkpoints, state.step);
  graft::remove_all(path);
  OutputFolder folder(path);
  make_folder(folder.temporary() / "adapter");
  save_adapter(adapters, folder.temporary() / "adapter", base_path, adapter_metadata);
  write_optimizer(folder.temporary() / "optimizer.safetensors", optimizer);
  write_file(folder.temporary() / "state.json", to_text(to_json(state), 1) + "\n");
  write_manifest(folder.temporary(), state.step);
  folder.commit();
}

CheckpointChoice newest_checkpoint(const Path& checkpoints) {
  CheckpointChoice choice;
  for (const auto& [step, path] : checkpoints_newest_first(checkpoints)) {
    try {
      verify(path, step);
      choice.path = path;
      return choice;
    } catch (const Error& error) {
      choice.rejected.push_back(path.filename().string() + ": " + error.what());
    }
  }
  return choice;
}

RunState read_state(const Path& checkpoint) {
  const Json json = read_json(checkpoint / "state.json");
  return run_state_from(JsonView(json, (checkpoint / "state.json").string()));
}

RunState restore_checkpoint(const Path& checkpoint, AdapterSet& adapters, AdamW& optimizer) {
  const RunState state = read_state(checkpoint);
  restore_adapter(adapters, checkpoint / "adapter");
  read_tensors(SafetensorsFile(checkpoint / "optimizer.safetensors"), optimizer.state());
  optimizer.set_steps(state.step);
  return state;
}

void prune_checkpoints(const Path& checkpoints, std::int64_t keep_last, std::int64_t best_step) {
  std::int64_t kept = 0;
  for (const auto& [step, path] : checkpoints_newest_first(checkpoints)) {
    if (kept < keep_last) {
      ++kept;
    } else if (step != best_step) {
      graft::remove_all(path);
    }
  }
  std::vector<Path> left_over;
  for (const auto& entry : std::filesystem::directory_iterator(checkpoints)) {
    if (!step_of(entry.path())) left_over.push_back(entry.path());
  }
  for (const Path& path : left_over) graft::remove_all(path);
}

}  // namespace graft
