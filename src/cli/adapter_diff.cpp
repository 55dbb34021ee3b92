#include <algorithm>

#include "adapters/difference.h"
#include "base/format.h"
#include "base/text.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/output.h"

namespace graft {
namespace {

// Of the larger of both; 0 where both are nothing.
double relative(const ProductDifference& of) {
  const double size = std::max(of.norm_first, of.norm_second);
  return size > 0.0 ? of.norm / size : 0.0;
}

Json to_json(const ProductDifference& of) {
  return {{"norm_a", of.norm_first},
          {"norm_b", of.norm_second},
          {"difference", of.norm},
          {"relative", relative(of)},
          {"cosine", of.cosine}};
}

Json to_json(const AdapterDifference& difference) {
  Json modules = Json::array(), others = Json::array();
  for (const TensorDifference& tensor : difference.other_tensors) {
    Json& row = others.emplace_back(Json{{"name", tensor.name}});
    if (tensor.of) row.update(to_json(*tensor.of));
  }
  for (const ModuleDifference& module : difference.modules) {
    Json row = {{"module", module.module}};
    row.update(to_json(module.of));
    modules.push_back(row);
  }
  return {{"total", to_json(difference.total)},
          {"modules", modules},
          {"only_a", difference.only_first},
          {"only_b", difference.only_second},
          {"other_tensors", others}};
}

std::string numbers(const ProductDifference& of) {
  return format("  %9.4g  %9.4g  %10.4g  %7.2f %%  %7.4f\n", of.norm_first, of.norm_second, of.norm,
                100.0 * relative(of), of.cosine);
}

void print_table(const AdapterDifference& difference) {
  std::size_t width = 6;
  for (const ModuleDifference& module : difference.modules)
    width = std::max(width, printable(module.module).size());
  const auto name = [&](const std::string& text) { return text + std::string(width - text.size(), ' '); };
  print(name("module") + "        |A|        |B|  difference   relative   cosine\n");
  for (const ModuleDifference& module : difference.modules)
    print(name(printable(module.module)) + numbers(module.of));
  print(name("all") + numbers(difference.total));
  for (const std::string& module : difference.only_first) print("only in A: " + printable(module) + "\n");
  for (const std::string& module : difference.only_second) print("only in B: " + printable(module) + "\n");
  for (const TensorDifference& tensor : difference.other_tensors)
    print("differs: " + printable(tensor.name) + (tensor.of ? numbers(*tensor.of) : std::string("\n")));
}

}  // namespace

ExitCode run_adapter_diff(const std::vector<std::string>& words) {
  std::string first, second;
  bool json = false;
  Arguments parser(
      {.verb = "adapter diff",
       .synopsis = "A B [--json]",
       .about = "Compares what two adapters add to a base: the Frobenius norms of their scale B A, of the "
                "difference, and the cosine between them, per module and in all; ranks may differ. Of "
                "tensors that are "
                "no factors (magnitudes, vectors, weights trained whole) the same, where they differ.",
       .example = "graft adapter diff runs/cooking/checkpoints/step-000100/adapter runs/cooking/adapter"});
  parser.flag("json", json, "one JSON document instead of a table");
  parser.operand("A", first);
  parser.operand("B", second);
  if (!parser.parse(words)) return ExitCode::kDone;

  const AdapterDifference difference =
      compare_adapters(open_adapter_folder(first), open_adapter_folder(second));
  if (json) {
    Json document = {{"a", first}, {"b", second}};
    document.update(to_json(difference));
    print_json(document);
  } else {
    print_table(difference);
  }
  return ExitCode::kDone;
}

}  // namespace graft
