#pragma once

#include <string>

#include "base/error.h"
#include "text/golden_time.h"
#include "text/jinja/template.h"

namespace graft {

/// What the template `source` writes, after "rendered: ", or the error it ends in.
inline std::string error_of(const std::string& source, const JinjaVariables& variables = {},
                            const JinjaLimits& limits = {}) {
  try {
    return "rendered: " + JinjaTemplate(source, "test").render(variables, golden_time(), limits).text;
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace graft
