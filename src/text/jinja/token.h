#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "text/jinja/source.h"

namespace graft {

/// A word of a template.
struct JinjaToken {
  enum class Kind {
    kData,  ///< text outside of tags, white space control applied
    kOutputBegin,
    kOutputEnd,
    kBlockBegin,
    kBlockEnd,
    kName,
    kString,
    kInteger,
    kFloat,
    kOperator,
    kEnd,
  };
  Kind kind;
  std::size_t at;    ///< byte of the source
  std::string text;  ///< strings unescaped; numbers without underscores
};

/// The tokens of a template under the settings of transformers (trim_blocks, lstrip_blocks), the last one
/// kEnd. Source: jinja2/lexer.py. Errors with line and column: an unclosed tag, comment or string, a
/// character that starts nothing, brackets that do not match.
std::vector<JinjaToken> read_jinja_tokens(const JinjaSource& source);

}  // namespace graft
