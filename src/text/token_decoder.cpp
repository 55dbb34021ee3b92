#include "text/token_decoder.h"

#include <algorithm>
#include <optional>

#include "base/text.h"
#include "text/byte_alphabet.h"
#include "text/space_words.h"
#include "text/utf8_stream.h"

namespace graft {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

std::string replaced(std::string_view text, std::string_view pattern, std::string_view content) {
  std::string result;
  std::size_t done = 0;
  for (std::size_t at = text.find(pattern); at != std::string_view::npos; at = text.find(pattern, done)) {
    result.append(text.substr(done, at - done)).append(content);
    done = at + pattern.size();
  }
  return result.append(text.substr(done));
}

std::optional<char> byte_of(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  unsigned value = 0;
  for (const char c : token.substr(3, 2)) {
    const char lower = static_cast<char>(c | 0x20);
    const bool digit = c >= '0' && c <= '9';
    if (!digit && (lower < 'a' || lower > 'f')) return std::nullopt;
    value = value * 16 + static_cast<unsigned>(digit ? c - '0' : lower - 'a' + 10);
  }
  return static_cast<char>(value);
}

std::string byte_level(std::string_view token, TokenText kind) {
  if (kind == TokenText::kVerbatim) return std::string(token);
  return bytes_of_spelling(token).value_or(std::string(token));
}

// How often `content` stands at the start of `text`, at most `limit` times.
std::size_t leading(std::string_view text, std::string_view content, std::size_t limit) {
  std::size_t count = 0;
  while (count < limit && text.substr(count * content.size()).starts_with(content)) ++count;
  return count;
}

std::size_t trailing(std::string_view text, std::string_view content, std::size_t limit) {
  std::size_t count = 0;
  while (count < limit && text.substr(0, text.size() - count * content.size()).ends_with(content)) ++count;
  return count;
}

}  // namespace

// Passes tokens from step to step.
class TokenDecoder::Runner {
 public:
  Runner(const std::vector<DecoderStep>& steps, Stream& stream) : steps_(steps), stream_(stream) {}

  // `token` arrives at step `index`.
  void pass(std::size_t index, std::string_view token, TokenText kind) {
    if (index == steps_.size()) {
      out_ += token;
      return;
    }
    index_ = index;
    kind_ = kind;
    std::visit([&](const auto& step) { (*this)(step, token); }, steps_[index]);
  }

  // The list ends, for the steps from `index` on.
  void end(std::size_t index) {
    for (; index < steps_.size(); ++index) {
      Stream::Step& state = stream_.steps[index];
      if (std::holds_alternative<DecodeByteLevel>(steps_[index])) {
        pass(index + 1, take_all_characters(state.held), kind_);
      } else if (std::holds_alternative<DecodeSentencepiece>(steps_[index])) {
        pass(index + 1, take_all_characters_bytewise(state.held), kind_);
      } else if (std::holds_alternative<DecodeBytes>(steps_[index])) {
        end_run(index);
      }
      state = {};
    }
  }

  std::string take() { return std::move(out_); }

 private:
  Stream::Step& state() { return stream_.steps[index_]; }
  void next(std::string_view token) { pass(index_ + 1, token, kind_); }

  void operator()(const DecodeByteLevel&, std::string_view token) {
    state().held += byte_level(token, kind_);
    next(take_characters(state().held));
  }

  void operator()(const DecodeSentencepiece& step, std::string_view token) {
    const auto byte = step.bytes && kind_ == TokenText::kSpelled ? byte_of(token) : std::nullopt;
    if (byte) {
      state().held += *byte;
      state().begun = true;
      return next(take_characters_bytewise(state().held));
    }
    std::string text = take_all_characters_bytewise(state().held);
    if (kind_ == TokenText::kVerbatim) return next(text.append(token));
    const bool strip = !state().begun && (step.strip_prefix || step.strip_leading);
    const bool stripped = strip && token.starts_with(kSpaceMark);
    if (stripped) token.remove_prefix(kSpaceMark.size());
    state().begun = state().begun || !token.empty() || (stripped && !step.strip_leading);
    next(text.append(replaced(token, kSpaceMark, " ")));
  }

  void operator()(const DecodeReplace& step, std::string_view token) {
    next(replaced(token, step.pattern, step.content));
  }

  void operator()(const DecodeBytes&, std::string_view token) {
    if (const auto byte = byte_of(token)) {
      state().held += *byte;
      return;
    }
    const std::size_t index = index_;
    const TokenText kind = kind_;
    end_run(index);
    pass(index + 1, token, kind);
  }

  void end_run(std::size_t index) {
    const std::string run = std::move(stream_.steps[index].held);
    stream_.steps[index].held.clear();
    if (run.empty()) return;
    if (!find_invalid_utf8(run)) return pass(index + 1, run, TokenText::kSpelled);
    for (std::size_t i = 0; i < run.size(); ++i) pass(index + 1, kReplacement, TokenText::kSpelled);
  }

  void operator()(const DecodeFuse&, std::string_view token) { next(token); }

  void operator()(const DecodeStrip& step, std::string_view token) {
    const auto fuse = [](const DecoderStep& other) { return std::holds_alternative<DecodeFuse>(other); };
    const auto here = steps_.begin() + static_cast<std::ptrdiff_t>(index_);
    if (std::any_of(steps_.begin(), here, fuse)) return strip_part(step, token);
    token.remove_prefix(leading(token, step.content, step.start) * step.content.size());
    token.remove_suffix(trailing(token, step.content, step.stop) * step.content.size());
    next(token);
  }

  // A part of the one token that Fuse made of all: what may be its end is held back.
  void strip_part(const DecodeStrip& step, std::string_view part) {
    if (!state().begun) {
      const std::size_t count = leading(part, step.content, step.start - state().count);
      part.remove_prefix(count * step.content.size());
      state().count += count;
      state().begun = !part.empty() || state().count == step.start;
    }
    std::string text = state().held.append(part);
    const std::size_t held = trailing(text, step.content, step.stop) * step.content.size();
    state().held = text.substr(text.size() - held);
    next(text.substr(0, text.size() - held));
  }

  void operator()(const DecodeMetaspace& step, std::string_view token) {
    const bool first = state().count++ == 0;
    next(replaced(token, step.replacement, first && step.prefixed ? "" : " "));
  }

  void operator()(const DecodeSpaces&, std::string_view token) {
    const bool first = state().count++ == 0;
    next(first ? std::string(token) : " " + std::string(token));
  }

  const std::vector<DecoderStep>& steps_;
  Stream& stream_;
  std::size_t index_ = 0;
  TokenText kind_ = TokenText::kSpelled;
  std::string out_;
};

std::string TokenDecoder::put(Stream& stream, std::string_view token, TokenText kind) const {
  Runner runner(steps_, stream);
  runner.pass(0, token, kind);
  return runner.take();
}

std::string TokenDecoder::finish(Stream& stream) const {
  Runner runner(steps_, stream);
  runner.end(0);
  return runner.take();
}

std::string TokenDecoder::bytes(std::string_view token, TokenText kind) const {
  std::string text(token);
  for (const DecoderStep& step : steps_) {
    const auto* sentencepiece = std::get_if<DecodeSentencepiece>(&step);
    const bool has_bytes =
        sentencepiece != nullptr ? sentencepiece->bytes : std::holds_alternative<DecodeBytes>(step);
    if (const auto byte = has_bytes && kind == TokenText::kSpelled ? byte_of(text) : std::nullopt)
      return std::string(1, *byte);
    if (std::holds_alternative<DecodeByteLevel>(step)) text = byte_level(text, kind);
    if (const auto* replace = std::get_if<DecodeReplace>(&step))
      text = replaced(text, replace->pattern, replace->content);
    if (const auto* metaspace = std::get_if<DecodeMetaspace>(&step))
      text = replaced(text, metaspace->replacement, " ");
    if (sentencepiece != nullptr && kind == TokenText::kSpelled) text = replaced(text, kSpaceMark, " ");
  }
  return text;
}

}  // namespace graft
