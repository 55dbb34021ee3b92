#include <cmath>
#include <optional>
#include <utility>

#include "base/console.h"
#include "base/error.h"
#include "cli/adapter_arguments.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/score_golden.h"
#include "data/dataset.h"
#include "data/readers.h"
#include "evaluate/loss.h"

namespace graft {
namespace {

struct ScoreArguments {
  std::string model, rows, golden, dtype, chat_template = "auto";
  AdapterArguments adapters;
  std::int64_t top = 0;
  bool raw = false, json = false, force = false;
};

std::optional<ScoreArguments> parse(const std::vector<std::string>& words) {
  ScoreArguments arguments;
  Arguments parser(
      {.verb = "score",
       .synopsis = "--model M [--adapter A] ROWS.jsonl | --golden FILE",
       .about =
           "Prints the loss of each row as a JSON line (row counts from 0; loss is the mean over the tokens "
           "that have a target, null where none has), then that of all. Rows: input_ids[+labels] (verbatim), "
           "text, messages, prompt+completion. Nothing is appended to text. Several adapters are scored one "
           "after the other, each line with its name. With --golden, the predictions that a golden.json "
           "records are made again: a line per prompt with the largest difference of log-probabilities, KL "
           "and agreement of the first token, and exit code 5 where they are not the recorded ones.",
       .example =
           "graft score --model models/SmolLM2-135M-Instruct --adapter runs/cooking/adapter held_out.jsonl"});
  parser.option("model", "M", arguments.model, "Hugging Face folder or .gguf file", Need::kRequired);
  arguments.adapters.declare(parser);
  parser.option("top", "K", arguments.top, "also the K likeliest next tokens at the last position");
  parser.option("golden", "FILE", arguments.golden, "a golden.json, as train, export and merge write it");
  parser.option("dtype", "bf16|fp32", arguments.dtype, "compute type (bf16; with --golden, as recorded)");
  parser.option("chat-template", "NAME", arguments.chat_template,
                "auto (the model's own), one of the model's by name, chatml, llama3, gemma, phi3, qwen, "
                "mistral, mistral-tekken, or a .jinja file");
  parser.flag("raw", arguments.raw, "no chat template: prompt and completion are joined as they are");
  parser.flag("force", arguments.force, "take an adapter that was trained on another base");
  parser.flag("json", arguments.json, "accepted for symmetry: the results are JSON lines anyway");
  parser.operand("ROWS.jsonl", arguments.rows, Need::kOptional);
  if (!parser.parse(words)) return std::nullopt;
  check(arguments.rows.empty() != arguments.golden.empty(), ExitCode::kUsage,
        "score: want either ROWS.jsonl or --golden FILE");
  check(arguments.top >= 0, ExitCode::kUsage, "--top: got ", arguments.top, ", want 0 or more");
  return arguments;
}

ComputeDType compute_type(const std::string& word) {
  if (word == "bf16" || word.empty()) return ComputeDType::kBF16;
  if (word == "fp32" || word == "f32") return ComputeDType::kF32;
  fail(ExitCode::kUsage, "--dtype: got ", word, ", want bf16 or fp32");
}

std::vector<Row> read(const std::string& path, PromptForm form) {
  const ReadOptions options{.prompt_form = form, .scope = FormatScope::kRow};
  std::vector<Row> rows = read_rows({.path = path}, options).rows;
  check(!rows.empty(), path, ": holds no rows");
  return rows;
}

// As training encodes it, without the end of text that training appends to text.
LabelledTokens encode(const Row& row, const Labeller& labeller) {
  LabelledTokens tokens = labeller.label(row);
  std::string whole;
  if (const auto* text = std::get_if<Text>(&row.value))
    whole = text->text;
  else if (const auto* plain = std::get_if<PromptCompletion>(&row.value))
    whole = plain->prompt + plain->completion;
  else
    return tokens;
  const std::size_t own = labeller.tokenizer.encode(whole, SpecialTokens::kAdd).ids.size();
  tokens.ids.resize(own);
  tokens.labels.resize(own);
  return tokens;
}

std::vector<Example> make_examples(const std::vector<Row>& rows,
                                   const std::function<LabelledTokens(const Row&)>& tokens_of) {
  std::vector<Example> examples;
  for (const Row& row : rows) {
    std::optional<Example> example = make_example(tokens_of(row), row.source, examples.size());
    check(example.has_value(), row.source.text(), ": no token to score");
    examples.push_back(std::move(*example));
  }
  return examples;
}

// Rows of tokens are scored without a tokenizer, so a base that has none can be scored too.
std::vector<Example> load_examples(const ScoreArguments& arguments) {
  std::vector<Row> rows = read(arguments.rows, PromptForm::kPlain);
  const auto as_read = [](const Row& row) {
    const auto& tokens = std::get<TokenRow>(row.value);
    return LabelledTokens{tokens.ids, tokens.labels};
  };
  const bool only_tokens =
      std::ranges::all_of(rows, [](const Row& row) { return std::holds_alternative<TokenRow>(row.value); });
  if (only_tokens) return make_examples(rows, as_read);
  const Tokenizer tokenizer = load_tokenizer(arguments.model);
  const std::optional<ChatTemplate> chat =
      arguments.raw ? std::nullopt : choose_chat_template(arguments.chat_template, tokenizer);
  if (chat) rows = read(arguments.rows, PromptForm::kChat);
  const Labeller labeller{tokenizer, chat, TrainOn::kAssistant};
  return make_examples(rows, [&](const Row& row) { return encode(row, labeller); });
}

ExitCode score_golden(const ScoreArguments& arguments) {
  const std::vector<AdapterArgument> adapters = arguments.adapters.list();
  check(adapters.size() == 1, ExitCode::kUsage, "--golden: want one --adapter at most");
  return replay_golden({.file = arguments.golden,
                        .model = arguments.model,
                        .adapter = adapters.front(),
                        .dtype = arguments.dtype,
                        .other = arguments.force ? OtherBase::kWarn : OtherBase::kRefuse});
}

Json loss_json(double loss, std::int64_t tokens) { return tokens > 0 ? Json(loss) : Json(nullptr); }

/// A line of the results, with the adapter's name where it has one.
Json line_for(const std::string& adapter) {
  return adapter.empty() ? Json::object() : Json{{"adapter", adapter}};
}

Json row_json(Json json, std::size_t row, const RowScore& score, std::int64_t top) {
  json.update({{"row", row}, {"loss", loss_json(score.loss, score.tokens)}, {"tokens", score.tokens}});
  if (top == 0) return json;
  json["top"] = Json::array();
  for (const auto& [id, log_probability] : score.top)
    json["top"].push_back(Json::array({id, log_probability}));
  return json;
}

/// `adapter`: its name where there are several, else nothing.
void print_scores(const Decoder& model, const std::string& adapter, const std::vector<Example>& examples,
                  std::int64_t top) {
  LossSum sum;
  for (std::size_t i = 0; i < examples.size(); ++i) {
    show_progress("row " + std::to_string(i + 1) + " of " + std::to_string(examples.size()));
    const RowScore score = score_example(model, examples[i], top);
    check(std::isfinite(score.loss), ExitCode::kNumerics, examples[i].source.text(),
          ": the loss is not finite (got ", score.loss, ")");
    print_json(row_json(line_for(adapter), i, score, top));
    sum.loss += score.loss * static_cast<double>(score.tokens);
    sum.tokens += score.tokens;
  }
  show_progress("");
  Json whole = line_for(adapter);
  whole.update({{"rows", examples.size()},
                {"tokens", sum.tokens},
                {"loss", loss_json(sum.mean(), sum.tokens)},
                {"perplexity", loss_json(std::exp(sum.mean()), sum.tokens)}});
  print_json(whole);
}

void warn_beyond_context(const std::vector<Example>& examples, const ModelConfig& config) {
  for (const Example& example : examples) {
    if (std::ssize(example.tokens) <= config.max_position_embeddings) continue;
    warn(example.source.text() + ": " + std::to_string(example.tokens.size()) + " tokens, more than the " +
         std::to_string(config.max_position_embeddings) + " that the base was made for");
    return;
  }
}

}  // namespace

ExitCode run_score(const std::vector<std::string>& words) {
  const std::optional<ScoreArguments> arguments = parse(words);
  if (!arguments) return ExitCode::kDone;
  const ComputeDType dtype = compute_type(arguments->dtype);
  if (!arguments->golden.empty()) return score_golden(*arguments);
  const std::vector<Example> examples = load_examples(*arguments);
  const std::vector<AdapterArgument> adapters = arguments->adapters.list();
  Decoder model = load_model({.path = arguments->model, .dtype = dtype});
  check_token_ids(examples, model.config.vocab_size);
  warn_beyond_context(examples, model.config);
  const OtherBase other = arguments->force ? OtherBase::kWarn : OtherBase::kRefuse;
  const AdapterShelf shelf = load_shelf(std::move(model), adapters, other);
  for (const AdapterArgument& adapter : adapters)
    print_scores(shelf.with(adapter.name), adapters.size() > 1 ? adapter.name : "", examples, arguments->top);
  return ExitCode::kDone;
}

}  // namespace graft
