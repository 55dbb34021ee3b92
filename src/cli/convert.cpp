#include <filesystem>
#include <optional>
#include <sstream>

#include "base/console.h"
#include "base/error.h"
#include "base/format.h"
#include "base/signals.h"
#include "base/staged_output.h"
#include "base/text.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/held_prompts.h"
#include "cli/output.h"
#include "evaluate/compare.h"
#include "export/gguf_model.h"
#include "export/hf_folder.h"
#include "export/modelfile.h"
#include "model/load_in_files.h"

namespace graft {
namespace {

struct ConvertArguments {
  std::string model, out, format, type = "bf16";
  bool modelfile = false, json = false;
};

ExitCode convert_to_folder(const ConvertArguments& arguments) {
  const WeightType type = parse_weight_type(arguments.type);
  const Decoder decoder = load_in_files(arguments.model);
  const Proof proof = write_hf_folder(decoder, arguments.model, arguments.out, type);
  if (arguments.json) {
    print_json({{"out", arguments.out},
                {"type", arguments.type},
                {"positions", proof.positions},
                {"largest_difference", proof.largest_difference}});
    return ExitCode::kDone;
  }
  std::ostringstream line;
  line << arguments.out << ": largest difference of log-probabilities " << proof.largest_difference << " at "
       << proof.positions << " positions\n";
  print(line.str());
  return ExitCode::kDone;
}

// 4 bits cost a small model some tenths of a nat; a wrong tensor costs several.
constexpr double kLargestKl = 1.5;

void print_gguf(const ConvertArguments& arguments, const Difference& difference, const GgufReport& report) {
  if (report.other_type > 0)
    say(counted(report.other_type, "tensor") + " in a larger type (" + report.example + ")");
  if (arguments.json) {
    print_json({{"out", arguments.out},
                {"type", arguments.type},
                {"positions", difference.positions},
                {"largest_difference", difference.largest},
                {"kl", difference.kl},
                {"top1_agreement", difference.top1}});
    return;
  }
  std::ostringstream line;
  line << arguments.out << ": largest difference of log-probabilities " << difference.largest << ", KL "
       << difference.kl << ", same first token at " << 100.0 * difference.top1 << " % of "
       << difference.positions << " positions\n";
  print(line.str());
}

ExitCode convert_to_gguf(const ConvertArguments& arguments) {
  const GgufTypes& types = parse_gguf_types(arguments.type);
  std::optional<Decoder> model = load_in_files(arguments.model);
  StagedOutput output(arguments.out);
  const GgufReport report = write_gguf_model(*model, arguments.model, output.place(), types);
  check_same_tokenizer(arguments.model, output.place());
  const Prompts prompts = held_prompts(arguments.model, model->config);
  const at::Tensor wanted = predictions(*model, prompts);
  check_not_stopped();
  model.reset();  // one model in memory at a time
  const Difference difference = compare(wanted, predictions(load_in_files(output.place()), prompts));
  // The negation also catches a divergence that is no number.
  if (!(difference.kl <= kLargestKl))
    fail(ExitCode::kInternal, arguments.out, ": differs from the model it was made of (KL ", difference.kl,
         ", want at most ", kLargestKl, ")");
  if (arguments.modelfile)
    write_modelfile({.model = output.place(), .from = "./" + output.place().filename().string()},
                    Path(output.place()).replace_extension(".Modelfile"));
  check_not_stopped();
  output.commit();
  print_gguf(arguments, difference, report);
  return ExitCode::kDone;
}

}  // namespace

ExitCode run_convert(const std::vector<std::string>& words) {
  ConvertArguments arguments;
  Arguments parser(
      {.verb = "convert",
       .synopsis = "--model M --out DIR|FILE.gguf [--type T]",
       .about = "Writes a GGUF base as a Hugging Face folder, or any base as a GGUF file; loads it again and "
                "compares "
                "its predictions.",
       .example = "graft convert --model models/SmolLM2-135M-Instruct --out smollm2.gguf --type q8_0"});
  parser.option("model", "M", arguments.model, "the base: Hugging Face folder or .gguf file",
                Need::kRequired);
  parser.option("out", "DIR|FILE", arguments.out, "the new folder or GGUF file", Need::kRequired);
  parser.option("format", "hf|gguf", arguments.format, "what to write (gguf where --out ends in .gguf)");
  parser.option("type", "T", arguments.type,
                "how the weights are stored: bf16, f16 or f32; a GGUF also q8_0, q4_0, q4_k or q6_k (bf16)");
  parser.flag("modelfile", arguments.modelfile, "write Ollama's Modelfile beside a GGUF");
  parser.flag("json", arguments.json, "one JSON document instead of a line");
  if (!parser.parse(words)) return ExitCode::kDone;
  if (arguments.format.empty()) arguments.format = arguments.out.ends_with(".gguf") ? "gguf" : "hf";
  const bool gguf = arguments.format == "gguf";
  check(gguf || arguments.format == "hf", ExitCode::kUsage, "--format: got ", printable(arguments.format),
        ", want hf or gguf");
  check(gguf || !arguments.modelfile, ExitCode::kUsage, "--modelfile: want --format gguf beside it");
  check(!std::filesystem::exists(arguments.out), ExitCode::kUsage, arguments.out, ": exists already");
  return gguf ? convert_to_gguf(arguments) : convert_to_folder(arguments);
}

}  // namespace graft
