#include <ATen/Version.h>
#include <torch/version.h>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/output.h"

namespace graft {

ExitCode run_version(const std::vector<std::string>& arguments) {
  bool json = false;
  Arguments parser({.verb = "version",
                    .synopsis = "[--json]",
                    .about = "Prints the versions of graft, libtorch and the compiler.",
                    .example = "graft version"});
  parser.flag("json", json, "one JSON document instead of lines");
  if (!parser.parse(arguments)) return ExitCode::kDone;

  const Json versions = {
      {"graft", GRAFT_VERSION}, {"libtorch", TORCH_VERSION}, {"compiler", "GCC " __VERSION__}};
  if (json) {
    print_json(versions);
  } else {
    for (const auto& [name, version] : versions.items())
      print(name + " " + version.get<std::string>() + "\n");
  }
  return ExitCode::kDone;
}

}  // namespace graft
