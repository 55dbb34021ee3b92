#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/adapter_arguments.h"
#include "cli/arguments.h"
#include "generate/answer.h"
#include "generate/options.h"

namespace graft {

/// The options that generate and chat share.
struct TalkArguments {
  std::string model, dtype = "bf16", chat_template = "auto";
  AdapterArguments adapters;
  std::optional<std::string> system;
  SamplingChanges sampling;
  bool generation_config = false, json = false;

  void declare(Arguments& parser);
};

/// What stands between text and the tokens of a base, without its weights.
struct Wording {
  std::vector<AdapterArgument> adapters;  ///< those that were asked for; the first is the one to begin with
  SamplingOptions sampling;
  ModelConfig config;
  Tokenizer tokenizer;
  /// By the name of an adapter: the template that it was trained with, else the base's; or none.
  std::map<std::string, std::optional<ChatTemplate>> chats;

  /// Errors: as the loaders; kUsage for options out of range.
  explicit Wording(const TalkArguments& arguments);
  /// All names by which there is an adapter, "none" first.
  std::vector<std::string> names() const;
  const std::optional<ChatTemplate>& chat(const std::string& adapter) const { return chats.at(adapter); }
  /// The answer to a conversation that ends with a user's turn. Error (kUsage): there is no template.
  Request answer_to(std::span<const Message> messages, const RenderOptions& inputs,
                    const SamplingOptions& how, const std::string& adapter) const;
  /// What follows a text, without any template.
  Request going_on_from(const std::string& text, const SamplingOptions& how) const;
};

/// The template that the adapter in the folder `adapter` was trained with (it stands beside it) where `name`
/// is "auto", else the one that `name` asks for (choose_chat_template), of a base with this tokenizer.
std::optional<ChatTemplate> template_for(const std::string& adapter, const std::string& name,
                                         const Tokenizer& tokenizer);

/// The template that stands beside the adapter in the folder `adapter`, where it is not that of the base
/// `model`.
std::optional<ChatTemplate> trained_template(const Path& adapter, const Path& model);

/// The base with its weights, and its adapters. Warns where one does nothing. Errors: as the loaders; kUsage
/// for an unknown dtype.
AdapterShelf load_talking(const TalkArguments& arguments);

/// A base, its adapters and their templates, ready to answer; the first adapter is in use.
class Talker {
 public:
  using OnText = std::function<bool(std::string_view)>;

  /// Errors: as Wording and load_talking.
  explicit Talker(const TalkArguments& arguments);
  Talker(const Talker&) = delete;

  const Wording& wording() const { return wording_; }
  /// The name of the adapter in use.
  const std::string& adapter() const { return adapter_; }
  /// Goes on with another adapter. Error (kUsage): no such name; the one in use stays.
  void use(const std::string& adapter);
  bool has_template() const { return wording_.chat(adapter_).has_value(); }
  /// Whether the model can read the conversation and still write a token.
  bool fits(const std::vector<Message>& messages) const;
  /// The answer to a conversation that ends with a user's turn. Error (kUsage): the base has no template.
  Answer answer(const std::vector<Message>& messages, const OnText& on_text);
  /// What follows a text, without any template.
  Answer go_on(const std::string& text, const OnText& on_text);
  /// An answer for --json, with the adapter's name where there are several.
  Json json_of(const Answer& answer) const;

 private:
  Wording wording_;
  AdapterShelf shelf_;
  std::string adapter_;
  std::optional<Generator> generator_;  // over the model with that adapter
};

/// Says on stderr where an answer was cut short, and by what.
void say_if_cut(const Answer& answer);

/// "stop_token", "stop_string", "length", "context", "interrupted": why an answer ended, for --json.
std::string stop_name(StopReason reason);

}  // namespace graft
