#include <algorithm>
#include <numeric>

#include "adapters/resize.h"
#include "base/error.h"
#include "base/format.h"
#include "base/text.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/output.h"

namespace graft {
namespace {

void print_lines(const std::vector<ResizedModule>& modules, const std::string& out, std::int64_t rank) {
  const auto worst = std::min_element(modules.begin(), modules.end(),
                                      [](const auto& x, const auto& y) { return x.kept < y.kept; });
  const double sum =
      std::accumulate(modules.begin(), modules.end(), 0.0,
                      [](double all, const ResizedModule& module) { return all + module.kept; });
  for (const ResizedModule& module : modules)
    if (module.from > rank)
      print(format("%6.2f %%  ", 100.0 * module.kept) + printable(module.module) + "  " +
            std::to_string(module.from) + " -> " + std::to_string(rank) + "\n");
  print(out + ": rank " + std::to_string(rank) + " on " + counted(std::ssize(modules), "module") +
        ", energy of B A kept: mean " + format("%.2f", 100.0 * sum / static_cast<double>(modules.size())) +
        " %, least " + format("%.2f", 100.0 * worst->kept) + " % (" + printable(worst->module) + ")\n");
}

}  // namespace

ExitCode run_adapter_resize(const std::vector<std::string>& words) {
  std::string folder, out;
  std::int64_t rank = 0;
  bool json = false;
  Arguments parser(
      {.verb = "adapter resize",
       .synopsis = "A --r N --out OUT",
       .about = "Writes an adapter with another rank. A larger one is exact (zeros); a smaller "
                "one keeps the largest "
                "singular values of B A of every module, and of every expert where they are one parameter. "
                "Scales stay what they are.",
       .example = "graft adapter resize runs/cooking/adapter --r 8 --out small"});
  parser.option("r", "N", rank, "the new rank of all modules");
  parser.option("out", "OUT", out, "the new folder", Need::kRequired);
  parser.flag("json", json, "one JSON document instead of lines");
  parser.operand("A", folder);
  if (!parser.parse(words)) return ExitCode::kDone;
  constexpr std::int64_t kLargest = 1 << 16;
  check(rank >= 1 && rank <= kLargest, ExitCode::kUsage, "--r: got ", rank, ", want 1 to ", kLargest);

  const std::vector<ResizedModule> modules = resize_adapter(open_adapter_folder(folder), rank, out);
  if (!json) {
    print_lines(modules, out, rank);
    return ExitCode::kDone;
  }
  Json rows = Json::array();
  for (const ResizedModule& module : modules)
    rows.push_back({{"module", module.module}, {"from", module.from}, {"kept", module.kept}});
  print_json({{"out", out}, {"r", rank}, {"modules", rows}});
  return ExitCode::kDone;
}

}  // namespace graft
