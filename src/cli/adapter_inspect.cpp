#include <algorithm>

#include "adapters/report.h"
#include "base/format.h"
#include "base/text.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/output.h"

namespace graft {
namespace {

void add_product(const ProductReport& product, Json& row) {
  row["norm"] = product.norm;
  row["largest_singular_value"] = product.largest;
  row["effective_rank"] = product.effective_rank;
  row["rank_99"] = product.rank_99;
}

Json to_json(const ModuleReport& module) {
  Json row = {{"module", module.module},          {"rank", module.rank},     {"scale", module.scale},
              {"shape", {module.out, module.in}}, {"norm_a", module.norm_a}, {"norm_b", module.norm_b}};
  add_product(module.product, row);
  for (const ProductReport& expert : module.experts) add_product(expert, row["experts"].emplace_back());
  return row;
}

Json to_json(const AdapterReport& report) {
  Json modules = Json::array(), others = Json::array();
  for (const ModuleReport& module : report.modules) modules.push_back(to_json(module));
  for (const TensorReport& tensor : report.others)
    others.push_back(
        {{"name", tensor.name}, {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"norm", tensor.norm}});
  return {{"adapter", report.path},
          {"method", report.method},
          {"peft_type", report.peft_type},
          {"r", report.r},
          {"lora_alpha", report.alpha},
          {"target_modules", report.targets},
          {"dtype", report.dtype},
          {"parameters", report.parameters},
          {"bytes", report.bytes},
          {"changes_nothing", report.changes_nothing},
          {"base",
           {{"path", report.base_path},
            {"sha256", report.base_sha256 ? Json(*report.base_sha256) : Json()},
            {"quantization", report.base_quantization.empty() ? Json() : Json(report.base_quantization)},
            {"recorded_signs", report.recorded_signs ? Json(*report.recorded_signs) : Json()}}},
          {"modules", modules},
          {"others", others}};
}

std::string base_text(const AdapterReport& report) {
  std::string text = report.base_path.empty() ? "not named" : printable(report.base_path);
  if (report.base_sha256) text += ", weights sha256 " + report.base_sha256->substr(0, 12) + "…";
  if (!report.base_quantization.empty()) text += ", quantised to " + report.base_quantization;
  if (report.recorded_signs) text += ", fingerprint of " + counted(*report.recorded_signs, "weight");
  return text;
}

void print_head(const AdapterReport& report) {
  print("adapter  " + report.path + "\n");
  print("method   " + report.method);
  if (!report.r.is_null()) print(", r " + to_text(report.r) + ", alpha " + to_text(report.alpha));
  if (!report.modules.empty()) print(" on " + counted(std::ssize(report.modules), "module"));
  print("\ntargets  " + printable(to_text(report.targets), 400) + "\n");
  print("base     " + base_text(report) + "\n");
  print("size     " + format_count(report.parameters) + " parameters, " + report.dtype + ", " +
        format_bytes(report.bytes) + "\n");
  if (report.changes_nothing) print("effect   none: every B is zero\n");
}

std::string name_of(const ModuleReport& module) {
  const std::string experts =
      module.experts.empty() ? "" : " (" + std::to_string(module.experts.size()) + " experts)";
  return printable(module.module) + experts;
}

void print_modules(const AdapterReport& report) {
  if (report.modules.empty()) return;
  std::size_t width = 6;
  for (const ModuleReport& module : report.modules) width = std::max(width, name_of(module).size());
  const auto name = [&](const std::string& text) { return text + std::string(width - text.size(), ' '); };
  print("\n" + name("module") +
        "  rank     scale       |A|       |B|    |sBA|  largest  eff. rank  rank 99 %\n");
  for (const ModuleReport& row : report.modules) {
    print(name(name_of(row)) + format("  %4lld  %8.4g  %8.4g  %8.4g", static_cast<long long>(row.rank),
                                      row.scale, row.norm_a, row.norm_b));
    print(format(" %8.4g %8.4g  %9.1f  %9lld\n", row.product.norm, row.product.largest,
                 row.product.effective_rank, static_cast<long long>(row.product.rank_99)));
  }
}

void print_others(const AdapterReport& report) {
  if (!report.others.empty()) print("\nother tensors\n");
  for (const TensorReport& tensor : report.others)
    print(printable(tensor.name) + "  " + tensor.dtype + " " + to_text(tensor.shape) + "  norm " +
          format("%.4g", tensor.norm) + "\n");
}

}  // namespace

ExitCode run_adapter_inspect(const std::vector<std::string>& words) {
  std::string folder;
  bool json = false;
  Arguments parser(
      {.verb = "adapter inspect",
       .synopsis = "A [--json]",
       .about =
           "Says what an adapter is: method, rank, scales, targets, base, size; and of every module the "
           "Frobenius norms of A, B and scale B A, the largest singular value of scale B A, its effective "
           "rank (exp of the entropy of the singular values) and how many of them hold 99 % of its energy. "
           "Of experts in one parameter: the rank of one, the norms of all, the mean effective rank; --json "
           "has "
           "each.",
       .example = "graft adapter inspect runs/cooking/adapter"});
  parser.flag("json", json, "one JSON document instead of a table");
  parser.operand("A", folder);
  if (!parser.parse(words)) return ExitCode::kDone;

  const AdapterReport report = report_adapter(open_adapter_folder(folder));
  if (json) {
    print_json(to_json(report));
    return ExitCode::kDone;
  }
  print_head(report);
  print_modules(report);
  print_others(report);
  return ExitCode::kDone;
}

}  // namespace graft
