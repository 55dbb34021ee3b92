#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace graft {

/// A part of a Jinja template in a normal form, so that templates that differ in spelling only compare equal.
struct JinjaPart {
  enum class Kind {
    kText,       ///< text to print, string literals inside {{ }} included; neighbours are one part
    kOutput,     ///< an expression to print
    kStatement,  ///< what stands between {% and %}
  };
  Kind kind;
  std::string text;  ///< tokens with one space between; x['a'] is x.a, strings are in single quotes
  bool operator==(const JinjaPart&) const = default;
};

/// The outline of a template under the settings that transformers uses (trim_blocks, lstrip_blocks), comments
/// left out, sums of strings taken apart, and the names that `constant` knows replaced by their text. Nothing
/// where the source is malformed or holds a construct outside this small part of the language.
std::optional<std::vector<JinjaPart>> outline_of_jinja(
    std::string_view source,
    const std::function<std::optional<std::string>(std::string_view name)>& constant);

}  // namespace graft
