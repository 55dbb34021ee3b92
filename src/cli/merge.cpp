#include <filesystem>
#include <optional>
#include <utility>

#include "base/console.h"
#include "base/error.h"
#include "base/machine.h"
#include "base/random.h"
#include "base/text.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "evaluate/compare.h"
#include "export/hf_folder.h"
#include "peft/adapter_set.h"
#include "store/safetensors.h"
#include "text/tokenizer.h"

namespace graft {
namespace {

struct MergeArguments {
  std::string model, adapter, out, format = "hf", type = "bf16";
  bool json = false, force = false;
};

std::optional<MergeArguments> parse(const std::vector<std::string>& words) {
  MergeArguments arguments;
  Arguments parser(
      {.verb = "merge",
       .synopsis = "--model M --adapter A --out DIR",
       .about =
           "Writes the base with the adapter in its weights as a Hugging Face folder, loads it again and "
           "compares its predictions with those of base and adapter.",
       .example =
           "graft merge --model models/SmolLM2-135M-Instruct --adapter runs/cooking/adapter --out merged"});
  parser.option("model", "M", arguments.model, "Hugging Face folder or .gguf file", Need::kRequired);
  parser.option("adapter", "A", arguments.adapter, "adapter folder", Need::kRequired);
  parser.option("out", "DIR", arguments.out, "the new folder", Need::kRequired);
  parser.option("format", "hf", arguments.format, "what to write");
  parser.option("type", "bf16|f16|f32", arguments.type, "how the weights are stored");
  parser.flag("force", arguments.force, "take an adapter that was trained on another base");
  parser.flag("json", arguments.json, "one JSON document instead of a line");
  if (!parser.parse(words)) return std::nullopt;
  check(arguments.format == "hf", ExitCode::kUsage, "--format: got ", printable(arguments.format),
        ", want hf", Hint{arguments.format == "gguf" ? "a merged GGUF is not written yet" : ""});
  check(!std::filesystem::exists(arguments.out), ExitCode::kUsage, arguments.out, ": exists already");
  return arguments;
}

// In fp32 nothing is rounded before the merge and the comparison sees the rounding of the weights alone. A
// base that would fill more than half of the memory that way is taken as it is stored: exact for bf16
// folders.
ComputeDType compute_type(const std::string& model) {
  if (!std::filesystem::is_directory(model)) return ComputeDType::kF32;
  const SafetensorsFolder folder(model);
  std::uint64_t elements = 0;
  bool all_bf16 = true;
  for (const std::string& name : folder.names()) {
    const TensorView& tensor = *folder.find(name);
    elements += static_cast<std::uint64_t>(tensor.elements());
    all_bf16 = all_bf16 && tensor.dtype == DType::kBF16;
  }
  const bool fits = elements * sizeof(float) < installed_memory_bytes() / 2;
  return fits || !all_bf16 ? ComputeDType::kF32 : ComputeDType::kBF16;
}

constexpr const char* kPrompts[] = {
    "How do I make a good tomato soup? Chop 2 onions, then",
    "The capital of France is Paris. Water boils at 100 degrees;",
    "def mean(values):\n    return sum(values) / len(values)\n\nNaïve café — “quotes”, 你好。",
};
constexpr std::size_t kRandomTokens = 48;

// Texts that no adapter was trained on; random tokens where the base has no tokenizer.
std::vector<std::vector<std::int32_t>> held_prompts(const std::string& model, const ModelConfig& config) {
  std::vector<std::vector<std::int32_t>> prompts;
  const bool has_tokenizer =
      !std::filesystem::is_directory(model) || std::filesystem::exists(Path(model) / "tokenizer.json");
  if (has_tokenizer) {
    const Tokenizer tokenizer = load_tokenizer(model);
    for (const char* text : kPrompts) prompts.push_back(tokenizer.encode(text, SpecialTokens::kAdd).ids);
    return prompts;
  }
  RandomStream random(0);
  auto& tokens = prompts.emplace_back(kRandomTokens);
  for (std::int32_t& token : tokens)
    token = static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(config.vocab_size)));
  return prompts;
}

at::Tensor predictions(const Decoder& model, const std::vector<std::vector<std::int32_t>>& prompts) {
  std::vector<at::Tensor> all;
  for (const auto& prompt : prompts) all.push_back(log_probabilities(model, prompt));
  return at::cat(all);
}

// A merge that is no nearer to base + adapter than the bare base is has lost the adapter, whatever its
// distance.
void check_kept(const Difference& merged, const Difference& base, const MergeArguments& arguments) {
  if (merged.rms < base.rms) return;
  remove_all(arguments.out);
  fail(ExitCode::kNumerics, arguments.out,
       ": the merged model lost the adapter: it differs from base and adapter by ", merged.rms,
       " (rms), the bare base by ", base.rms,
       Hint{arguments.type == "f32"
                ? "the adapter changes hardly anything"
                : "its effect is smaller than the rounding of the weights: use --type f32"});
}

void print_result(const MergeArguments& arguments, const Difference& merged) {
  if (arguments.json) {
    print_json({{"out", arguments.out},
                {"type", arguments.type},
                {"positions", merged.positions},
                {"largest_difference", merged.largest},
                {"kl", merged.kl},
                {"top1_agreement", merged.top1}});
    return;
  }
  std::ostringstream line;
  line << arguments.out << ": largest difference of log-probabilities " << merged.largest << ", KL "
       << merged.kl << ", same first token at " << 100.0 * merged.top1 << " % of " << merged.positions
       << " positions\n";
  print(line.str());
}

}  // namespace

ExitCode run_merge(const std::vector<std::string>& words) {
  const std::optional<MergeArguments> arguments = parse(words);
  if (!arguments) return ExitCode::kDone;
  const WeightType type = parse_weight_type(arguments->type);
  Decoder model = load_model({.path = arguments->model, .dtype = compute_type(arguments->model)});
  const auto prompts = held_prompts(arguments->model, model.config);
  const at::Tensor of_base = predictions(model, prompts);
  const OtherBase other = arguments->force ? OtherBase::kWarn : OtherBase::kRefuse;
  load_adapter(model, arguments->adapter, ZeroAdapter::kRefuse, other);
  const at::Tensor wanted = predictions(model, prompts);

  write_hf_folder(model, arguments->model, arguments->out, type);
  const auto dtype = model.dtype == at::kFloat ? ComputeDType::kF32 : ComputeDType::kBF16;
  const Difference merged =
      compare(wanted, predictions(load_model({.path = arguments->out, .dtype = dtype}), prompts));
  check_kept(merged, compare(wanted, of_base), *arguments);
  print_result(*arguments, merged);
  return ExitCode::kDone;
}

}  // namespace graft
