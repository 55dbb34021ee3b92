#include <algorithm>
#include <array>

#include "base/text.h"
#include "text/jinja/characters.h"
#include "text/jinja/library.h"
#include "text/jinja/text_operations.h"

// Methods of strings: those of Python's str that templates use.

namespace graft {
namespace {

using Args = JinjaArguments;
using Value = JinjaValue;
using Runtime = JinjaRuntime;
using Values = std::vector<Value>;

Value text_like(const Value& value, std::string text) { return Value(std::move(text), value.is_markup()); }

template <TextSide kSide>
Value strip(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "strip", arguments, {"chars"});
  return strip_text(runtime, value, bound[0], kSide);
}

Value upper(Runtime& runtime, const Value& value, const Args& arguments) {
  bind_arguments(runtime, "upper", arguments, {});
  return text_like(value, with_case(value.as_string(), LetterCase::kUpper));
}
Value lower(Runtime& runtime, const Value& value, const Args& arguments) {
  bind_arguments(runtime, "lower", arguments, {});
  return text_like(value, with_case(value.as_string(), LetterCase::kLower));
}
Value title(Runtime& runtime, const Value& value, const Args& arguments) {
  bind_arguments(runtime, "title", arguments, {});
  return text_like(value, python_title(value.as_string()));
}
Value capitalize(Runtime& runtime, const Value& value, const Args& arguments) {
  bind_arguments(runtime, "capitalize", arguments, {});
  return text_like(value, python_capitalize(value.as_string()));
}

// Words between runs of white space; the last of at most `most` cuts keeps the rest as it stands.
Values split_words(const Value& value, std::int64_t most) {
  std::string_view rest = value.as_string();
  Values words;
  rest.remove_prefix(leading_space(rest));
  while (!rest.empty()) {
    std::size_t end = 0;
    while (end < rest.size() && !is_python_space(code_point_at(rest, end).value))
      end += code_point_at(rest, end).length;
    if (most-- == 0) end = rest.size() - trailing_space(rest);
    words.push_back(text_like(value, std::string(rest.substr(0, end))));
    rest.remove_prefix(end);
    rest.remove_prefix(leading_space(rest));
  }
  return words;
}

// Byte at which the last character of a text begins.
std::size_t last_character(std::string_view text) {
  std::size_t begin = text.size() - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0U) == 0x80U) --begin;
  return begin;
}

Values split_words_right(const Value& value, std::int64_t most) {
  std::string_view rest = value.as_string();
  Values words;
  rest.remove_suffix(trailing_space(rest));
  while (!rest.empty()) {
    std::size_t begin = rest.size();
    while (begin > 0 && trailing_space(rest.substr(0, begin)) == 0)
      begin = last_character(rest.substr(0, begin));
    if (most-- == 0) begin = leading_space(rest);
    words.push_back(text_like(value, std::string(rest.substr(begin))));
    rest = rest.substr(0, begin);
    rest.remove_suffix(trailing_space(rest));
  }
  std::ranges::reverse(words);
  return words;
}

Values split_at(const Value& value, const std::string& separator, std::int64_t most) {
  const std::string& text = value.as_string();
  Values parts;
  std::size_t begin = 0;
  for (std::size_t end = text.find(separator); end != std::string::npos && most-- != 0;
       end = text.find(separator, begin)) {
    parts.push_back(text_like(value, text.substr(begin, end - begin)));
    begin = end + separator.size();
  }
  parts.push_back(text_like(value, text.substr(begin)));
  return parts;
}

Values split_at_right(const Value& value, const std::string& separator, std::int64_t most) {
  std::string_view rest = value.as_string();
  Values parts;
  for (std::size_t found = rest.rfind(separator); found != std::string_view::npos && most-- != 0;
       found = rest.rfind(separator)) {
    parts.push_back(text_like(value, std::string(rest.substr(found + separator.size()))));
    rest = rest.substr(0, found);
  }
  parts.push_back(text_like(value, std::string(rest)));
  std::ranges::reverse(parts);
  return parts;
}

enum class From { kLeft, kRight };

template <From kFrom>
Value split(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "split", arguments, {"sep", "maxsplit"});
  const std::int64_t most = bound[1] ? runtime.want_integer(*bound[1], "maxsplit") : -1;
  runtime.charge(64 * value.as_string().size());
  if (bound[0] == nullptr || bound[0]->is_none())
    return Value::list(kFrom == From::kLeft ? split_words(value, most) : split_words_right(value, most));
  const std::string& separator = runtime.want_string(*bound[0], "split");
  if (separator.empty()) runtime.fail("empty separator");
  runtime.charge_search(value.as_string(), separator);
  return Value::list(kFrom == From::kLeft ? split_at(value, separator, most)
                                          : split_at_right(value, separator, most));
}

Value lines(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "splitlines", arguments, {"keepends"});
  runtime.charge(64 * value.as_string().size());
  Values result;
  for (std::string& line : split_lines(value.as_string(), bound[0] != nullptr && bound[0]->truth()))
    result.push_back(text_like(value, std::move(line)));
  return Value::list(std::move(result));
}

template <From kFrom>
Value partition(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "partition", arguments, {"sep"});
  if (bound[0] == nullptr) runtime.fail("partition: want a separator");
  const std::string& separator = runtime.want_string(*bound[0], "partition");
  if (separator.empty()) runtime.fail("empty separator");
  const std::string& text = value.as_string();
  runtime.charge_search(text, separator);
  const std::size_t found = kFrom == From::kLeft ? text.find(separator) : text.rfind(separator);
  if (found == std::string::npos) {
    if (kFrom == From::kLeft) return Value::tuple({value, Value(""), Value("")});
    return Value::tuple({Value(""), Value(""), value});
  }
  return Value::tuple({text_like(value, text.substr(0, found)), *bound[0],
                       text_like(value, text.substr(found + separator.size()))});
}

Value replace(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "replace", arguments, {"old", "new", "count"});
  if (bound[0] == nullptr || bound[1] == nullptr) runtime.fail("replace: want what to replace and by what");
  const auto argument = [&](const Value& given) {
    const std::string& text = runtime.want_string(given, "replace");
    return value.is_markup() && !given.is_markup() ? jinja_escape(text) : text;
  };
  return text_like(value, replace_text(runtime, value.as_string(), argument(*bound[0]), argument(*bound[1]),
                                       bound[2] ? runtime.want_integer(*bound[2], "count") : -1));
}

// The part [start, end) that searching methods look at, in bytes; nothing where start is behind the end.
struct Window {
  std::size_t begin, end;
};

std::optional<Window> window(Runtime& runtime, const std::string& text, const Value* start,
                             const Value* end) {
  if (start == nullptr && end == nullptr) return Window{0, text.size()};
  const std::vector<std::size_t> starts = character_starts(text);
  const auto size = static_cast<std::int64_t>(starts.size()) - 1;
  const auto bound = [&](const Value* given, std::int64_t otherwise) {
    if (given == nullptr || given->is_none()) return otherwise;
    std::int64_t i = runtime.want_integer(*given, "a position");
    if (i < 0) i = std::max<std::int64_t>(0, i < -size ? 0 : i + size);
    return i;
  };
  const std::int64_t first = bound(start, 0), last = std::min(bound(end, size), size);
  if (first > last) return std::nullopt;
  return Window{starts[static_cast<std::size_t>(first)], starts[static_cast<std::size_t>(last)]};
}

std::int64_t search(Runtime& runtime, const Value& value, const Args& arguments, From from) {
  const auto bound = bind_arguments(runtime, "find", arguments, {"sub", "start", "end"});
  if (bound[0] == nullptr) runtime.fail("find: want what to find");
  const std::string& text = value.as_string();
  const std::string& sought = runtime.want_string(*bound[0], "find");
  runtime.charge_search(text, sought);
  const auto inside = window(runtime, text, bound[1], bound[2]);
  if (!inside) return -1;
  const std::string_view part = std::string_view(text).substr(inside->begin, inside->end - inside->begin);
  const std::size_t found = from == From::kLeft ? part.find(sought) : part.rfind(sought);
  if (found == std::string_view::npos) return -1;
  return count_characters(std::string_view(text).substr(0, inside->begin + found));
}

template <From kFrom>
Value find(Runtime& runtime, const Value& value, const Args& arguments) {
  return search(runtime, value, arguments, kFrom);
}

Value index(Runtime& runtime, const Value& value, const Args& arguments) {
  const std::int64_t found = search(runtime, value, arguments, From::kLeft);
  if (found < 0) runtime.fail("substring not found");
  return found;
}

Value count(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "count", arguments, {"sub", "start", "end"});
  if (bound[0] == nullptr) runtime.fail("count: want what to count");
  const std::string& sought = runtime.want_string(*bound[0], "count");
  runtime.charge_search(value.as_string(), sought);
  const auto inside = window(runtime, value.as_string(), bound[1], bound[2]);
  if (!inside) return std::int64_t{0};
  const std::string_view part =
      std::string_view(value.as_string()).substr(inside->begin, inside->end - inside->begin);
  if (sought.empty()) return count_characters(part) + 1;
  std::int64_t times = 0;
  for (std::size_t at = part.find(sought); at != std::string_view::npos;
       at = part.find(sought, at + sought.size()))
    ++times;
  return times;
}

template <From kFrom>
Value has_affix(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "startswith, endswith", arguments, {"affix", "start", "end"});
  if (bound[0] == nullptr) runtime.fail("startswith, endswith: want a string");
  const auto inside = window(runtime, value.as_string(), bound[1], bound[2]);
  if (!inside) return false;
  const std::string_view part =
      std::string_view(value.as_string()).substr(inside->begin, inside->end - inside->begin);
  const Values affixes = bound[0]->sequence() != nullptr ? runtime.items(*bound[0]) : Values{*bound[0]};
  return std::ranges::any_of(affixes, [&](const Value& affix) {
    const std::string& text = runtime.want_string(affix, "startswith, endswith");
    return kFrom == From::kLeft ? part.starts_with(text) : part.ends_with(text);
  });
}

template <From kFrom>
Value without_affix(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "removeprefix, removesuffix", arguments, {"affix"});
  if (bound[0] == nullptr) runtime.fail("removeprefix, removesuffix: want a string");
  const std::string &text = value.as_string(),
                    &affix = runtime.want_string(*bound[0], "removeprefix, removesuffix");
  if (kFrom == From::kLeft && text.starts_with(affix)) return text_like(value, text.substr(affix.size()));
  if (kFrom == From::kRight && text.ends_with(affix))
    return text_like(value, text.substr(0, text.size() - affix.size()));
  return value;
}

Value join(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "join", arguments, {"iterable"});
  if (bound[0] == nullptr) runtime.fail("join: want a list of strings");
  std::string result;
  bool first = true;
  for (const Value& item : runtime.items(*bound[0])) {
    if (!first) result += value.as_string();
    first = false;
    result += runtime.want_string(item, "an item to join");
    runtime.charge(value.as_string().size() + item.as_string().size());
  }
  return text_like(value, std::move(result));
}

Value format(Runtime& runtime, const Value& value, const Args& arguments) {
  return text_like(value, brace_format(runtime, value.as_string(), arguments));
}

template <bool (*kHolds)(std::uint32_t)>
Value all_characters(Runtime&, const Value& value, const Args&) {
  const std::string& text = value.as_string();
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint point = code_point_at(text, i);
    if (!kHolds(point.value)) return false;
    i += point.length;
  }
  return !text.empty();
}

template <LetterCase kCase>
Value has_case(Runtime&, const Value& value, const Args&) {
  constexpr LetterCase kOther = kCase == LetterCase::kLower ? LetterCase::kUpper : LetterCase::kLower;
  const std::string& text = value.as_string();
  return with_case(text, kCase) == text && with_case(text, kOther) != text;
}

// `width` characters with `fill` where text is missing.
template <From kTextAt>
Value justify(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "ljust, rjust", arguments, {"width", "fillchar"});
  if (bound[0] == nullptr) runtime.fail("ljust, rjust: want a width");
  const std::int64_t missing = runtime.want_integer(*bound[0], "width") - count_characters(value.as_string());
  const std::string fill = bound[1] ? runtime.want_string(*bound[1], "fillchar") : " ";
  if (missing <= 0) return value;
  runtime.charge(static_cast<std::size_t>(missing) * fill.size());
  std::string padding;
  for (std::int64_t i = 0; i < missing; ++i) padding += fill;
  return text_like(value, kTextAt == From::kLeft ? value.as_string() + padding : padding + value.as_string());
}

bool is_digit(std::uint32_t c) { return c >= '0' && c <= '9'; }
bool is_letter(std::uint32_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= 0x80 && !is_python_space(c));
}
bool is_letter_or_digit(std::uint32_t c) { return is_digit(c) || is_letter(c); }

constexpr std::array<JinjaNamed<JinjaMethod>, 33> kMethods = {
    {{"strip", strip<TextSide::kBoth>},
     {"lstrip", strip<TextSide::kLeft>},
     {"rstrip", strip<TextSide::kRight>},
     {"split", split<From::kLeft>},
     {"rsplit", split<From::kRight>},
     {"splitlines", lines},
     {"partition", partition<From::kLeft>},
     {"rpartition", partition<From::kRight>},
     {"startswith", has_affix<From::kLeft>},
     {"endswith", has_affix<From::kRight>},
     {"removeprefix", without_affix<From::kLeft>},
     {"removesuffix", without_affix<From::kRight>},
     {"replace", replace},
     {"upper", upper},
     {"lower", lower},
     {"title", title},
     {"capitalize", capitalize},
     {"find", find<From::kLeft>},
     {"rfind", find<From::kRight>},
     {"index", index},
     {"count", count},
     {"join", join},
     {"format", format},
     {"isdigit", all_characters<is_digit>},
     {"isdecimal", all_characters<is_digit>},
     {"isnumeric", all_characters<is_digit>},
     {"isalpha", all_characters<is_letter>},
     {"isalnum", all_characters<is_letter_or_digit>},
     {"isspace", all_characters<is_python_space>},
     {"isupper", has_case<LetterCase::kUpper>},
     {"islower", has_case<LetterCase::kLower>},
     {"ljust", justify<From::kLeft>},
     {"rjust", justify<From::kRight>}}};

}  // namespace

JinjaMethod find_text_method(std::string_view name) {
  const auto found = std::ranges::find(kMethods, name, &JinjaNamed<JinjaMethod>::name);
  return found == kMethods.end() ? nullptr : found->function;
}

}  // namespace graft
