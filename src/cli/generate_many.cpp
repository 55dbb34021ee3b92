#include "cli/generate_many.h"

#include <map>
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

/// The rows of one adapter.
struct Group {
  std::vector<Request> requests;
  std::vector<std::size_t> rows;  ///< of each request
};

class Prompts {
 public:
  Prompts(const TalkArguments& arguments, const ManyArguments& many)
      : wording_(arguments), raw_(many.raw), rows_(read_prompts(many.prompts)), lines_(rows_.size()) {
    const std::vector<std::string> names = wording_.names();
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      PromptRow& row = rows_[i];
      const std::string where = row.source.text() + ": ";
      if (row.adapter) check_adapter_name(names, *row.adapter, where, ExitCode::kBadInput);
      if (!row.adapter) row.adapter = wording_.adapters.front().name;
      Request request = request_of(row, sampling_for(row, i, wording_.sampling), arguments);
      check_prompt(request.prompt, wording_.config, where);
      writers_.push_back(std::make_unique<AnswerWriter>(wording_.tokenizer, request.sampling.stop));
      request.on_token = [writer = writers_.back().get()](std::int32_t token) { return writer->put(token); };
      groups_[*row.adapter].requests.push_back(std::move(request));
      groups_[*row.adapter].rows.push_back(i);
    }
  }

  const std::map<std::string, Group>& groups() const { return groups_; }
  std::size_t rows() const { return rows_.size(); }
  std::size_t finished() const { return finished_; }

  /// Keeps a finished answer, and prints those whose turn it is.
  void take(const Group& group, std::size_t index, const Generated& generated) {
    const std::size_t n = group.rows[index];
    const Answer answer = writers_[n]->finish(generated);
    Json line = {{"row", n}};
    if (!rows_[n].id.is_null()) line["id"] = rows_[n].id;
    if (wording_.adapters.size() > 1) line["adapter"] = *rows_[n].adapter;
    line.update({{"text", answer.text},
                 {"tokens", answer.tokens},
                 {"prompt_tokens", group.requests[index].prompt.size()},
                 {"stop", stop_name(answer.reason)}});
    lines_[n] = std::move(line);
    ++finished_;
    show_progress("answer " + std::to_string(finished_) + " of " + std::to_string(rows()));
    for (; printed_ < rows() && lines_[printed_]; ++printed_) put(printed_);
  }

  /// Prints what is finished though a row before it is not.
  void print_rest() {
    for (; printed_ < lines_.size(); ++printed_)
      if (lines_[printed_]) put(printed_);
  }

 private:
  Request request_of(const PromptRow& row, const SamplingOptions& how, const TalkArguments& arguments) {
    const Conversation& conversation = row.conversation;
    if (raw_ || !wording_.chat(*row.adapter)) {
      if (!raw_ && !std::exchange(said_raw_, true))
        warn("the base has no chat template: going on from the prompts as with --raw");
      check(!arguments.system && !row.prompt.empty() && conversation.messages.size() == 1, row.source.text(),
            ": turns and a system text need a chat template, want a \"prompt\" alone",
            Hint{raw_ ? "" : "name a template: --chat-template chatml"});
      return wording_.going_on_from(row.prompt, how);
    }
    std::vector<Message> messages = conversation.messages;
    if (arguments.system && messages.front().role != "system")
      messages.insert(messages.begin(), {.role = "system", .content = *arguments.system});
    try {
      return wording_.answer_to(messages, {.tools = conversation.tools, .variables = conversation.variables},
                                how, *row.adapter);
    } catch (const Error& error) {  // the template's own words do not know the row
      throw Error(error.code(), row.source.text() + ": " + error.what(), error.hint());
    }
  }

  void put(std::size_t index) {
    print_json(*std::exchange(lines_[index], std::nullopt));
    flush_output();
  }

  Wording wording_;
  bool raw_, said_raw_ = false;
  std::vector<PromptRow> rows_;
  std::map<std::string, Group> groups_;  // by adapter
  std::vector<std::unique_ptr<AnswerWriter>> writers_;
  std::vector<std::optional<Json>> lines_;  // finished and not yet printed
  std::size_t printed_ = 0, finished_ = 0;
};

}  // namespace

ExitCode generate_many(const TalkArguments& arguments, const ManyArguments& many) {
  Prompts prompts(arguments, many);
  const AdapterShelf shelf = load_talking(arguments);
  BatchLimits limits = batch_limits(shelf.with(AdapterShelf::kNone), installed_memory_bytes());
  if (many.batch_tokens > 0) limits.tokens = many.batch_tokens;
  const auto go_on = [] { return !stop_requested(); };
  try {
    for (const auto& [adapter, group] : prompts.groups()) {
      const auto take = [&](std::size_t index, const Generated& answer) {
        prompts.take(group, index, answer);
      };
      generate_batch(shelf.with(adapter), group.requests, limits, take, go_on);
    }
  } catch (const Error&) {  // one answer that cannot be written takes no other with it
    prompts.print_rest();
    throw;
  }
  prompts.print_rest();
  show_progress("");
  if (prompts.finished() == prompts.rows()) return ExitCode::kDone;
  say("stopped: " + std::to_string(prompts.finished()) + " of " + std::to_string(prompts.rows()) +
      " answers were written");
  return ExitCode::kStopped;
}

}  // namespace graft
