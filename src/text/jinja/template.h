#pragma once

#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "text/jinja/runtime.h"
#include "text/jinja/value.h"
#include "text/tokenizer.h"

namespace graft {

struct JinjaSyntax;

/// The variables of a rendering by name. `messages`, a list of dicts, is what generation spans refer to.
using JinjaVariables = std::vector<std::pair<std::string, JinjaValue>>;

/// What a template writes.
struct JinjaRendering {
  /// The bytes of one {% generation %} block, and the message it writes: the one of `messages` with role
  /// assistant that a variable around the block refers to, where there is exactly one.
  struct Generation {
    ByteSpan bytes;
    std::optional<std::size_t> message;
  };
  std::string text;
  std::vector<Generation> generations;  ///< in order; none is empty
  bool generations_known = true;        ///< false: a block stood in a macro or a captured text
};

/// A Jinja template as Hugging Face runs chat templates: trim_blocks, lstrip_blocks, no autoescape, an
/// immutable sandbox without any access to the host, loop controls, {% generation %}. Immutable and safe to
/// share between threads.
class JinjaTemplate {
 public:
  /// Parses `source`; `name` stands in errors. Errors: "name:line:column: …".
  JinjaTemplate(std::string_view source, std::string name);

  /// Renders. `now` is what strftime_now writes. Errors with line and column: whatever Jinja raises,
  /// raise_exception (its message is repeated), a limit.
  JinjaRendering render(const JinjaVariables& variables, const std::tm& now,
                        const JinjaLimits& limits = {}) const;
  /// Whether it has {% generation %} blocks.
  bool has_generation() const;

 private:
  std::shared_ptr<const JinjaSyntax> syntax_;
};

/// A JSON document as a value of a template. Errors name `source`: nested deeper than 100, an integer that
/// does not fit 64 bits.
JinjaValue jinja_value(const Json& json, const std::string& source);

}  // namespace graft
