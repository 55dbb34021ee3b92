#include "adapters/recast.h"
#include "adapters/writer.h"
#include "base/format.h"
#include "base/text.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/output.h"

namespace graft {

ExitCode run_adapter_cast(const std::vector<std::string>& words) {
  std::string folder, out, type;
  bool json = false;
  Arguments parser({.verb = "adapter cast",
                    .synopsis = "A --dtype f32|bf16|f16 --out OUT",
                    .about = "Writes an adapter with its numbers in another type, each rounded once.",
                    .example = "graft adapter cast runs/cooking/adapter --dtype bf16 --out small"});
  parser.option("dtype", "f32|bf16|f16", type, "the new type", Need::kRequired);
  parser.option("out", "OUT", out, "the new folder", Need::kRequired);
  parser.flag("json", json, "one JSON document instead of a line");
  parser.operand("A", folder);
  if (!parser.parse(words)) return ExitCode::kDone;

  const DType dtype = parse_float_type(type);
  const CastReport report = cast_adapter(open_adapter_folder(folder), dtype, out);
  if (json) {
    print_json({{"out", out},
                {"dtype", traits(dtype).name},
                {"bytes_before", report.bytes_before},
                {"bytes_after", report.bytes_after},
                {"rms_change", report.rms_change}});
    return ExitCode::kDone;
  }
  print(out + ": " + format_bytes(report.bytes_before) + " -> " + format_bytes(report.bytes_after) +
        ", rounding changed the numbers by " + format("%.2g", report.rms_change) + " of their size (rms)\n");
  return ExitCode::kDone;
}

}  // namespace graft
