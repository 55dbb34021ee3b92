#include "cli/prompt_rows.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "base/console.h"
#include "base/error.h"
#include "base/text.h"
#include "data/raw_rows.h"
#include "data/readers.h"
#include "generate/sampler.h"

namespace graft {
namespace {

constexpr std::array<std::string_view, 15> kKeys = {
    "prompt",      "messages", "id",   "system", "tools",          "chat_template_kwargs",
    "adapter",     "stop",     "seed", "top_k",  "max_new_tokens", "repetition_penalty",
    "temperature", "top_p",    "min_p"};

/// What is said once about a file.
struct Remarks {
  std::set<std::string> unread;
  std::string unread_at;    ///< where the first of them stands
  std::string answered_at;  ///< the first row that has an answer already
  std::int64_t answered = 0;
};

bool holds_lines(const DataFile& file) {
  if (file.extension() == ".txt") return true;
  const std::string_view text = trim(file.text());
  return text.empty() || !(text.starts_with("{") || text.starts_with("["));
}

std::vector<PromptRow> read_lines(const DataFile& file) {
  std::vector<PromptRow> rows;
  std::int64_t line = 0;
  for (std::string& text : split(file.text(), '\n')) {
    ++line;
    if (text.ends_with('\r')) text.pop_back();
    if (trim(text).empty()) continue;
    PromptRow row{.source = {file.name(), line}, .prompt = std::move(text), .conversation = {}};
    const auto invalid = find_invalid_utf8(row.prompt);
    check(!invalid, row.source.text(), ":", invalid.value_or(0) + 1, ": not valid UTF-8");
    row.conversation.messages = {{.role = "user", .content = row.prompt}};
    rows.push_back(std::move(row));
  }
  return rows;
}

SamplingChanges sampling_of(const JsonView& row) {
  SamplingChanges changes;
  const auto number = [&](const char* key) {
    const auto value = row.find(key);
    return value ? std::optional(value->as_double()) : std::nullopt;
  };
  const auto integer = [&](const char* key) {
    const auto value = row.find(key);
    return value ? std::optional(value->as_int(0)) : std::nullopt;
  };
  changes.max_new_tokens = integer("max_new_tokens");
  changes.top_k = integer("top_k");
  if (const auto seed = integer("seed")) changes.seed = static_cast<std::uint64_t>(*seed);
  changes.temperature = number("temperature");
  changes.top_p = number("top_p");
  changes.min_p = number("min_p");
  changes.repetition_penalty = number("repetition_penalty");
  if (const auto stop = row.find("stop")) {
    if (stop->is_string())
      changes.stop.push_back(stop->as_string());
    else
      stop->each_element([&](const JsonView& text) { changes.stop.push_back(text.as_string()); });
  }
  check_sampling(changes.applied_to({}), row.where() + ": ", ExitCode::kBadInput);
  return changes;
}

void read_conversation(const JsonView& row, PromptRow& result, Remarks& remarks) {
  const auto prompt = row.find("prompt"), messages = row.find("messages");
  check(prompt.has_value() != messages.has_value(), row.where(), ": want ",
        prompt ? "either \"prompt\" or \"messages\", not both" : "\"prompt\" or \"messages\"");
  if (prompt) {
    result.prompt = prompt->as_string();
    result.conversation.messages = {{.role = "user", .content = result.prompt}};
    read_template_inputs(row, result.conversation);
  } else {
    result.conversation = std::get<Conversation>(read_messages(row, PromptForm::kChat));
  }
  std::vector<Message>& turns = result.conversation.messages;
  if (turns.back().role == "assistant") {
    turns.pop_back();
    check(!turns.empty(), messages->where(), ": nothing but an answer, want a turn to answer");
    if (remarks.answered++ == 0) remarks.answered_at = result.source.text();
  }
  const auto system = row.find("system");
  if (!system || system->as_string().empty()) return;
  check(turns.front().role != "system", system->where(), ": a second system message in one conversation");
  turns.insert(turns.begin(), Message{.role = "system", .content = system->as_string()});
}

PromptRow read_row(const RawRow& raw, const DataFile& file, Remarks& remarks) {
  const Json json = parse_row(raw, file.name());
  PromptRow result;
  result.source = {file.name(), raw.line};
  const JsonView row(json, result.source.text());
  check(row.is_object(), row.where(), ": a row must be an object {…}");
  row.each_member([&](const std::string& key, const JsonView&) {
    if (std::ranges::find(kKeys, key) != kKeys.end()) return;
    if (remarks.unread.empty()) remarks.unread_at = result.source.text();
    remarks.unread.insert(printable(key, 40));
  });
  if (const auto id = row.find("id")) {
    check(id->is_string() || id->is_number(), id->where(), ": want a string or a number");
    result.id = id->json();
  }
  if (const auto adapter = row.find("adapter")) result.adapter = adapter->as_string();
  read_conversation(row, result, remarks);
  result.sampling = sampling_of(row);
  return result;
}

void say_remarks(const Remarks& remarks) {
  if (!remarks.unread.empty()) {
    const std::vector<std::string> names(remarks.unread.begin(), remarks.unread.end());
    warn(remarks.unread_at + ": keys that nothing reads: " + join(names, ", "));
  }
  if (remarks.answered > 0)
    warn(remarks.answered_at + ": ends with an assistant's turn, which is left out and written anew (" +
         std::to_string(remarks.answered) + " such rows)");
}

}  // namespace

std::vector<PromptRow> read_prompts(const std::string& path) {
  const DataFile file{Path(path)};
  std::vector<PromptRow> rows;
  if (holds_lines(file)) {
    rows = read_lines(file);
  } else {
    Remarks remarks;
    for (const RawRow& raw : cut_json_rows(file)) rows.push_back(read_row(raw, file, remarks));
    say_remarks(remarks);
  }
  check(!rows.empty(), path, ": holds no prompts");
  return rows;
}

}  // namespace graft
