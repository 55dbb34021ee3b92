#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/arguments.h"
#include "generate/answer.h"
#include "generate/options.h"

namespace graft {

/// The options that generate and chat share.
struct TalkArguments {
  std::string model, dtype = "bf16", chat_template = "auto";
  std::optional<std::string> adapter, system;
  SamplingOptions sampling;
  bool json = false;

  void declare(Arguments& parser);
};

/// A base, its adapter and its template, ready to answer. Warns where the adapter does nothing.
class Talker {
 public:
  /// Errors: as the loaders; kUsage for an unknown dtype.
  explicit Talker(const TalkArguments& arguments);
  Talker(const Talker&) = delete;

  bool has_template() const { return chat_.has_value(); }
  /// Whether the model can read the conversation and still write a token.
  bool fits(const std::vector<Message>& messages) const;
  /// The answer to a conversation that ends with a user's turn. Error (kUsage): the base has no template.
  Answer answer(const std::vector<Message>& messages, const std::function<bool(std::string_view)>& on_text);
  /// What follows a text, without any template.
  Answer go_on(const std::string& text, const std::function<bool(std::string_view)>& on_text);

 private:
  SamplingOptions sampling_;
  Tokenizer tokenizer_;
  std::optional<ChatTemplate> chat_;
  Decoder model_;
  Generator generator_;
};

/// Says on stderr where an answer was cut short, and by what.
void say_if_cut(const Answer& answer);

/// "stop_token", "length", "context", "interrupted": why an answer ended, for --json.
std::string stop_name(StopReason reason);

}  // namespace graft
