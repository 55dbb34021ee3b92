#include "data/dataset.h"

#include <algorithm>
#include <string_view>

#include "base/error.h"
#include "base/random.h"
#include "base/text.h"
#include "data/control_tokens.h"
#include "data/parallel.h"
#include "data/readers.h"

namespace graft {
namespace {

constexpr std::size_t kPlacesShown = 5;  // of each kind of report
constexpr std::string_view kHeldOut = "held-out split";

void note(std::vector<std::string>& places, std::string place) {
  if (places.size() < kPlacesShown) places.push_back(std::move(place));
}

/// What became of one row.
struct Outcome {
  std::optional<Example> example;
  std::size_t length = 0;  ///< tokens before cutting
  bool too_long = false, truncated = false;
  std::int64_t chinese_characters = 0;
  std::vector<std::string> control;
};

class Loader {
 public:
  Loader(const DataOptions& options, const Tokenizer& tokenizer, const std::optional<ChatTemplate>& chat)
      : options_(options), labeller_{tokenizer, chat, options.train_on}, control_(tokenizer) {}

  /// Rows of the files one after another; Row ids count over all of them.
  std::vector<Row> read(const std::vector<DataSource>& sources, DataReport& report) const {
    const ReadOptions options{
        .prompt_form = labeller_.chat ? PromptForm::kChat : PromptForm::kPlain,
        .scope = FormatScope::kFile,
        // Text has seldom fewer than 2 bytes a token, so such rows fit into max_seq_len.
        .paragraph_bytes =
            static_cast<std::size_t>(std::clamp<std::int64_t>(options_.max_seq_len, 32, 1 << 20)) * 2};
    std::vector<Row> rows;
    for (const DataSource& source : sources) {
      ReadRows read = read_rows(source, options);
      check(!read.rows.empty(), source.path, ": holds no rows");
      report.files.push_back(
          {source.path, read.format, read.sha256, static_cast<std::int64_t>(read.rows.size())});
      std::ranges::move(read.rows, std::back_inserter(rows));
    }
    report.rows = static_cast<std::int64_t>(rows.size());
    return rows;
  }

  /// One outcome per row, in the order of the rows.
  std::vector<Outcome> encode(const std::vector<Row>& rows) const {
    std::vector<Outcome> outcomes(rows.size());
    for_each_parallel(rows.size(), "tokenizing", [&](std::size_t i) { outcomes[i] = encode(rows[i], i); });
    return outcomes;
  }

  /// Counts an outcome; its example where it is kept.
  std::optional<Example> settle(Outcome&& outcome, const Row& row, DataReport& report) const {
    const std::string place = row.source.text() + ": ";
    for (const std::string& token : outcome.control) note(report.control_at, place + printable(token));
    report.control_tokens += static_cast<std::int64_t>(outcome.control.size());
    const std::string length = std::to_string(outcome.length) + " tokens";
    if (outcome.too_long) {
      ++report.dropped_long;
      note(report.dropped_at, place + length + ", over max_seq_len " + std::to_string(options_.max_seq_len));
      return std::nullopt;
    }
    if (!outcome.example) {
      ++report.dropped_without_target;
      note(report.dropped_at, place + "no token to learn");
      return std::nullopt;
    }
    if (outcome.truncated) {
      ++report.truncated;
      note(report.truncated_at, place + length + " cut to " + std::to_string(outcome.example->tokens.size()));
    }
    const auto size = static_cast<std::int64_t>(outcome.example->tokens.size());
    ++report.examples;
    report.tokens += size;
    report.target_tokens += outcome.example->target_count();
    report.longest = std::max(report.longest, size);
    report.chinese_characters += outcome.chinese_characters;
    return std::move(outcome.example);
  }

 private:
  Outcome encode(const Row& row, std::uint64_t id) const {
    const bool raw = std::holds_alternative<Text>(row.value) || std::holds_alternative<TokenRow>(row.value);
    check(raw || !options_.raw_rows_only, ExitCode::kUsage, row.source.text(),
          ": objective pretrain learns raw text, and this row has a prompt and an answer",
          Hint{"use train.objective: sft"});
    Outcome outcome;
    outcome.control = control_.find(row.value);
    each_text(row.value,
              [&](std::string_view text) { outcome.chinese_characters += count_chinese_characters(text); });
    LabelledTokens tokens = labeller_.label(row);
    outcome.length = tokens.ids.size();
    const auto max_tokens = static_cast<std::size_t>(options_.max_seq_len);
    outcome.example = with_targets(make_example(tokens, row.source, id));
    if (!outcome.example || outcome.length <= max_tokens) return outcome;

    check(options_.over_length != OverLength::kError, row.source.text(), ": ", outcome.length,
          " tokens, over max_seq_len ", options_.max_seq_len,
          Hint{"raise data.max_seq_len, or set data.over_length to drop or truncate"});
    outcome.truncated = options_.over_length == OverLength::kTruncate &&
                        shorten(tokens, labeller_.find_cut(row, tokens), max_tokens);
    outcome.too_long = !outcome.truncated;
    if (outcome.truncated) outcome.example = with_targets(make_example(tokens, row.source, id));
    return outcome;
  }

  static std::optional<Example> with_targets(std::optional<Example> example) {
    if (example && example->target_count() == 0) example.reset();
    return example;
  }

  const DataOptions& options_;
  Labeller labeller_;
  ControlTokens control_;
};

/// In [0, 1): rows below eval_fraction are held out.
double held_out_draw(const Row& row, std::uint64_t seed) {
  const std::uint64_t key = mix(mix(seed, hash_name(kHeldOut.data(), kHeldOut.size())), row.fingerprint);
  return RandomStream(key).uniform();
}

/// Which rows are held out. Only rows that can be trained count for the promise of at least one on each side.
std::vector<bool> choose_held_out(const std::vector<Row>& rows, const std::vector<Outcome>& outcomes,
                                  double fraction, std::uint64_t seed) {
  std::vector<bool> held(rows.size(), false);
  if (fraction <= 0) return held;
  std::optional<std::size_t> lowest, highest;
  std::size_t usable = 0, chosen = 0;
  std::vector<double> draws(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    draws[i] = held_out_draw(rows[i], seed);
    held[i] = draws[i] < fraction;
    if (!outcomes[i].example || outcomes[i].too_long) continue;
    ++usable;
    chosen += held[i] ? 1 : 0;
    if (!lowest || draws[i] < draws[*lowest]) lowest = i;
    if (!highest || draws[i] > draws[*highest]) highest = i;
  }
  if (usable >= 2 && chosen == 0) held[*lowest] = true;
  if (usable >= 2 && chosen == usable) held[*highest] = false;
  return held;
}

void check_not_empty(const std::vector<Example>& examples, const DataReport& report, const char* set,
                     std::int64_t max_seq_len) {
  if (!examples.empty()) return;
  const std::string place = report.files.empty() ? "data" : report.files.front().path;
  fail(place, ": no row left for the ", set, " set (of ", report.rows, " rows ", report.dropped_long,
       " are longer than max_seq_len ", max_seq_len, ", ", report.dropped_without_target,
       " have no token to learn, ", report.held_out, " are held out)",
       Hint{report.dropped_long > report.dropped_without_target
                ? "raise data.max_seq_len, or set data.over_length: truncate"
                : "look at the rows with: graft data preview RECIPE"});
}

void check_options(const DataOptions& options) {
  check(!options.train.empty(), ExitCode::kUsage, "data.train: no file of rows is named");
  check(options.max_seq_len >= 2, ExitCode::kUsage, "data.max_seq_len: got ", options.max_seq_len,
        ", want at least 2");
  check(options.eval_fraction >= 0 && options.eval_fraction < 1, ExitCode::kUsage, "data.eval_fraction: got ",
        options.eval_fraction, ", want 0 or more and less than 1");
  check(options.eval.empty() || options.eval_fraction == 0, ExitCode::kUsage,
        "data.eval and data.eval_fraction exclude each other");
}

}  // namespace

std::optional<Example> make_example(const LabelledTokens& tokens, const RowSource& source, std::uint64_t id) {
  if (tokens.ids.empty()) return std::nullopt;
  Example example{.tokens = tokens.ids, .targets = {}, .id = id, .source = source};
  const auto target_of = [](std::int32_t label) { return label == kIgnoreLabel ? kNoTarget : label; };
  example.first_label = target_of(tokens.labels.front());
  example.targets.assign(tokens.ids.size(), kNoTarget);
  std::transform(tokens.labels.begin() + 1, tokens.labels.end(), example.targets.begin(), target_of);
  return example;
}

void check_token_ids(const std::vector<Example>& examples, std::int64_t vocab_size) {
  for (const Example& example : examples) {
    for (const auto* ids : {&example.tokens, &example.targets}) {
      for (const std::int32_t id : *ids) {
        check(id < vocab_size, example.source.text(), ": token id out of the vocabulary (got ", id,
              ", want less than ", vocab_size, ")",
              Hint{"token rows must be made with the tokenizer of this base"});
      }
    }
  }
}

Dataset load_dataset(const DataOptions& options, const Tokenizer& tokenizer,
                     const std::optional<ChatTemplate>& chat, std::uint64_t seed) {
  check_options(options);
  const Loader loader(options, tokenizer, chat);
  Dataset data;
  const std::vector<Row> rows = loader.read(options.train, data.train_report);
  std::vector<Outcome> outcomes = loader.encode(rows);
  const std::vector<bool> held = choose_held_out(rows, outcomes, options.eval_fraction, seed);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    DataReport& report = held[i] ? data.eval_report : data.train_report;
    data.train_report.held_out += held[i] ? 1 : 0;
    data.eval_report.rows += held[i] ? 1 : 0;
    if (auto example = loader.settle(std::move(outcomes[i]), rows[i], report)) {
      (held[i] ? data.eval : data.train).push_back(std::move(*example));
    }
  }
  check_not_empty(data.train, data.train_report, "training", options.max_seq_len);

  if (!options.eval.empty()) {
    const std::vector<Row> eval_rows = loader.read(options.eval, data.eval_report);
    std::vector<Outcome> eval_outcomes = loader.encode(eval_rows);
    for (std::size_t i = 0; i < eval_rows.size(); ++i) {
      if (auto example = loader.settle(std::move(eval_outcomes[i]), eval_rows[i], data.eval_report)) {
        data.eval.push_back(std::move(*example));
      }
    }
    check_not_empty(data.eval, data.eval_report, "held-out", options.max_seq_len);
  }
  return data;
}

}  // namespace graft
