#include "cli/portability_report.h"

#include <algorithm>

#include "base/text.h"

namespace graft {

std::vector<Verdict> verdicts_of(const AdapterFacts& facts, const std::string& names,
                                 const LoaderLimits& limits, const std::string& adapter) {
  std::vector<Verdict> verdicts;
  const auto add = [&](Loader loader) {
    verdicts.push_back({loader, judge(facts, loader, limits, adapter)});
  };
  if (names.empty())
    for (const Loader loader : kLoaders) add(loader);
  else
    for (const std::string& name : split(names, ',')) add(find_loader(name));
  return verdicts;
}

std::string verdicts_text(const std::vector<Verdict>& verdicts) {
  constexpr std::size_t kWidth = 11;
  std::string text;
  for (const Verdict& verdict : verdicts) {
    std::string name(name_of(verdict.loader));
    name.resize(kWidth, ' ');
    text += name + std::string(name_of(fit_of(verdict.findings))) + "\n";
    for (const Finding& finding : verdict.findings)
      text += "  " + std::string(name_of(finding.fit)) + ": " + finding.found + "\n    " + finding.does +
              "\n    fix: " + finding.fix + "\n";
  }
  return text;
}

Json verdicts_json(const std::vector<Verdict>& verdicts) {
  Json document = Json::object();
  for (const Verdict& verdict : verdicts) {
    Json findings = Json::array();
    for (const Finding& finding : verdict.findings)
      findings.push_back({{"rule", finding.rule},
                          {"fit", name_of(finding.fit)},
                          {"found", finding.found},
                          {"does", finding.does},
                          {"fix", finding.fix}});
    document[std::string(name_of(verdict.loader))] = {{"verdict", name_of(fit_of(verdict.findings))},
                                                      {"findings", findings}};
  }
  return document;
}

bool is_portable(const std::vector<Verdict>& verdicts) {
  return std::all_of(verdicts.begin(), verdicts.end(),
                     [](const Verdict& verdict) { return fit_of(verdict.findings) <= Fit::kDepends; });
}

}  // namespace graft
