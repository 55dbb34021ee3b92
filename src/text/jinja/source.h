#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace graft {

/// The text of a template and its name in errors. Positions are bytes of `text`.
struct JinjaSource {
  std::string name;  ///< "chat template of the model", or a file
  std::string text;  ///< line breaks are "\n", the one at the very end is gone, as Jinja reads it

  /// Normalises line breaks. Errors: larger than 1 MiB, not valid UTF-8.
  JinjaSource(std::string_view raw, std::string name);
  /// "name:line:column" of a byte, both counted from 1, columns in characters.
  std::string place(std::size_t at) const;
};

}  // namespace graft
