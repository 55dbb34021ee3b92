#include <charconv>
#include <cmath>
#include <utility>

#include "adapters/combine.h"
#include "base/console.h"
#include "base/error.h"
#include "base/format.h"
#include "base/text.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/output.h"

namespace graft {
namespace {

struct CombineArguments {
  std::string out, method = "svd", majority = "total";
  std::vector<std::string> adapters;
  std::int64_t rank = 0;
  std::optional<std::string> density;
  std::uint64_t seed = 0;
  bool json = false, force = false;
};

std::optional<CombineArguments> parse(const std::vector<std::string>& words) {
  CombineArguments arguments;
  std::vector<std::string> names;
  for (const CombineMethod& method : combine_methods()) names.push_back(method.name);
  Arguments parser(
      {.verb = "adapter combine",
       .synopsis = "OUT A[:weight] B[:weight]… [--method M]",
       .about =
           "Writes one adapter of several of the same base, as PEFT's add_weighted_adapter does. svd: the "
           "nearest "
           "of rank --rank to the weighted sum; cat: the sum itself, of the sum of the ranks; linear: adds "
           "factors, with cross terms. Others prune (magnitude_prune, ties: the smallest values; dare: "
           "random ones) or elect signs (ties) before they add. A weight is 1 where none is given and may be "
           "negative. Experts that are one parameter are combined one by one. What replaces the base's own "
           "(weights "
           "trained whole, biases, tokens) is averaged: the weights of the adapters that hold it must sum to "
           "1. "
           "IA3: the weighted sum of the vectors. DoRA and VeRA are no sums.",
       .example =
           "graft adapter combine both runs/cooking/adapter:0.7 runs/baking/adapter:0.3 --method cat"});
  parser.option("method", join(names, "|"), arguments.method, "how (svd)");
  parser.option("rank", "N", arguments.rank, "rank of the result, svd methods (the largest of the adapters)");
  parser.option("density", "D", arguments.density, "share of the values that pruning keeps, (0, 1]");
  parser.option("majority", "total|frequency", arguments.majority, "ties: of values or of signs (total)");
  parser.option("seed", "S", arguments.seed, "of dare's random choice (0)");
  parser.flag("force", arguments.force, "combine adapters that were trained on different bases");
  parser.flag("json", arguments.json, "one JSON document instead of a line");
  parser.operand("OUT", arguments.out);
  parser.operands("A[:weight]", arguments.adapters);
  if (!parser.parse(words)) return std::nullopt;
  check(!arguments.adapters.empty(), ExitCode::kUsage, "adapter combine: no adapter",
        Hint{"usage: graft adapter combine OUT A[:weight] B[:weight]…"});
  return arguments;
}

std::optional<double> number_in(const std::string& text) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "path:0.5"; a colon before anything but a number belongs to the path.
WeightedAdapter open_weighted(const std::string& word) {
  const std::size_t colon = word.rfind(':');
  const auto weight = colon == std::string::npos ? std::nullopt : number_in(word.substr(colon + 1));
  check(!weight || std::isfinite(*weight), ExitCode::kUsage, printable(word), ": the weight is not finite");
  return {open_adapter_folder(weight ? word.substr(0, colon) : word), weight.value_or(1.0)};
}

double parse_density(const CombineArguments& arguments, const CombineMethod& method) {
  const bool prunes = method.pruning != Pruning::kNone;
  check(prunes == arguments.density.has_value(), ExitCode::kUsage, "--density: ", method.name,
        prunes ? " needs it: the share of values to keep" : " prunes nothing");
  if (!prunes) return 1.0;
  const auto density = number_in(*arguments.density);
  check(density && *density > 0.0 && *density <= 1.0, ExitCode::kUsage, "--density: got ",
        printable(*arguments.density), ", want (0, 1]");
  return *density;
}

CombineOptions options_of(const CombineArguments& arguments) {
  CombineOptions options{.method = find_combine_method(arguments.method), .rank = arguments.rank};
  check(arguments.rank >= 0 && arguments.rank <= 1 << 16, ExitCode::kUsage, "--rank: got ", arguments.rank,
        ", want 1 to 65536");
  check(arguments.rank == 0 || options.method.domain == MergeDomain::kProduct, ExitCode::kUsage,
        "--rank: ", options.method.name, " has the rank that its adapters give it",
        Hint{"svd and the _svd methods take --rank"});
  const bool frequency = arguments.majority == "frequency";
  check(frequency || arguments.majority == "total", ExitCode::kUsage, "--majority: got ",
        printable(arguments.majority), ", want total or frequency");
  options.density = parse_density(arguments, options.method);
  options.majority = frequency ? MajoritySign::kFrequency : MajoritySign::kTotal;
  options.seed = arguments.seed;
  options.any_base = arguments.force;
  return options;
}

// What a reader should know who expects the weighted sum of the adapters.
void say_distance(const CombineOptions& options, const CombineReport& report) {
  constexpr double kRounding = 1e-5;
  if (report.distance <= kRounding) return;
  const std::string percent = format("%.3g %%", 100.0 * report.distance);
  if (options.method.name == "linear")
    warn("linear adds A and B each for themselves: cross terms B_i A_j make the result differ by " + percent +
         " from the weighted sum of the adapters; --method cat has none, svd fewer");
  else if (options.method.name == "svd")
    say("the result differs by " + percent + " from the weighted sum; a larger --rank keeps more, cat all");
}

}  // namespace

ExitCode run_adapter_combine(const std::vector<std::string>& words) {
  const std::optional<CombineArguments> arguments = parse(words);
  if (!arguments) return ExitCode::kDone;
  const CombineOptions options = options_of(*arguments);
  std::vector<WeightedAdapter> adapters;
  for (const std::string& word : arguments->adapters) adapters.push_back(open_weighted(word));
  const CombineReport report = combine_adapters(adapters, options, arguments->out);
  say_distance(options, report);
  if (arguments->json) {
    print_json({{"out", arguments->out},
                {"method", options.method.name},
                {"r", report.rank},
                {"modules", report.modules},
                {"distance_from_sum", report.distance}});
    return ExitCode::kDone;
  }
  if (report.rank == 0) {
    print(arguments->out + ": weighted sum of " + counted(std::ssize(adapters), "adapter") + ", " +
          counted(report.modules, "vector") + "\n");
    return ExitCode::kDone;
  }
  print(arguments->out + ": " + options.method.name + " of " + counted(std::ssize(adapters), "adapter") +
        ", rank " + std::to_string(report.rank) + " on " + counted(report.modules, "module") +
        format(", %.3g %% from the weighted sum\n", 100.0 * report.distance));
  return ExitCode::kDone;
}

}  // namespace graft
