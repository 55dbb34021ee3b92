#include "cli/generate_many.h"

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/console.h"
#include "base/machine.h"
#include "base/signals.h"
#include "cli/output.h"
#include "cli/prompt_rows.h"
#include "generate/batch.h"

namespace graft {
namespace {

/// Row n draws as `--seed S+n` would draw alone, so that no answer depends on what it was written beside.
SamplingOptions sampling_for(const PromptRow& row, std::size_t index, SamplingOptions options) {
  options.seed += index;
  return row.sampling.applied_to(std::move(options));
}

class Prompts {
 public:
  Prompts(const TalkArguments& arguments, const ManyArguments& many)
      : wording_(arguments), raw_(many.raw), rows_(read_prompts(many.prompts)) {
    if (!raw_ && !wording_.chat) {
      check(!arguments.system, ExitCode::kUsage, "--system: the base has no chat template",
            Hint{"--chat-template chatml"});
      warn("the base has no chat template: going on from the prompts as with --raw");
      raw_ = true;
    }
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      requests_.push_back(request_of(rows_[i], sampling_for(rows_[i], i, wording_.sampling), arguments));
      check_prompt(requests_.back().prompt, wording_.config, rows_[i].source.text() + ": ");
      writers_.push_back(std::make_unique<AnswerWriter>(wording_.tokenizer, requests_.back().sampling.stop));
      requests_.back().on_token = [writer = writers_.back().get()](std::int32_t token) {
        return writer->put(token);
      };
    }
  }

  std::span<const Request> requests() const { return requests_; }
  std::size_t finished() const { return finished_; }

  /// Keeps a finished answer, and prints those whose turn it is.
  void take(std::size_t index, const Generated& generated) {
    const Answer answer = writers_[index]->finish(generated);
    Json line = {{"row", index}};
    if (!rows_[index].id.is_null()) line["id"] = rows_[index].id;
    line.update({{"text", answer.text},
                 {"tokens", answer.tokens},
                 {"prompt_tokens", requests_[index].prompt.size()},
                 {"stop", stop_name(answer.reason)}});
    lines_.resize(rows_.size());
    lines_[index] = std::move(line);
    ++finished_;
    show_progress("answer " + std::to_string(finished_) + " of " + std::to_string(rows_.size()));
    for (; printed_ < lines_.size() && lines_[printed_]; ++printed_) put(printed_);
  }

  /// Prints what is finished though a row before it is not.
  void print_rest() {
    for (; printed_ < lines_.size(); ++printed_)
      if (lines_[printed_]) put(printed_);
  }

 private:
  Request request_of(const PromptRow& row, const SamplingOptions& how, const TalkArguments& arguments) const {
    const Conversation& conversation = row.conversation;
    if (raw_) {
      check(!row.prompt.empty() && conversation.messages.size() == 1, row.source.text(),
            ": turns and a system text need a chat template, want a \"prompt\" alone");
      return wording_.going_on_from(row.prompt, how);
    }
    std::vector<Message> messages = conversation.messages;
    if (arguments.system && messages.front().role != "system")
      messages.insert(messages.begin(), {.role = "system", .content = *arguments.system});
    try {
      return wording_.answer_to(messages, {.tools = conversation.tools, .variables = conversation.variables},
                                how);
    } catch (const Error& error) {  // the template's own words do not know the row
      throw Error(error.code(), row.source.text() + ": " + error.what(), error.hint());
    }
  }

  void put(std::size_t index) {
    print_json(*std::exchange(lines_[index], std::nullopt));
    flush_output();
  }

  Wording wording_;
  bool raw_;
  std::vector<PromptRow> rows_;
  std::vector<Request> requests_;
  std::vector<std::unique_ptr<AnswerWriter>> writers_;
  std::vector<std::optional<Json>> lines_;  // finished and not yet printed
  std::size_t printed_ = 0, finished_ = 0;
};

}  // namespace

ExitCode generate_many(const TalkArguments& arguments, const ManyArguments& many) {
  Prompts prompts(arguments, many);
  const Decoder model = load_talking(arguments);
  BatchLimits limits = batch_limits(model, installed_memory_bytes());
  if (many.batch_tokens > 0) limits.tokens = many.batch_tokens;
  try {
    generate_batch(
        model, prompts.requests(), limits,
        [&](std::size_t index, const Generated& answer) { prompts.take(index, answer); },
        [] { return !stop_requested(); });
  } catch (const Error&) {  // one answer that cannot be written takes no other with it
    prompts.print_rest();
    throw;
  }
  prompts.print_rest();
  show_progress("");
  if (prompts.finished() == prompts.requests().size()) return ExitCode::kDone;
  say("stopped: " + std::to_string(prompts.finished()) + " of " + std::to_string(prompts.requests().size()) +
      " answers were written");
  return ExitCode::kStopped;
}

}  // namespace graft
