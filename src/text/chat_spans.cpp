#include "text/chat_spans.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/text.h"
#include "text/jinja/characters.h"

namespace graft {
namespace {

constexpr std::array<std::string_view, 3> kReasoning = {"reasoning_content", "thinking", "reasoning"};
// Stand-ins for what an assistant says. They begin and end differently, so that what two renderings share
// ends exactly where they stand.
constexpr std::string_view kFirst = "Abc", kSecond = "Xyz";

std::size_t common_prefix(std::string_view a, std::string_view b) {
  return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

std::size_t common_suffix(std::string_view a, std::string_view b) {
  std::size_t size = 0;
  while (size < std::min(a.size(), b.size()) && a[a.size() - 1 - size] == b[b.size() - 1 - size]) ++size;
  return size;
}

/// `position` moved to the start of a marker such as <|im_end|> or [/INST] that it would cut.
std::size_t before_marker(std::string_view text, std::size_t position) {
  constexpr std::size_t kLongest = 48;
  const std::size_t low = position > kLongest ? position - kLongest : 0;
  const std::size_t open = text.substr(0, position).find_last_of("<[");
  if (open == std::string_view::npos || open < low) return position;
  const std::size_t close = text.find_first_of(text[open] == '<' ? "> \n" : "] \n", open);
  const bool is_marker = close != std::string_view::npos && text[close] != ' ' && text[close] != '\n';
  return is_marker && close >= position ? open : position;
}

/// What two texts share at their start, whole markers only.
std::size_t shared_start(std::string_view a, std::string_view b) {
  const std::size_t size = common_prefix(a, b);
  if (size == a.size() && size == b.size()) return size;
  return std::min(before_marker(a, size), before_marker(b, size));
}

bool is_blank(std::string_view text) { return leading_space(text) == text.size(); }

void replace_parts(Json& content, std::string_view words) {
  for (Json& part : content)
    if (part.is_object() && part.contains("text")) part["text"] = words;
}

/// The message with `words` instead of what it says: content, reasoning, the names of tools it calls.
Json with_words(Json message, std::string_view words) {
  const bool calls =
      message.contains("tool_calls") && message["tool_calls"].is_array() && !message["tool_calls"].empty();
  for (const std::string_view key : kReasoning)
    if (message.contains(key) && message[std::string(key)].is_string()) message[std::string(key)] = words;
  const Json said = message.contains("content") ? message["content"] : Json();
  if (said.is_array())
    replace_parts(message["content"], words);
  else if (!calls ||
           (said.is_string() && said != ""))  // many templates write a call without words in another way
    message["content"] = words;
  if (!calls) return message;
  for (Json& call : message["tool_calls"]) {
    Json& function = call.is_object() && call.contains("function") ? call["function"] : call;
    if (function.is_object() && function.contains("name")) function["name"] = words;
  }
  return message;
}

/// The part of a text that depends on what one message says.
struct Region {
  std::size_t begin, end;
};

class SpanFinder {
 public:
  SpanFinder(const std::vector<Json>& messages, const std::string& text, const RenderMessages& render)
      : messages_(messages), text_(text), render_(render) {}

  std::vector<RenderedChat::Span> run() {
    std::vector<RenderedChat::Span> spans;
    for (std::size_t i = 0; i < messages_.size(); ++i) {
      if (messages_[i].value("role", "") != "assistant") continue;
      const Region region = find_region(messages_, text_, i, false);
      const std::size_t begin = find_begin(i, region.begin), end = find_end(i, region);
      if (begin > region.begin || end < region.end) refuse(i, "its parts stand in no clear order");
      spans.push_back({i, {begin, end}});
      floor_ = end;
    }
    return spans;
  }

 private:
  [[noreturn]] void refuse(std::size_t i, const std::string& reason) const {
    fail("message ", i + 1, " (assistant): what it wrote cannot be told from the rendered text: ", reason,
         Hint{"put {% generation %} … {% endgeneration %} around it in a copy of the template and name that "
              "file "
              "(chat_template: my.jinja), or take another template"});
  }

  std::optional<std::string> try_render(const std::vector<Json>& messages, bool prompt) const {
    try {
      return render_(messages, prompt);
    } catch (const Error&) {
      return std::nullopt;
    }
  }

  std::vector<Json> first(std::size_t count) const {
    return {messages_.begin(), messages_.begin() + static_cast<std::ptrdiff_t>(count)};
  }

  /// What changes in `text`, the rendering of `messages`, when message i says something else.
  Region find_region(std::vector<Json> messages, std::string_view text, std::size_t i, bool prompt) const {
    const Json said = messages[i];
    messages[i] = with_words(said, kFirst);
    const auto one = try_render(messages, prompt);
    messages[i] = with_words(said, kSecond);
    const auto other = try_render(messages, prompt);
    if (!one || !other) refuse(i, "the template refuses the conversation when it says something else");
    if (*one == *other) refuse(i, "the template leaves it out");
    const std::size_t begin = std::min(common_prefix(*one, *other), common_prefix(text, *one));
    std::size_t after = std::min(common_suffix(*one, *other), common_suffix(text, *one));
    after = std::min({after, text.size() - begin, one->size() - begin, other->size() - begin});
    return {begin, text.size() - after};
  }

  /// What the template writes before an answer: the generation prompt after the messages before i, or after
  /// any question where it refuses those.
  std::string generation_prompt(std::size_t i) const {
    for (const auto& before : {first(i), std::vector<Json>{Json{{"role", "user"}, {"content", "x"}}}}) {
      const auto with = try_render(before, true), without = try_render(before, false);
      if (with && without) return with->substr(shared_start(*with, *without));
    }
    return {};
  }

  /// The header that stands between the messages before i and any answer, where the template has no
  /// generation prompt.
  std::string plain_header(std::size_t i, std::size_t begin) const {
    std::vector<Json> messages = first(i + 1);
    messages[i] = Json{{"role", "assistant"}, {"content", kFirst}};
    const auto one = try_render(messages, false);
    messages[i]["content"] = kSecond;
    const auto other = try_render(messages, false);
    if (!one || !other) refuse(i, "the template has no generation prompt and refuses a plain answer here");
    const std::size_t end = common_prefix(*one, *other);
    if (end < begin) refuse(i, "the template has no generation prompt");
    std::string header = one->substr(begin, end - begin);
    if (is_blank(header)) header.clear();
    return header;
  }

  std::size_t find_begin(std::size_t i, std::size_t limit) const {
    const auto before = try_render(first(i), true);
    if (before && before->size() <= limit && before->size() >= floor_ && text_.starts_with(*before)) {
      if (try_render(first(i), false) != before) return before->size();
      const std::string header = plain_header(i, before->size());
      if (!std::string_view(text_).substr(before->size()).starts_with(header))
        refuse(i, "its header differs from that of a plain answer");
      return before->size() + header.size();
    }
    return find_prompt(i, limit);
  }

  /// What the template writes between the words of the message before i and an answer: "[/INST]".
  std::string between_turns(std::size_t i) const {
    const auto before = i > 0 ? try_render(first(i), true) : std::nullopt;
    if (!before) return {};
    return before->substr(find_region(first(i), *before, i - 1, true).end);
  }

  /// Where `mark` last ends before `limit`, but behind the message before.
  std::optional<std::size_t> end_of_last(std::string_view mark, std::size_t limit) const {
    const std::size_t found = std::string_view(text_).substr(0, limit).rfind(mark);
    if (is_blank(mark) || found == std::string_view::npos || found < floor_) return std::nullopt;
    return found + mark.size();
  }

  /// Where the generation prompt ends before `limit`, or as much of it as stands there: what it adds (an open
  /// thinking block) may be missing from turns that are over.
  std::size_t find_prompt(std::size_t i, std::size_t limit) const {
    const std::string prompt = generation_prompt(i);
    for (std::size_t size = prompt.size(); size > 0; --size) {
      if (size < prompt.size() && before_marker(prompt, size) != size) continue;
      if (const auto end = end_of_last(std::string_view(prompt).substr(0, size), limit)) return *end;
    }
    if (const auto end = end_of_last(between_turns(i), limit)) return *end;
    refuse(i, "nothing marks where it begins");
  }

  std::size_t without_space(std::size_t low, std::size_t end) const {
    const std::string_view tail = std::string_view(text_).substr(low, end - low);
    return is_blank(tail) ? end : end - trailing_space(tail);  // where nothing else ends a turn, space does
  }

  std::size_t find_end(std::size_t i, const Region& region) const {
    if (i + 1 == messages_.size()) return without_space(region.end, text_.size());
    const std::vector<Json> until = first(i + 1);
    const auto alone = try_render(until, false);
    if (!alone) refuse(i, "the template refuses the conversation up to it");
    if (text_.starts_with(*alone) && alone->size() >= region.end)
      return without_space(region.end, alone->size());
    const Region last = find_region(until, *alone, i, false);
    const std::string_view said = std::string_view(text_).substr(region.begin, region.end - region.begin);
    const std::string_view said_last = std::string_view(*alone).substr(last.begin, last.end - last.begin);
    const std::string_view rest = std::string_view(text_).substr(region.end);
    const std::size_t shared = shared_start(rest, std::string_view(*alone).substr(last.end));
    const bool same = said.ends_with(said_last) || said_last.ends_with(said);
    if (!same && is_blank(rest.substr(0, shared))) refuse(i, "it differs as a whole when more turns follow");
    return without_space(region.end, region.end + shared);
  }

  const std::vector<Json>& messages_;
  const std::string& text_;
  const RenderMessages& render_;
  std::size_t floor_ = 0;  // end of the assistant message before
};

}  // namespace

std::vector<RenderedChat::Span> find_assistant_spans(const std::vector<Json>& messages,
                                                     const std::string& text, const RenderMessages& render) {
  return SpanFinder(messages, text, render).run();
}

}  // namespace graft
