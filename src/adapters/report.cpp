#include "adapters/report.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "adapters/expert_slices.h"
#include "adapters/facts.h"
#include "adapters/spectrum.h"
#include "base/error.h"
#include "base/text.h"
#include "ops/parallel.h"
#include "peft/identity_record.h"

namespace graft {
namespace {

constexpr std::int64_t kWorthAThread = std::int64_t{1} << 20;

ProductReport report_product(const ProductSpectrum& spectrum, double scale) {
  return {.norm = scale * spectrum.norm(),
          .largest = scale * spectrum.singular_values.front(),
          .effective_rank = effective_rank(spectrum.singular_values),
          .rank_99 = rank_of_energy(spectrum.singular_values, 0.99)};
}

ProductReport together(const std::vector<ProductReport>& experts) {
  ProductReport all;
  for (const ProductReport& one : experts) {
    all.norm += one.norm * one.norm;
    all.largest = std::max(all.largest, one.largest);
    all.effective_rank += one.effective_rank / static_cast<double>(experts.size());
    all.rank_99 = std::max(all.rank_99, one.rank_99);
  }
  all.norm = std::sqrt(all.norm);
  return all;
}

ModuleReport report_module(const FactorPair& pair, const Path& where) {
  const Factors whole = read_factors(pair, where);
  ModuleReport report{.module = pair.module,
                      .rank = pair.config_rank,
                      .out = whole.b.size(0),
                      .in = whole.a.size(1),
                      .scale = pair.scale,
                      .product = {},
                      .experts = {}};
  const double scale = std::abs(pair.scale);
  double squares_a = 0.0, squares_b = 0.0;
  for (const Factors& slice : slices_of(whole, {.experts = pair.experts})) {
    const ProductSpectrum spectrum = spectrum_of(slice.a, slice.b);
    squares_a += spectrum.norm_a * spectrum.norm_a;
    squares_b += spectrum.norm_b * spectrum.norm_b;
    report.experts.push_back(report_product(spectrum, scale));
  }
  report.norm_a = std::sqrt(squares_a);
  report.norm_b = std::sqrt(squares_b);
  report.product = together(report.experts);
  if (pair.experts == 1) report.experts.clear();
  return report;
}

TensorReport report_tensor(const TensorView& tensor, const Path& where) {
  TensorReport report{tensor.name, std::string(traits(tensor.dtype).name), tensor.shape};
  if (!holds_floats(tensor.dtype)) return report;
  const ValueScan scan = scan_values(tensor);
  check(scan.all_finite, printable(where.string()), ": ", printable(tensor.name),
        ": holds a value that is not finite");
  report.norm = std::sqrt(scan.squares);
  return report;
}

std::string method_of(const AdapterFacts& facts) {
  if (facts.peft_type != "LORA") return facts.peft_type;
  std::string name = facts.use_rslora ? "rsLoRA" : "LoRA";
  if (facts.use_dora) name = facts.use_rslora ? "DoRA (rsLoRA)" : "DoRA";
  if (!facts.init.empty()) name += " (" + facts.init + ")";
  if (!facts.variant.empty()) name += " (" + facts.variant + ")";
  return name;
}

std::string types_of(const SafetensorsFile& file) {
  std::set<std::string> types;
  for (const TensorView& tensor : file.tensors()) types.emplace(traits(tensor.dtype).name);
  const std::vector<std::string> names(types.begin(), types.end());
  return join(names, " and ");
}

// Reads all that the config and the header say.
AdapterReport report_head(const AdapterFolder& adapter) {
  const JsonView config = adapter.view();
  const AdapterMetadata& metadata = adapter.file->metadata();
  AdapterReport report;
  report.path = adapter.path.string();
  report.peft_type = adapter.peft_type();
  report.method = method_of(facts_of(adapter.config, adapter.file->tensors(), config.where()));
  if (const auto base = config.find("base_model_name_or_path")) report.base_path = base->as_string();
  report.dtype = types_of(*adapter.file);
  report.r = adapter.config.value("r", Json());
  report.alpha = adapter.config.value("lora_alpha", Json());
  report.targets = adapter.config.value("target_modules", Json());
  for (const TensorView& tensor : adapter.file->tensors()) report.parameters += tensor.elements();
  report.bytes = std::filesystem::file_size(adapter.file->path());
  if (const auto hash = metadata.find(kBaseHashKey); hash != metadata.end())
    report.base_sha256 = hash->second;
  report.base_quantization = recorded_quantization(metadata);
  report.recorded_signs = recorded_signs(metadata, adapter.file->path().string());
  return report;
}

}  // namespace

AdapterReport report_adapter(const AdapterFolder& adapter) {
  AdapterReport report = report_head(adapter);
  const Path& where = adapter.file->path();
  if (!adapter.pairs.empty()) check_pairs(adapter, "inspect");
  report.modules.resize(adapter.pairs.size());
  for_rows(std::ssize(adapter.pairs), kWorthAThread, [&](std::int64_t first, std::int64_t last) {
    for (auto i = static_cast<std::size_t>(first); i < static_cast<std::size_t>(last); ++i)
      report.modules[i] = report_module(adapter.pairs[i], where);
  });
  report.changes_nothing = !report.modules.empty();
  for (const ModuleReport& module : report.modules)
    report.changes_nothing = report.changes_nothing && module.norm_b == 0.0;
  for (const TensorView* tensor : adapter.others) report.others.push_back(report_tensor(*tensor, where));
  return report;
}

}  // namespace graft
