#include "text/jinja/template.h"

#include "base/error.h"
#include "text/jinja/evaluator.h"
#include "text/jinja/syntax.h"

namespace graft {
namespace {

JinjaValue value_of(const Json& json, const std::string& source, int level) {
  constexpr int kMaxLevel = 90;
  check(level < kMaxLevel, source, ": nested more than ", kMaxLevel, " times");
  if (json.is_string()) return JinjaValue(json.get_ref<const std::string&>());
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_number_unsigned())
    check(json.get<std::uint64_t>() <= INT64_MAX, source, ": an integer that does not fit 64 bits");
  if (json.is_number_integer()) return json.get<std::int64_t>();
  if (json.is_number_float()) return json.get<double>();
  if (json.is_array()) {
    std::vector<JinjaValue> items;
    for (const Json& item : json) items.push_back(value_of(item, source, level + 1));
    return JinjaValue::list(std::move(items));
  }
  if (json.is_object()) {
    JinjaValue::Members members;
    for (const auto& [key, member] : json.items())
      members.emplace_back(JinjaValue(key), value_of(member, source, level + 1));
    return JinjaValue::dict_of_distinct(std::move(members));
  }
  return {};
}

}  // namespace

JinjaTemplate::JinjaTemplate(std::string_view source, std::string name) {
  auto syntax = std::make_shared<JinjaSyntax>(JinjaSource(source, std::move(name)));
  parse_jinja(*syntax);
  syntax_ = std::move(syntax);
}

JinjaRendering JinjaTemplate::render(const JinjaVariables& variables, const std::tm& now,
                                     const JinjaLimits& limits) const {
  return JinjaEvaluator(*syntax_, variables, limits, now).run();
}

bool JinjaTemplate::has_generation() const { return syntax_->has_generation; }

JinjaValue jinja_value(const Json& json, const std::string& source) { return value_of(json, source, 0); }

}  // namespace graft
