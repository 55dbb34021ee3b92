#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "text/jinja/characters.h"
#include "text/jinja/library.h"

// json.dumps of Python 3.

namespace graft {
namespace {

void append_code(std::string& out, std::uint32_t code) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += kDigits[(code >> shift) & 0xFU];
}

void append_ascii(std::string& out, std::uint32_t code) {
  constexpr std::uint32_t kPlane = 0x10000;
  if (code < kPlane) return append_code(out, code);
  append_code(out, 0xD800U + ((code - kPlane) >> 10U));
  append_code(out, 0xDC00U + ((code - kPlane) & 0x3FFU));
}

std::string quoted(std::string_view text, bool ensure_ascii) {
  static constexpr std::string_view kPlain = "\b\f\n\r\t\"\\", kNames = "bfnrt\"\\";
  std::string out = "\"";
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint point = code_point_at(text, i);
    const auto short_form = point.value < 0x80 ? kPlain.find(static_cast<char>(point.value)) : kPlain.npos;
    if (short_form != kPlain.npos)
      (out += '\\') += kNames[short_form];
    else if (point.value < 0x20)
      append_code(out, point.value);
    else if (ensure_ascii && point.value > 0x7E)
      append_ascii(out, point.value);
    else
      out.append(text, i, point.length);
    i += point.length;
  }
  return out + '"';
}

std::string json_float(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  return python_repr(value);
}

class Writer {
 public:
  Writer(JinjaRuntime& runtime, const JinjaJsonStyle& style) : runtime_(runtime), style_(style) {}

  std::string run(const JinjaValue& value) {
    write(value, 0);
    return std::move(out_);
  }

 private:
  void write(const JinjaValue& value, int level) {
    if (value.is_string())
      out_ += quoted(value.as_string(), style_.ensure_ascii);
    else if (value.is_none())
      out_ += "null";
    else if (value.is_bool())
      out_ += value.as_bool() ? "true" : "false";
    else if (value.is_integer())
      out_ += std::to_string(*value.integer());
    else if (value.is_float())
      out_ += json_float(value.as_float());
    else if (value.dict() != nullptr)
      write_dict(*value.dict(), level);
    else if (is_array(value))
      write_array(value.sequence()->items, level);
    else
      runtime_.fail("a value of type ", value.type_name(), " cannot be written as JSON");
  }

  static bool is_array(const JinjaValue& value) {
    const JinjaSequence* sequence = value.sequence();
    return sequence != nullptr &&
           (sequence->kind == JinjaSequence::Kind::kList || sequence->kind == JinjaSequence::Kind::kTuple);
  }

  void new_line(int level) {
    if (!style_.indent) return;
    runtime_.charge(style_.indent->size() * static_cast<std::size_t>(level));
    out_ += '\n';
    for (int i = 0; i < level; ++i) out_ += *style_.indent;
  }

  void write_array(const std::vector<JinjaValue>& items, int level) {
    if (items.empty()) return void(out_ += "[]");
    out_ += '[';
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_ += style_.item_separator;
      new_line(level + 1);
      write(items[i], level + 1);
    }
    new_line(level);
    out_ += ']';
  }

  std::string key_text(const JinjaValue& key) {
    if (key.is_string()) return key.as_string();
    if (key.is_none()) return "null";
    if (key.is_bool()) return key.as_bool() ? "true" : "false";
    if (key.is_integer()) return std::to_string(*key.integer());
    if (key.is_float()) return json_float(key.as_float());
    runtime_.fail("a key of type ", key.type_name(), " cannot be written as JSON");
  }

  void write_dict(const JinjaDict& dict, int level) {
    if (dict.members.empty()) return void(out_ += "{}");
    std::vector<const std::pair<JinjaValue, JinjaValue>*> members;
    for (const auto& member : dict.members) members.push_back(&member);
    if (style_.sort_keys)
      std::ranges::stable_sort(
          members, [&](const auto* a, const auto* b) { return jinja_less(runtime_, a->first, b->first); });
    out_ += '{';
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (i > 0) out_ += style_.item_separator;
      new_line(level + 1);
      out_ += quoted(key_text(members[i]->first), style_.ensure_ascii) + style_.key_separator;
      write(members[i]->second, level + 1);
    }
    new_line(level);
    out_ += '}';
  }

  JinjaRuntime& runtime_;
  const JinjaJsonStyle& style_;
  std::string out_;
};

}  // namespace

std::string jinja_json(JinjaRuntime& runtime, const JinjaValue& value, const JinjaJsonStyle& style) {
  runtime.want_defined(value);
  runtime.charge(value.weight());
  std::string text = Writer(runtime, style).run(value);
  runtime.charge(text.size());
  return text;
}

}  // namespace graft
