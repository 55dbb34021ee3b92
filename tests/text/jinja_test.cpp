#include <gtest/gtest.h>

#include "base/error.h"
#include "text/golden.h"
#include "text/jinja/template.h"

namespace graft {
namespace {

std::tm golden_time() {
  std::tm now{};
  now.tm_year = 2026 - 1900;
  now.tm_mon = 2;
  now.tm_mday = 9;
  now.tm_hour = 14;
  now.tm_min = 5;
  now.tm_sec = 7;
  now.tm_wday = 1;
  now.tm_yday = 67;
  return now;
}

std::string render(const std::string& source, const JinjaVariables& variables = {},
                   const JinjaLimits& limits = {}) {
  return JinjaTemplate(source, "test").render(variables, golden_time(), limits).text;
}

std::string error_of(const std::string& source, const JinjaVariables& variables = {},
                     const JinjaLimits& limits = {}) {
  try {
    return "rendered: " + render(source, variables, limits);
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(Jinja, SmallTemplatesRenderAsTransformersDoesOrRaiseAlike) {
  const Json file = read_json(golden("jinja.json"));
  JinjaVariables variables;
  for (const auto& [name, value] : file["variables"].items())
    variables.emplace_back(name, jinja_value(value, name));
  ASSERT_GT(file["cases"].size(), 600U);
  for (const Json& entry : file["cases"]) {
    const std::string source = entry[0].get<std::string>();
    SCOPED_TRACE(source);
    if (entry[1].is_null())
      EXPECT_TRUE(error_of(source, variables).starts_with("test:")) << error_of(source, variables);
    else
      EXPECT_EQ(error_of(source, variables), "rendered: " + entry[1].get<std::string>());
  }
}

}  // namespace
}  // namespace graft
