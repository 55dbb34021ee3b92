#include "data/label.h"

#include <algorithm>

#include "base/error.h"
#include "data/example.h"
#include "data/readers.h"

namespace graft {
namespace {

/// The bytes a token stands for. Tokenizers that trim offsets give a token of spaces alone an empty span: it
/// then stands for what lies between its neighbours. A token that stands for no text (BOS) stays empty.
ByteSpan bytes_of(const ByteSpan& token, std::size_t previous_end) {
  return token.begin < token.end ? token : ByteSpan{std::min(previous_end, token.begin), token.end};
}

bool inside(const ByteSpan& token, const ByteSpan& span) {
  return token.begin < token.end && token.begin >= span.begin && token.end <= span.end;
}

/// Labels of the tokens that lie inside a span. Spans are in order and do not overlap.
std::vector<std::int32_t> labels_inside(const Encoding& encoding, const std::vector<ByteSpan>& spans) {
  std::vector<std::int32_t> labels(encoding.ids.size(), kIgnoreLabel);
  std::size_t previous_end = 0;
  for (std::size_t i = 0, span = 0; i < labels.size(); ++i) {
    const ByteSpan token = bytes_of(encoding.offsets[i], previous_end);
    previous_end = std::max(previous_end, token.end);
    while (span < spans.size() && spans[span].end <= token.begin) ++span;
    if (span < spans.size() && inside(token, spans[span])) labels[i] = encoding.ids[i];
  }
  return labels;
}

/// A flag on a turn of the user or the system: only what the option does anyway can be meant.
void check_flags(const Row& row, const Conversation& conversation, TrainOn train_on) {
  for (std::size_t i = 0; i < conversation.messages.size(); ++i) {
    const Message& message = conversation.messages[i];
    if (message.role == "assistant" || !message.fields.is_object()) continue;
    const JsonView view(message.fields, row.source.text(), "/messages/" + std::to_string(i));
    const auto stated = stated_train_flag(view);
    if (!stated) continue;
    check(*stated == (train_on == TrainOn::kAll), view.where(), ": train: ", *stated ? "true" : "false",
          " on a turn of the ", message.role, " cannot be done",
          Hint{*stated ? "train_on: all learns every turn" : "train_on: assistant learns no turn of others"});
  }
}

/// The spans of a rendered conversation that are learned, in order.
std::vector<ByteSpan> learned_spans(const RenderedChat& chat, const std::vector<Message>& messages,
                                    TrainOn train_on) {
  std::vector<ByteSpan> spans;
  if (train_on == TrainOn::kAll) {
    std::size_t begin = 0;
    for (const RenderedChat::Span& span : chat.assistant) {
      if (messages[span.message].train) continue;
      spans.push_back({begin, span.bytes.begin});
      begin = span.bytes.end;
    }
    spans.push_back({begin, chat.text.size()});
    return spans;
  }
  for (const RenderedChat::Span& span : chat.assistant) {
    const bool last = span.message == chat.assistant.back().message;
    if (messages[span.message].train && (last || train_on == TrainOn::kAssistant))
      spans.push_back(span.bytes);
  }
  return spans;
}

const ChatTemplate& template_for(const Row& row, const std::optional<ChatTemplate>& chat) {
  check(chat.has_value(), row.source.text(), ": a row of messages, but the base has no chat template",
        Hint{"set data.chat_template, for example to chatml"});
  return *chat;
}

RenderedChat render(const Row& row, const ChatTemplate& chat, const Conversation& conversation,
                    AssistantSpans spans) {
  try {
    return chat.render(conversation.messages,
                       {.tools = conversation.tools, .variables = conversation.variables, .spans = spans});
  } catch (const Error& error) {
    throw Error(error.code(), row.source.text() + ": " + error.what(), error.hint());
  }
}

/// Appends the tokenizer's end of text unless its post-processor did.
void end_text(const Tokenizer& tokenizer, LabelledTokens& tokens) {
  const auto eos = tokenizer.eos();
  if (!eos) return;
  if (tokens.ids.empty() || tokens.ids.back() != *eos) {
    tokens.ids.push_back(*eos);
    tokens.labels.push_back(*eos);
  } else {
    tokens.labels.back() = *eos;
  }
}

LabelledTokens label_text(const Tokenizer& tokenizer, const Text& text) {
  LabelledTokens tokens;
  tokens.ids = tokenizer.encode(text.text, SpecialTokens::kAdd).ids;
  tokens.labels = tokens.ids;
  end_text(tokenizer, tokens);
  return tokens;
}

LabelledTokens label_plain(const Tokenizer& tokenizer, const PromptCompletion& plain, TrainOn train_on) {
  const std::string text = plain.prompt + plain.completion;
  Encoding encoding = tokenizer.encode(text, SpecialTokens::kAdd);
  const std::size_t begin = train_on == TrainOn::kAll ? 0 : plain.prompt.size();
  LabelledTokens tokens{.ids = {}, .labels = labels_inside(encoding, {{begin, text.size()}})};
  tokens.ids = std::move(encoding.ids);
  end_text(tokenizer, tokens);
  return tokens;
}

/// Bytes of `text` up to and with the last end of turn before `end`, and the line breaks after it; 0 where
/// none is.
std::size_t after_last_turn(std::string_view text, std::size_t end,
                            const std::optional<std::string>& end_of_turn) {
  if (!end_of_turn || end_of_turn->empty()) return 0;
  const std::string_view before = text.substr(0, end);
  const std::size_t found = before.rfind(*end_of_turn);
  if (found == std::string_view::npos) return 0;
  std::size_t at = found + end_of_turn->size();
  while (at < before.size() && before[at] == '\n') ++at;
  return at;
}

/// Bytes of the system turn, the template's own included: what stays the same when the first other turn
/// changes, up to the end of its last turn.
std::size_t system_bytes(const Row& row, const ChatTemplate& chat, Conversation conversation,
                         const RenderedChat& full) {
  const auto turn = std::ranges::find_if(conversation.messages,
                                         [](const Message& message) { return message.role != "system"; });
  if (turn == conversation.messages.end()) return 0;
  turn->content = turn->content.starts_with('a') ? "b" : "a";
  if (turn->fields.is_object()) turn->fields["content"] = turn->content;
  const std::string other = render(row, chat, conversation, AssistantSpans::kNone).text;
  const auto common = std::ranges::mismatch(full.text, other).in1 - full.text.begin();
  return after_last_turn(full.text, static_cast<std::size_t>(common), chat.end_of_turn());
}

/// Index of the first token that begins at `byte` or later.
std::size_t token_at(const Encoding& encoding, std::size_t byte) {
  const auto found = std::ranges::lower_bound(encoding.offsets, byte, {}, &ByteSpan::begin);
  return static_cast<std::size_t>(found - encoding.offsets.begin());
}

Cut cut_right(std::size_t size) {
  return {.front = 0, .header = 0, .answer = 0, .closing = size, .end = size};
}

Cut cut_chat(const Row& row, const Labeller& labeller, const Conversation& conversation) {
  const ChatTemplate& chat = template_for(row, labeller.chat);
  const RenderedChat rendered = render(row, chat, conversation, AssistantSpans::kFind);
  const Encoding encoding = labeller.tokenizer.encode(rendered.text, SpecialTokens::kNone);
  auto answer = rendered.assistant.rbegin();
  while (answer != rendered.assistant.rend() && !conversation.messages[answer->message].train) ++answer;
  if (answer == rendered.assistant.rend()) return cut_right(encoding.ids.size());

  const std::string& text = rendered.text;
  const std::string ending = chat.end_of_turn().value_or("");
  ByteSpan span = answer->bytes;
  // Templates that mark what they write may count the line break after the end of turn in.
  while (span.end > span.begin && text[span.end - 1] == '\n' && !ending.ends_with('\n')) --span.end;
  const bool ended = std::string_view(text).substr(span.begin, span.end - span.begin).ends_with(ending);
  std::size_t after = span.end;
  while (after < text.size() && text[after] == '\n') ++after;
  const std::size_t header = after_last_turn(text, span.begin, chat.end_of_turn());

  Cut cut;
  cut.front = token_at(encoding, system_bytes(row, chat, conversation, rendered));
  const bool bos = !encoding.ids.empty() && encoding.ids.front() == labeller.tokenizer.bos();
  cut.front = std::max<std::size_t>(cut.front, bos ? 1 : 0);
  cut.answer = std::max(cut.front, token_at(encoding, span.begin));
  cut.header = header == 0 ? cut.answer : std::clamp(token_at(encoding, header), cut.front, cut.answer);
  cut.closing = token_at(encoding, span.end - (ended ? ending.size() : 0));
  cut.end = token_at(encoding, after);
  return cut;
}

Cut cut_plain(const Labeller& labeller, const PromptCompletion& plain, const LabelledTokens& tokens) {
  const Encoding encoding = labeller.tokenizer.encode(plain.prompt + plain.completion, SpecialTokens::kAdd);
  const bool bos = !tokens.ids.empty() && tokens.ids.front() == labeller.tokenizer.bos();
  const bool ended = !tokens.ids.empty() && tokens.ids.back() == labeller.tokenizer.eos();
  Cut cut;
  cut.end = tokens.ids.size();
  cut.closing = cut.end - (ended ? 1 : 0);
  cut.front = std::min<std::size_t>(bos ? 1 : 0, cut.closing);
  const auto first = std::ranges::find_if(encoding.offsets, [&](const ByteSpan& token) {
    return token.begin < token.end && token.begin >= plain.prompt.size();
  });
  const auto index = static_cast<std::size_t>(first - encoding.offsets.begin());
  cut.answer = std::clamp(index, cut.front, cut.closing);
  cut.header = cut.answer;
  return cut;
}

}  // namespace

LabelledTokens Labeller::label(const Row& row) const {
  if (const auto* tokens = std::get_if<TokenRow>(&row.value)) return {tokens->ids, tokens->labels};
  if (const auto* text = std::get_if<Text>(&row.value)) return label_text(tokenizer, *text);
  if (const auto* plain = std::get_if<PromptCompletion>(&row.value))
    return label_plain(tokenizer, *plain, train_on);

  const auto& conversation = std::get<Conversation>(row.value);
  check_flags(row, conversation, train_on);
  // Where every token is learned it does not matter who wrote it.
  const bool all = train_on == TrainOn::kAll &&
                   std::ranges::all_of(conversation.messages, [](const Message& m) { return m.train; });
  const RenderedChat rendered =
      render(row, template_for(row, chat), conversation, all ? AssistantSpans::kNone : AssistantSpans::kFind);
  Encoding encoding = tokenizer.encode(rendered.text, SpecialTokens::kNone);
  std::vector<std::int32_t> labels =
      labels_inside(encoding, learned_spans(rendered, conversation.messages, train_on));
  return {std::move(encoding.ids), std::move(labels)};
}

Cut Labeller::find_cut(const Row& row, const LabelledTokens& tokens) const {
  if (const auto* conversation = std::get_if<Conversation>(&row.value))
    return cut_chat(row, *this, *conversation);
  if (const auto* plain = std::get_if<PromptCompletion>(&row.value)) return cut_plain(*this, *plain, tokens);
  return cut_right(tokens.ids.size());
}

}  // namespace graft
