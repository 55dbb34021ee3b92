#include <filesystem>

#include "base/error.h"
#include "base/format.h"
#include "base/text.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "export/gguf_lora.h"
#include "export/portable.h"
#include "model/base_outline.h"
#include "peft/rename.h"

namespace graft {
namespace {

struct ExportArguments {
  std::string model, adapter, to, out, type = "f32";
  bool json = false;
};

ExitCode export_gguf(const ExportArguments& arguments, const AdapterFolder& adapter) {
  const DType type = parse_lora_type(arguments.type);
  check(!arguments.model.empty(), ExitCode::kUsage, "--model: missing: a GGUF LoRA names its base's tensors");
  const LoraExport report =
      write_gguf_lora(outline_model({.path = arguments.model}).model, adapter, arguments.out, type);
  if (arguments.json)
    print_json({{"out", arguments.out},
                {"type", arguments.type},
                {"modules", report.modules},
                {"alpha", report.alpha},
                {"largest_difference", report.difference}});
  else
    print(arguments.out + ": " + counted(report.modules, "module") +
          format(", adapter.lora.alpha %g", report.alpha) +
          format(", differs from the adapter by %.2g of its size\n", report.difference));
  return ExitCode::kDone;
}

ExitCode export_portable(const ExportArguments& arguments, const AdapterFolder& adapter) {
  const PortableExport report = write_portable(adapter, arguments.out);
  if (arguments.json)
    print_json({{"out", arguments.out},
                {"modules", report.modules},
                {"rank", report.rank},
                {"exact", report.exact}});
  else
    print(arguments.out + ": " + counted(report.modules, "module") + " of rank " +
          std::to_string(report.rank) + ", scale 1" +
          (report.exact ? ", no number rounded\n" : ", each number of B rounded once\n"));
  return ExitCode::kDone;
}

ExitCode export_peft(const ExportArguments& arguments, const AdapterFolder& adapter) {
  const RenamedKeys renamed = rename_adapter(adapter, std::nullopt, arguments.out);
  if (arguments.json)
    print_json({{"out", arguments.out}, {"renamed", renamed.size()}});
  else
    print(arguments.out + ": " + counted(std::ssize(renamed), "key") + " renamed\n");
  return ExitCode::kDone;
}

}  // namespace

ExitCode run_export(const std::vector<std::string>& words) {
  ExportArguments arguments;
  Arguments parser(
      {.verb = "export",
       .synopsis = "--adapter A --to peft|portable|gguf-lora --out OUT [--model M]",
       .about =
           "Writes an adapter for another program. peft: PEFT's own form. portable: one rank, scale 1, no "
           "patterns: the "
           "same in PEFT, vLLM and llama.cpp. gguf-lora: a file for `llama-cli --lora`, with true scales.",
       .example = "graft export --adapter runs/cooking/adapter --model models/SmolLM2-135M-Instruct --to "
                  "gguf-lora --out cooking.gguf"});
  parser.option("adapter", "A", arguments.adapter, "adapter folder", Need::kRequired);
  parser.option("to", "peft|portable|gguf-lora", arguments.to, "what to write", Need::kRequired);
  parser.option("out", "OUT", arguments.out, "the new folder or file", Need::kRequired);
  parser.option("model", "M", arguments.model, "the base: Hugging Face folder or .gguf file (gguf-lora)");
  parser.option("type", "f32|f16|bf16|q8_0", arguments.type, "how a GGUF LoRA stores its numbers (f32)");
  parser.flag("json", arguments.json, "one JSON document instead of a line");
  if (!parser.parse(words)) return ExitCode::kDone;
  check(!std::filesystem::exists(arguments.out), ExitCode::kUsage, arguments.out, ": exists already");
  const bool gguf = arguments.to == "gguf-lora", portable = arguments.to == "portable";
  check(gguf || portable || arguments.to == "peft", ExitCode::kUsage, "--to: got ", printable(arguments.to),
        ", want peft, portable or gguf-lora");
  const AdapterFolder adapter = open_adapter_folder(arguments.adapter);
  return gguf       ? export_gguf(arguments, adapter)
         : portable ? export_portable(arguments, adapter)
                    : export_peft(arguments, adapter);
}

}  // namespace graft
