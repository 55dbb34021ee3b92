#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <torch/version.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "base/machine.h"
#include "base/text.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "model/config.h"
#include "peft/adapter_config.h"
#include "store/safetensors.h"
#include "text/tokenizer.h"

namespace graft {
namespace {

/// Instruction sets that matter to the matrix products, of those that the CPU names.
Json instruction_sets() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  std::set<std::string> flags;
  for (std::string line; flags.empty() && std::getline(cpuinfo, line);) {
    if (!line.starts_with("flags") && !line.starts_with("Features")) continue;
    for (std::string& flag : split(line, ' ')) flags.insert(std::move(flag));
  }
  Json found = Json::array();
  for (const char* flag : {"avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16",
                           "amx_bf16", "amx_int8", "asimd", "bf16", "sve"}) {
    if (flags.contains(flag)) found.push_back(flag);
  }
  return found;
}

/// Threads that at::parallel_for really uses: a second OpenMP runtime, or none, shows as one.
std::int64_t threads_at_work() {
  const std::int64_t threads = at::get_num_threads();
  std::vector<std::thread::id> ids(static_cast<std::size_t>(threads));
  at::parallel_for(0, threads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) ids[static_cast<std::size_t>(i)] = std::this_thread::get_id();
  });
  std::sort(ids.begin(), ids.end());
  return std::unique(ids.begin(), ids.end()) - ids.begin();
}

Json machine() {
  return {{"graft", GRAFT_VERSION},
          {"libtorch", TORCH_VERSION},
          {"cpu", cpu_name()},
          {"cores", std::thread::hardware_concurrency()},
          {"instruction_sets", instruction_sets()},
          {"libtorch_capability", at::get_cpu_capability()},
          {"threads", threads_at_work()},
          {"memory_bytes", installed_memory_bytes()},
          {"free_disk_bytes", free_bytes(std::filesystem::current_path())}};
}

/// Opens a base or an adapter and says what it is. Errors: as loading it for training.
Json inspect(const std::string& path) {
  if (std::filesystem::exists(Path(path) / "adapter_config.json")) {
    const AdapterConfig config = read_adapter_config(Path(path) / "adapter_config.json");
    const SafetensorsFile tensors(Path(path) / "adapter_model.safetensors");
    return {{"path", path},
            {"kind", "adapter"},
            {"r", config.options.r},
            {"alpha", config.options.alpha},
            {"tensors", tensors.tensors().size()},
            {"base", config.base_model}};
  }
  const ModelConfig config = load_config(path);
  const Tokenizer tokenizer = load_tokenizer(path);
  return {{"path", path},
          {"kind", "base"},
          {"architecture", config.architecture},
          {"layers", config.num_hidden_layers},
          {"hidden_size", config.hidden_size},
          {"vocab_size", config.vocab_size},
          {"tokens", tokenizer.vocab_size()},
          {"chat_template", tokenizer.chat_template().has_value()}};
}

std::string value_text(const std::string& name, const Json& value) {
  if (name.ends_with("_bytes")) return format_bytes(value.get<std::uint64_t>());
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return to_text(value);
  return join(value.get<std::vector<std::string>>(), " ");
}

void print_lines(const Json& object) {
  for (const auto& [name, value] : object.items()) {
    const std::string label = name.ends_with("_bytes") ? name.substr(0, name.size() - 6) : name;
    std::string shown = label;
    std::replace(shown.begin(), shown.end(), '_', ' ');
    print(shown + ": " + value_text(name, value) + "\n");
  }
}

}  // namespace

ExitCode run_doctor(const std::vector<std::string>& words) {
  std::vector<std::string> paths;
  bool json = false;
  Arguments parser(
      {.verb = "doctor",
       .synopsis = "[BASE | ADAPTER …] [--json]",
       .about = "Says what this machine offers to training, and whether the given bases and adapters open.",
       .example = "graft doctor models/SmolLM2-135M-Instruct runs/cooking/adapter"});
  parser.flag("json", json, "one JSON document instead of lines");
  parser.operands("PATH", paths);
  if (!parser.parse(words)) return ExitCode::kDone;

  Json report = machine();
  if (!json) print_lines(report);
  report["models"] = Json::array();
  for (const std::string& path : paths) {
    report["models"].push_back(inspect(path));
    if (json) continue;
    print("\n");
    print_lines(report["models"].back());
  }
  if (json) print_json(report);
  return ExitCode::kDone;
}

}  // namespace graft
