#include <filesystem>
#include <optional>
#include <sstream>

#include "adapters/rename.h"
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
#include "export/gguf_lora.h"
#include "export/modelfile.h"
#include "export/portable.h"
#include "model/base_outline.h"
#include "model/load_in_files.h"
#include "peft/adapter_set.h"

namespace graft {
namespace {

struct ExportArguments {
  std::string model, adapter, to, out, type = "f32";
  std::string place;  ///< where it is made until it is proven
  bool modelfile = false, json = false;
};

// What base, adapter and what became of it predict.
struct ExportProof {
  Golden golden;
  Difference exported, adapter;  ///< from base and adapter: the file that was written, the base alone

  Json json() const {
    return {{"positions", exported.positions},
            {"largest_difference", exported.largest},
            {"kl", exported.kl},
            {"adapter_kl", adapter.kl},
            {"top1_agreement", exported.top1}};
  }
};

/// Predictions before anything is written, and of what was.
class ExportProver {
 public:
  explicit ExportProver(const ExportArguments& arguments)
      : arguments_(arguments),
        base_(load_in_files(arguments.model)),
        prompts_(held_prompts(arguments.model, base_.config)),
        of_base_(predictions(base_, prompts_)) {
    Decoder adapted = base_;
    load_adapter(adapted, arguments.adapter, ZeroAdapter::kRefuse);
    wanted_ = predictions(adapted, prompts_);
  }

  // Reads the written file again. It replaces the adapter, so it must not be nearer to the bare base.
  ExportProof prove() const {
    Decoder exported = base_;
    load_adapter(exported, arguments_.place, ZeroAdapter::kAccept);
    const at::Tensor got = predictions(exported, prompts_);
    const GoldenOrigin origin{.model = base_,
                              .base_path = arguments_.model,
                              .weights = weights_word(arguments_.model),
                              .adapter = arguments_.place};
    ExportProof proof{make_golden(origin, prompts_, wanted_, of_base_), compare(wanted_, got),
                      compare(wanted_, of_base_)};
    check(proof.exported.rms < compare(of_base_, got).rms, ExitCode::kNumerics, arguments_.out,
          ": what was written lost the adapter: it differs from base and adapter by ", proof.exported.rms,
          " (rms)", Hint{"its effect is smaller than the rounding of its numbers: use --type f32"});
    return proof;
  }

 private:
  const ExportArguments& arguments_;
  Decoder base_;
  Prompts prompts_;
  at::Tensor of_base_, wanted_;  // [T,V]
};

// An adapter whose predictions are recorded predicts the same in another form.
void carry_golden(const ExportArguments& arguments) {
  const Path recorded = golden_path(arguments.adapter);
  if (!std::filesystem::exists(recorded)) {
    say("no golden.json: --model is missing, and there is none beside the adapter");
    return;
  }
  Golden golden = read_golden(recorded);
  if (golden.adapter_sha256 != adapter_hash(arguments.adapter)) {
    warn(recorded.string() + ": of another adapter than the one beside it; not copied");
    return;
  }
  golden.adapter_sha256 = adapter_hash(arguments.place);
  write_golden(golden, golden_path(arguments.place));
}

Json export_gguf(const ExportArguments& arguments, const AdapterFolder& adapter) {
  const DType type = parse_lora_type(arguments.type);
  const LoraExport report =
      write_gguf_lora(outline_model({.path = arguments.model}).model, adapter, arguments.place, type);
  if (!arguments.json)
    print(arguments.out + ": " + counted(report.modules, "module") +
          format(", adapter.lora.alpha %g", report.alpha) +
          format(", differs from the adapter by %.2g of its size\n", report.difference));
  return {{"out", arguments.out},
          {"type", arguments.type},
          {"modules", report.modules},
          {"alpha", report.alpha},
          {"largest_difference", report.difference}};
}

Json export_portable(const ExportArguments& arguments, const AdapterFolder& adapter) {
  const PortableExport report = write_portable(adapter, arguments.place);
  if (!arguments.json)
    print(arguments.out + ": " + counted(report.modules, "module") + " of rank " +
          std::to_string(report.rank) + ", scale 1" +
          (report.exact ? ", no number rounded\n" : ", each number of B rounded once\n"));
  return {
      {"out", arguments.out}, {"modules", report.modules}, {"rank", report.rank}, {"exact", report.exact}};
}

Json export_peft(const ExportArguments& arguments, const AdapterFolder& adapter) {
  const RenamedKeys renamed = rename_adapter(adapter, std::nullopt, arguments.place);
  if (!arguments.json) print(arguments.out + ": " + counted(std::ssize(renamed), "key") + " renamed\n");
  return {{"out", arguments.out}, {"renamed", renamed.size()}};
}

Json export_adapter(const ExportArguments& arguments, const AdapterFolder& adapter) {
  if (arguments.to == "gguf-lora") return export_gguf(arguments, adapter);
  return arguments.to == "portable" ? export_portable(arguments, adapter) : export_peft(arguments, adapter);
}

// For Ollama: the adapter over its base, which stays where it is.
void write_adapter_modelfile(const ExportArguments& arguments) {
  const Path out(arguments.out), place(arguments.place);
  const Path base = std::filesystem::proximate(arguments.model, std::filesystem::absolute(out).parent_path());
  const bool named = base.is_absolute() || *base.begin() == "..";
  write_modelfile({.model = arguments.model,
                   .from = named ? base.string() : "./" + base.string(),
                   .adapter = "./" + out.filename().string(),
                   .chat = trained_template(arguments.adapter, arguments.model)},
                  Path(place).replace_extension(".Modelfile"));
}

void report_proof(const ExportArguments& arguments, const ExportProof& proof, Json& report) {
  report["proof"] = proof.json();
  if (arguments.json) return;
  std::ostringstream line;
  line << "read again: largest difference of log-probabilities " << proof.exported.largest << ", KL "
       << proof.exported.kl << " (the adapter's own effect: " << proof.adapter.kl << "), same first token at "
       << 100.0 * proof.exported.top1 << " % of " << proof.exported.positions << " positions\n";
  print(line.str());
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
           "same in PEFT, vLLM and llama.cpp. gguf-lora: a file for `llama-cli --lora`, with true scales. "
           "With "
           "--model, what was written is read again and compared with base and adapter; their predictions "
           "are kept in golden.json (OUT.golden.json beside a file) for `score --golden`.",
       .example = "graft export --adapter runs/cooking/adapter --model models/SmolLM2-135M-Instruct --to "
                  "gguf-lora --out cooking.gguf"});
  parser.option("adapter", "A", arguments.adapter, "adapter folder", Need::kRequired);
  parser.option("to", "peft|portable|gguf-lora", arguments.to, "what to write", Need::kRequired);
  parser.option("out", "OUT", arguments.out, "the new folder or file", Need::kRequired);
  parser.option("model", "M", arguments.model,
                "the base: Hugging Face folder or .gguf file (required by gguf-lora)");
  parser.option("type", "f32|f16|bf16|q8_0", arguments.type, "how a GGUF LoRA stores its numbers (f32)");
  parser.flag("modelfile", arguments.modelfile,
              "write Ollama's Modelfile beside a GGUF LoRA: base and ADAPTER");
  parser.flag("json", arguments.json, "one JSON document instead of a line");
  if (!parser.parse(words)) return ExitCode::kDone;
  check(!std::filesystem::exists(arguments.out), ExitCode::kUsage, arguments.out, ": exists already");
  const bool gguf = arguments.to == "gguf-lora", portable = arguments.to == "portable";
  check(gguf || portable || arguments.to == "peft", ExitCode::kUsage, "--to: got ", printable(arguments.to),
        ", want peft, portable or gguf-lora");
  if (gguf) parse_lora_type(arguments.type);
  check(gguf || !arguments.modelfile, ExitCode::kUsage, "--modelfile: want --to gguf-lora beside it");
  check(!gguf || !arguments.model.empty(), ExitCode::kUsage,
        "--model: missing: a GGUF LoRA names its base's tensors");
  const AdapterFolder adapter = open_adapter_folder(arguments.adapter);
  std::optional<ExportProver> prover;
  if (!arguments.model.empty()) prover.emplace(arguments);
  StagedOutput output(arguments.out);
  arguments.place = output.place().string();
  Json report = export_adapter(arguments, adapter);
  if (arguments.modelfile) write_adapter_modelfile(arguments);
  if (prover) {
    const ExportProof proof = prover->prove();
    write_golden(proof.golden, golden_path(arguments.place));
    report_proof(arguments, proof, report);
  } else {
    carry_golden(arguments);
  }
  check_not_stopped();
  output.commit();
  if (arguments.json) print_json(report);
  return ExitCode::kDone;
}

}  // namespace graft
