#include <filesystem>
#include <map>
#include <optional>
#include <utility>

#include "base/console.h"
#include "base/error.h"
#include "base/format.h"
#include "base/signals.h"
#include "base/staged_output.h"
#include "base/text.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/golden_file.h"
#include "cli/output.h"
#include "cli/talker.h"
#include "evaluate/compare.h"
#include "export/gguf_model.h"
#include "export/hf_folder.h"
#include "export/modelfile.h"
#include "model/load_in_files.h"
#include "peft/adapter_folder.h"
#include "peft/adapter_shelf.h"
#include "peft/identity_record.h"

namespace graft {
namespace {

constexpr const char* kAdapter = "adapter";
// The share of an adapter's effect that rounding may cost before it is said.
constexpr double kDearRounding = 0.05;
const std::map<std::string, Quantization> kQuantizations = {
    {"none", Quantization::kNone}, {"nf4", Quantization::kNf4}, {"q8_0", Quantization::kQ8_0}};

struct MergeArguments {
  std::string model, adapter, out, format = "hf", type, quantization = "none";
  bool modelfile = false, json = false, force = false;

  bool gguf() const { return format == "gguf"; }
  bool as_stored() const { return quantization == "none"; }
  // The type of the weights that the adapter is merged into.
  std::string base_weights() const { return as_stored() ? weights_word(model) : quantization; }
};

std::optional<MergeArguments> parse(const std::vector<std::string>& words) {
  MergeArguments arguments;
  Arguments parser(
      {.verb = "merge",
       .synopsis = "--model M --adapter A --out DIR|FILE [--format hf|gguf]",
       .about = "Writes the base with the adapter in its weights as a Hugging Face folder or a GGUF file, "
                "loads it "
                "again and compares its predictions with those of base and adapter, which a golden.json "
                "inside the folder (FILE.golden.json beside a GGUF) keeps for `score --golden`.",
       .example =
           "graft merge --model models/SmolLM2-135M-Instruct --adapter runs/cooking/adapter --out merged"});
  parser.option("model", "M", arguments.model, "Hugging Face folder or .gguf file", Need::kRequired);
  parser.option("adapter", "A", arguments.adapter, "adapter folder", Need::kRequired);
  parser.option("out", "DIR|FILE", arguments.out, "the new folder or GGUF file", Need::kRequired);
  parser.option("format", "hf|gguf", arguments.format, "what to write (hf)");
  parser.option(
      "type", "T", arguments.type,
      "how the weights are stored: bf16 (default), f16 or f32; a GGUF also q8_0, q4_0, q4_k or q6_k, and of "
      "a GGUF base by default each tensor's own");
  parser.option("quantization", "none|nf4|q8_0", arguments.quantization,
                "merge into the base's weights as its files have them (none), or as a training with this "
                "model.quantization saw them; recorded in the result");
  parser.flag("modelfile", arguments.modelfile, "write Ollama's Modelfile beside a GGUF");
  parser.flag("force", arguments.force, "take an adapter that was trained on another base");
  parser.flag("json", arguments.json, "one JSON document instead of a line");
  if (!parser.parse(words)) return std::nullopt;
  check(arguments.gguf() || arguments.format == "hf", ExitCode::kUsage, "--format: got ",
        printable(arguments.format), ", want hf or gguf");
  check(kQuantizations.contains(arguments.quantization), ExitCode::kUsage, "--quantization: got ",
        printable(arguments.quantization), ", want none, nf4 or q8_0");
  check(arguments.gguf() || !arguments.modelfile, ExitCode::kUsage,
        "--modelfile: want --format gguf beside it");
  check(!std::filesystem::exists(arguments.out), ExitCode::kUsage, arguments.out, ": exists already");
  return arguments;
}

// A merge that is nearer to the bare base than to base + adapter has lost the adapter, whatever its distance.
void check_kept(const Difference& from_adapted, const Difference& from_base,
                const MergeArguments& arguments) {
  if (from_adapted.rms < from_base.rms) return;
  fail(
      ExitCode::kNumerics, arguments.out,
      ": the merged model lost the adapter: it differs from base and adapter by ", from_adapted.rms,
      " (rms), from the bare base by ", from_base.rms,
      Hint{
          arguments.type == "f32" ? "the adapter changes hardly anything"
          : arguments.gguf()
              ? "its effect is smaller than the rounding of the weights: use --type q8_0 or bf16, or keep it "
                "apart with export --to gguf-lora"
              : "its effect is smaller than the rounding of the weights: use --type f32"});
}

Decoder load_base(const MergeArguments& arguments) {
  if (arguments.as_stored()) return load_in_files(arguments.model);
  return load_model({.path = arguments.model,
                     .dtype = ComputeDType::kF32,
                     .quantization = kQuantizations.at(arguments.quantization)});
}

// An adapter trained on a quantised base has learned to make up for its rounding too.
void say_other_weights(const MergeArguments& arguments) {
  if (!arguments.as_stored() || !std::filesystem::is_directory(arguments.adapter)) return;
  const std::string saw = recorded_quantization(open_adapter_folder(arguments.adapter).file->metadata());
  if (saw.empty()) return;
  say("the adapter was trained on the base quantised to " + saw + ": --quantization " + saw +
      " merges it into those weights, without it it goes into the ones in the base's files");
}

std::string default_type(const MergeArguments& arguments) {
  const bool keep =
      arguments.gguf() && arguments.as_stored() && !std::filesystem::is_directory(arguments.model);
  return keep ? "keep" : "bf16";
}

// What the merge wrote, besides the proof that follows.
GgufReport write_merged(const Decoder& model, const MergeArguments& arguments, const Path& to) {
  const Path base = std::filesystem::weakly_canonical(arguments.model);
  const MergeRecord record{.base = base.filename().string(),
                           .base_weights = arguments.base_weights(),
                           .adapter_sha256 = adapter_hash(arguments.adapter),
                           .chat = trained_template(arguments.adapter, arguments.model)};
  if (!arguments.gguf()) {
    write_hf_folder(model, arguments.model, to, parse_weight_type(arguments.type), &record);
    return {};
  }
  std::optional<GgufTypes> types;
  if (arguments.type != "keep") types = parse_gguf_types(arguments.type);
  return write_gguf_model(model, arguments.model, to, types, &record);
}

void check_type(const MergeArguments& arguments) {
  if (!arguments.gguf())
    parse_weight_type(arguments.type);
  else if (arguments.type != "keep")
    parse_gguf_types(arguments.type);
}

void print_result(const MergeArguments& arguments, const Difference& merged, const Difference& adapter,
                  const GgufReport& report) {
  if (report.other_type > 0)
    say(counted(report.other_type, "tensor") + " in a larger type (" + report.example + ")");
  if (merged.kl > kDearRounding * adapter.kl)
    say("rounding to " + (arguments.type == "keep" ? "the base's own types" : arguments.type) + " costs " +
        format("%.0f %%", 100 * merged.kl / adapter.kl) +
        " of the adapter's effect (KL): a larger --type keeps more");
  if (arguments.json) {
    print_json({{"out", arguments.out},
                {"type", arguments.type},
                {"base_weights", arguments.base_weights()},
                {"positions", merged.positions},
                {"largest_difference", merged.largest},
                {"kl", merged.kl},
                {"adapter_kl", adapter.kl},
                {"top1_agreement", merged.top1}});
    return;
  }
  std::ostringstream line;
  line << arguments.out << ": merged into " << arguments.base_weights()
       << " weights, largest difference of log-probabilities " << merged.largest << ", KL " << merged.kl
       << " (the adapter's own effect: " << adapter.kl << "), same first token at " << 100.0 * merged.top1
       << " % of " << merged.positions << " positions\n";
  print(line.str());
}

}  // namespace

ExitCode run_merge(const std::vector<std::string>& words) {
  std::optional<MergeArguments> arguments = parse(words);
  if (!arguments) return ExitCode::kDone;
  if (arguments->type.empty()) arguments->type = default_type(*arguments);
  check_type(*arguments);
  const OtherBase other = arguments->force ? OtherBase::kWarn : OtherBase::kRefuse;
  std::optional<AdapterShelf> shelf(load_base(*arguments));
  shelf->add(kAdapter, arguments->adapter, 1.0, ZeroAdapter::kRefuse, other);
  say_other_weights(*arguments);
  StagedOutput output(arguments->out);
  const GgufReport report = write_merged(shelf->with(kAdapter), *arguments, output.place());
  check_same_tokenizer(arguments->model, output.place());
  check_not_stopped();

  const Prompts prompts = held_prompts(arguments->model, shelf->with(kAdapter).config);
  const at::Tensor wanted = predictions(shelf->with(kAdapter), prompts);
  const at::Tensor of_base = predictions(shelf->with(AdapterShelf::kNone), prompts);
  const GoldenOrigin origin{.model = shelf->with(AdapterShelf::kNone),
                            .base_path = arguments->model,
                            .weights = arguments->base_weights(),
                            .adapter = arguments->adapter};
  const Golden golden = make_golden(origin, prompts, wanted, of_base);
  check_not_stopped();
  shelf.reset();  // one model in memory at a time
  const at::Tensor got = predictions(load_in_files(output.place()), prompts);
  const Difference merged = compare(wanted, got);
  check_kept(merged, compare(of_base, got), *arguments);
  write_golden(golden, golden_path(output.place()));
  if (arguments->modelfile)
    write_modelfile({.model = output.place(), .from = "./" + output.place().filename().string()},
                    Path(output.place()).replace_extension(".Modelfile"));
  check_not_stopped();
  output.commit();
  print_result(*arguments, merged, compare(wanted, of_base), report);
  return ExitCode::kDone;
}

}  // namespace graft
