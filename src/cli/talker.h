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
  SamplingChanges sampling;
  bool generation_config = false, json = false;

  void declare(Arguments& parser);
};

/// What stands between text and the tokens of a base, without its weights.
struct Wording {
  SamplingOptions sampling;
  ModelConfig config;
  Tokenizer tokenizer;
  std::optional<ChatTemplate> chat;  ///< the one that the adapter was trained with, else the base's; or none

  /// Errors: as the loaders; kUsage for options out of range.
  explicit Wording(const TalkArguments& arguments);
  /// The answer to a conversation that ends with a user's turn. Error (kUsage): there is no template.
  Request answer_to(std::span<const Message> messages, const RenderOptions& inputs,
                    const SamplingOptions& how) const;
  /// What follows a text, without any template.
  Request going_on_from(const std::string& text, const SamplingOptions& how) const;
};

/// The base with its weights and its adapter. Warns where the adapter does nothing. Errors: as the loaders;
/// kUsage for an unknown dtype.
Decoder load_talking(const TalkArguments& arguments);

/// A base, its adapter and its template, ready to answer.
class Talker {
 public:
  using OnText = std::function<bool(std::string_view)>;

  /// Errors: as Wording and load_talking.
  explicit Talker(const TalkArguments& arguments);
  Talker(const Talker&) = delete;

  bool has_template() const { return wording_.chat.has_value(); }
  /// Whether the model can read the conversation and still write a token.
  bool fits(const std::vector<Message>& messages) const;
  /// The answer to a conversation that ends with a user's turn. Error (kUsage): the base has no template.
  Answer answer(const std::vector<Message>& messages, const OnText& on_text);
  /// What follows a text, without any template.
  Answer go_on(const std::string& text, const OnText& on_text);

 private:
  Answer write(Request request, const OnText& on_text);

  Wording wording_;
  Decoder model_;
  Generator generator_;
};

/// Says on stderr where an answer was cut short, and by what.
void say_if_cut(const Answer& answer);

/// "stop_token", "stop_string", "length", "context", "interrupted": why an answer ended, for --json.
std::string stop_name(StopReason reason);

}  // namespace graft
