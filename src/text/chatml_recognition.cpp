#include <algorithm>

#include "text/chat_engine.h"
#include "text/jinja_outline.h"

namespace graft {
namespace {

using Kind = JinjaPart::Kind;

// Reads an outline from front to back.
class Matcher {
 public:
  explicit Matcher(const std::vector<JinjaPart>& parts) : parts_(parts) {}

  bool at_end() const { return position_ == parts_.size(); }

  bool take(Kind kind, std::string_view text) {
    if (at_end() || parts_[position_].kind != kind || parts_[position_].text != text) return false;
    ++position_;
    return true;
  }

  bool take_any(Kind kind, std::initializer_list<std::string_view> texts) {
    return std::ranges::any_of(texts, [&](std::string_view text) { return take(kind, text); });
  }

  std::optional<std::string> take(Kind kind) {
    if (at_end() || parts_[position_].kind != kind) return std::nullopt;
    return parts_[position_++].text;
  }

 private:
  const std::vector<JinjaPart>& parts_;
  std::size_t position_ = 0;
};

constexpr std::string_view kSystemStart = "<|im_start|>system\n", kTurnEnd = "<|im_end|>\n";

// {% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}
bool skip_prompt_default(Matcher& matcher) {
  if (!matcher.take_any(Kind::kStatement, {"if not add_generation_prompt is defined",
                                           "if add_generation_prompt is not defined"}))
    return true;
  return matcher.take_any(Kind::kStatement,
                          {"set add_generation_prompt = false", "set add_generation_prompt = False"}) &&
         matcher.take(Kind::kStatement, "endif");
}

// The text inside an `if` about the first role, which must be one system turn.
bool read_default_system(Matcher& matcher, ChatMl& format) {
  const auto text = matcher.take(Kind::kText);
  if (!text || format.default_system || !text->starts_with(kSystemStart) || !text->ends_with(kTurnEnd) ||
      text->size() < kSystemStart.size() + kTurnEnd.size())
    return false;
  format.default_system =
      text->substr(kSystemStart.size(), text->size() - kSystemStart.size() - kTurnEnd.size());
  return matcher.take(Kind::kStatement, "endif");
}

bool read_turn(Matcher& matcher, const std::string& variable, ChatMl& format) {
  if (matcher.take_any(Kind::kStatement, {"if loop . first and messages [ 0 ] . role != 'system'",
                                          "if loop . first and " + variable + " . role != 'system'",
                                          "if loop . index0 == 0 and messages [ 0 ] . role != 'system'",
                                          "if loop . index0 == 0 and " + variable + " . role != 'system'"})) {
    if (!read_default_system(matcher, format)) return false;
  }
  return matcher.take(Kind::kText, "<|im_start|>") && matcher.take(Kind::kOutput, variable + " . role") &&
         matcher.take(Kind::kText, "\n") && matcher.take(Kind::kOutput, variable + " . content") &&
         matcher.take(Kind::kText, kTurnEnd) && matcher.take(Kind::kStatement, "endfor");
}

// The loop variable of "for X in messages".
std::optional<std::string> read_loop(Matcher& matcher) {
  static constexpr std::string_view kFor = "for ", kIn = " in messages";
  const auto statement = matcher.take(Kind::kStatement);
  if (!statement || !statement->starts_with(kFor) || !statement->ends_with(kIn) ||
      statement->size() <= kFor.size() + kIn.size())
    return std::nullopt;
  std::string variable = statement->substr(kFor.size(), statement->size() - kFor.size() - kIn.size());
  if (variable.find(' ') != std::string::npos) return std::nullopt;
  return variable;
}

}  // namespace

std::optional<ChatMl> recognise_chatml(const std::string& source, const Tokenizer& tokenizer) {
  const auto constant = [&](std::string_view name) -> std::optional<std::string> {
    if (name != "bos_token" && name != "eos_token") return std::nullopt;
    const auto id = name == "bos_token" ? tokenizer.bos() : tokenizer.eos();
    return id ? tokenizer.token(*id) : "";  // an undefined name prints nothing
  };
  const auto parts = outline_of_jinja(source, constant);
  if (!parts) return std::nullopt;
  Matcher matcher(*parts);
  ChatMl format;
  if (!skip_prompt_default(matcher)) return std::nullopt;
  format.prefix = matcher.take(Kind::kText).value_or("");
  if (matcher.take(Kind::kStatement, "if messages [ 0 ] . role != 'system'") &&
      !read_default_system(matcher, format))
    return std::nullopt;
  const auto variable = read_loop(matcher);
  if (!variable || !read_turn(matcher, *variable, format)) return std::nullopt;
  const bool ends_well = matcher.take(Kind::kStatement, "if add_generation_prompt") &&
                         matcher.take(Kind::kText, "<|im_start|>assistant\n") &&
                         matcher.take(Kind::kStatement, "endif") && matcher.at_end();
  if (!ends_well) return std::nullopt;
  return format;
}

}  // namespace graft
