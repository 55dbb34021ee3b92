#include <filesystem>
#include <sstream>

#include "base/error.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "export/hf_folder.h"

namespace graft {

ExitCode run_convert(const std::vector<std::string>& words) {
  std::string model, out, type_name = "bf16";
  bool json = false;
  Arguments parser(
      {.verb = "convert",
       .synopsis = "--model M.gguf --out DIR [--type bf16|f32]",
       .about = "Writes a GGUF base as a Hugging Face folder, loads it again and compares its predictions.",
       .example = "graft convert --model SmolLM2-135M-Instruct.Q4_1.gguf --out models/smollm2"});
  parser.option("model", "M.gguf", model, "the base", Need::kRequired);
  parser.option("out", "DIR", out, "the new folder", Need::kRequired);
  parser.option("type", "bf16|f32", type_name, "how the weights are stored (bf16)");
  parser.flag("json", json, "one JSON document instead of a line");
  if (!parser.parse(words)) return ExitCode::kDone;

  const WeightType type = parse_weight_type(type_name);
  check(!std::filesystem::exists(out), ExitCode::kUsage, out, ": exists already");
  // In bf16 the weights are rounded as they are decoded: the same single rounding, in half the memory.
  const ComputeDType compute = type == WeightType::kBF16 ? ComputeDType::kBF16 : ComputeDType::kF32;
  const Decoder decoder = load_model({.path = model, .dtype = compute});
  const Proof proof = write_hf_folder(decoder, model, out, type);
  if (json) {
    print_json({{"out", out},
                {"type", type_name},
                {"positions", proof.positions},
                {"largest_difference", proof.largest_difference}});
    return ExitCode::kDone;
  }
  std::ostringstream line;
  line << out << ": largest difference of log-probabilities " << proof.largest_difference << " at "
       << proof.positions << " positions\n";
  print(line.str());
  return ExitCode::kDone;
}

}  // namespace graft
