#include <optional>

#include "adapters/rename.h"
#include "base/console.h"
#include "base/error.h"
#include "base/format.h"
#include "base/text.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/output.h"

namespace graft {

ExitCode run_adapter_rename(const std::vector<std::string>& words) {
  std::string folder, out;
  std::optional<std::string> from, to;
  bool json = false;
  Arguments parser(
      {.verb = "adapter rename",
       .synopsis = "A --out OUT [--from P --to Q]",
       .about =
           "Writes an adapter with the names that PEFT gives its tensors: one base_model.model. in front, no "
           "name "
           "of the adapter, no prefix of a wrapper (torch.compile, DataParallel, FSDP). --from and --to also "
           "replace the start of the modules' paths. Config and record of the base follow.",
       .example =
           "graft adapter rename vlm-adapter --from model.language_model --to model --out text-adapter"});
  parser.option("out", "OUT", out, "the new folder", Need::kRequired);
  parser.option("from", "P", from,
                "start of paths, whole parts (\"model.language_model\"); empty: all paths");
  parser.option("to", "Q", to, "what stands there instead; empty: nothing");
  parser.flag("json", json, "one JSON document instead of lines");
  parser.operand("A", folder);
  if (!parser.parse(words)) return ExitCode::kDone;
  check(from.has_value() == to.has_value(), ExitCode::kUsage, "--", from ? "to" : "from", " is missing",
        Hint{"--from and --to go together"});

  std::optional<PrefixChange> change;
  if (from) change = PrefixChange{*from, *to};
  const RenamedKeys renamed = rename_adapter(open_adapter_folder(folder), change, out);
  if (json) {
    Json rows = Json::object();
    for (const auto& [before, after] : renamed) rows[before] = after;
    print_json({{"out", out}, {"renamed", rows}});
    return ExitCode::kDone;
  }
  if (!renamed.empty())
    print(printable(renamed.front().first) + "\n  -> " + printable(renamed.front().second) + "\n");
  else
    warn(folder + ": every name was in order already");
  print(out + ": " + counted(std::ssize(renamed), "name") + " changed\n");
  return ExitCode::kDone;
}

}  // namespace graft
