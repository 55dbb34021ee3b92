#include <algorithm>
#include <array>

#include "base/text.h"
#include "text/jinja/characters.h"
#include "text/jinja/library.h"
#include "text/jinja/text_operations.h"

// Filters of text. Source: jinja2/filters.py, markupsafe.

namespace graft {
namespace {

using Args = JinjaArguments;
using Value = JinjaValue;
using Runtime = JinjaRuntime;

Value upper(Runtime& runtime, const Value& value, const Args& arguments) {
  bind_arguments(runtime, "upper", arguments, {});
  return Value(with_case(runtime.text(value), LetterCase::kUpper), value.is_markup());
}
Value lower(Runtime& runtime, const Value& value, const Args& arguments) {
  bind_arguments(runtime, "lower", arguments, {});
  return Value(with_case(runtime.text(value), LetterCase::kLower), value.is_markup());
}
Value capitalize(Runtime& runtime, const Value& value, const Args& arguments) {
  bind_arguments(runtime, "capitalize", arguments, {});
  return Value(python_capitalize(runtime.text(value)), value.is_markup());
}
Value string(Runtime& runtime, const Value& value, const Args& arguments) {
  bind_arguments(runtime, "string", arguments, {});
  return value.is_string() ? value : Value(runtime.text(value));
}
Value safe(Runtime& runtime, const Value& value, const Args& arguments) {
  bind_arguments(runtime, "safe", arguments, {});
  return Value(runtime.text(value), true);
}
Value escape(Runtime& runtime, const Value& value, const Args& arguments) {
  bind_arguments(runtime, "escape", arguments, {});
  const std::string text = runtime.text(value);
  runtime.charge(6 * text.size());
  return value.is_markup() ? value : Value(jinja_escape(text), true);
}
Value force_escape(Runtime& runtime, const Value& value, const Args& arguments) {
  bind_arguments(runtime, "forceescape", arguments, {});
  const std::string text = runtime.text(value);
  runtime.charge(6 * text.size());
  return Value(jinja_escape(text), true);
}

Value trim(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "trim", arguments, {"chars"});
  return strip_text(runtime, value, bound[0], TextSide::kBoth);
}

// Words begin after spaces and opening brackets, not after every letter that is none as in str.title.
Value title(Runtime& runtime, const Value& value, const Args& arguments) {
  bind_arguments(runtime, "title", arguments, {});
  const std::string text = runtime.text(value);
  std::string result, word;
  const auto put_word = [&] { result += python_capitalize(std::exchange(word, {})); };
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint point = code_point_at(text, i);
    const bool separates =
        is_python_space(point.value) ||
        (point.value < 0x80 &&
         std::string_view("-({[<").find(static_cast<char>(point.value)) != std::string_view::npos);
    if (separates) put_word();
    (separates ? result : word).append(text, i, point.length);
    i += point.length;
  }
  put_word();
  return Value(std::move(result), value.is_markup());
}

Value replace(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "replace", arguments, {"old", "new", "count"});
  if (bound[0] == nullptr || bound[1] == nullptr) runtime.fail("replace: want what to replace and by what");
  const bool counted = bound[2] != nullptr && !bound[2]->is_none();
  return replace_text(runtime, runtime.text(value), runtime.text(*bound[0]), runtime.text(*bound[1]),
                      counted ? runtime.want_integer(*bound[2], "count") : -1);
}

Value indent(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "indent", arguments, {"width", "first", "blank"});
  std::string indention(4, ' ');
  if (bound[0] != nullptr && bound[0]->is_string()) {
    indention = bound[0]->as_string();
  } else if (bound[0] != nullptr) {
    constexpr std::int64_t kMaxWidth = 1000;
    const std::int64_t width = runtime.want_integer(*bound[0], "indent");
    if (width > kMaxWidth) runtime.fail("indent: got ", width, ", want at most ", kMaxWidth);
    indention.assign(static_cast<std::size_t>(std::max<std::int64_t>(width, 0)), ' ');
  }
  const bool first = bound[1] != nullptr && bound[1]->truth(),
             blank = bound[2] != nullptr && bound[2]->truth();
  std::string result = first ? indention : "";
  bool at_start = true;
  for (const std::string& line : split_lines(runtime.want_string(value, "indent") + "\n")) {
    runtime.charge(indention.size() + line.size() + 1);
    if (!at_start) result += (blank || !line.empty()) ? "\n" + indention : "\n";
    result += line;
    at_start = false;
  }
  return Value(std::move(result), value.is_markup());
}

Value truncate(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "truncate", arguments, {"length", "killwords", "end", "leeway"});
  const std::string text = runtime.text(value), end = bound[2] ? runtime.text(*bound[2]) : "...";
  const std::int64_t length = bound[0] ? runtime.want_integer(*bound[0], "length") : 255;
  const bool leeway = bound[3] != nullptr && !bound[3]->is_none();
  const std::int64_t tolerance = leeway ? runtime.want_integer(*bound[3], "leeway") : 5;
  const std::int64_t room = length - count_characters(end);
  if (room < 0) runtime.fail("truncate: want a length of at least that of the end");
  const std::vector<std::size_t> starts = character_starts(text);
  if (static_cast<std::int64_t>(starts.size()) - 1 <= length + tolerance) return Value(text);
  std::string kept = text.substr(0, starts[static_cast<std::size_t>(room)]);
  const bool whole_words = bound[1] == nullptr || !bound[1]->truth();
  if (const std::size_t space = kept.rfind(' '); whole_words && space != std::string::npos)
    kept.resize(space);
  return Value(kept + end);
}

Value word_count(Runtime& runtime, const Value& value, const Args& arguments) {
  bind_arguments(runtime, "wordcount", arguments, {});
  const std::string text = runtime.text(value);
  std::int64_t words = 0;
  bool inside = false;
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint point = code_point_at(text, i);
    const bool letter = is_python_space(point.value) || (point.value < 0x80 && point.value != '_' &&
                                                         std::isalnum(static_cast<int>(point.value)) == 0);
    words += !letter && !inside ? 1 : 0;
    inside = !letter;
    i += point.length;
  }
  return words;
}

Value center(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "center", arguments, {"width"});
  const std::string text = runtime.text(value);
  const std::int64_t width = bound[0] ? runtime.want_integer(*bound[0], "width") : 80;
  const std::int64_t missing = width - count_characters(text);
  if (missing <= 0) return Value(text);
  runtime.charge(static_cast<std::size_t>(missing));
  // As str.center: the odd space goes to the left where the width is odd.
  const auto left = static_cast<std::size_t>(missing / 2 + (missing & width & 1));
  return Value(std::string(left, ' ') + text + std::string(static_cast<std::size_t>(missing) - left, ' '));
}

Value format(Runtime& runtime, const Value& value, const Args& arguments) {
  if (!arguments.keywords.empty()) runtime.fail("format: names are not supported");
  return jinja_percent_format(runtime, runtime.text(value), arguments.positional);
}

constexpr std::array<JinjaNamed<JinjaFilter>, 16> kFilters = {{{"upper", upper},
                                                               {"lower", lower},
                                                               {"capitalize", capitalize},
                                                               {"string", string},
                                                               {"safe", safe},
                                                               {"escape", escape},
                                                               {"e", escape},
                                                               {"forceescape", force_escape},
                                                               {"trim", trim},
                                                               {"title", title},
                                                               {"replace", replace},
                                                               {"indent", indent},
                                                               {"truncate", truncate},
                                                               {"wordcount", word_count},
                                                               {"center", center},
                                                               {"format", format}}};

}  // namespace

std::span<const JinjaNamed<JinjaFilter>> jinja_text_filters() { return kFilters; }

std::string jinja_escape(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&#34;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

}  // namespace graft
