#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/runtime.h"

namespace graft {

// What filters and methods of strings share.

enum class TextSide { kLeft, kRight, kBoth };
/// str.strip and its kin. `characters` is a set of characters; None is white space.
JinjaValue strip_text(JinjaRuntime& runtime, const JinjaValue& text, const JinjaValue* characters,
                      TextSide side);
/// str.replace; a negative count replaces all.
std::string replace_text(JinjaRuntime& runtime, const std::string& text, const std::string& old,
                         const std::string& replacement, std::int64_t count);
/// str.splitlines.
std::vector<std::string> split_lines(std::string_view text, bool keep_ends = false);
/// str.format for fields without a format.
std::string brace_format(JinjaRuntime& runtime, const std::string& format, const JinjaArguments& arguments);

}  // namespace graft
