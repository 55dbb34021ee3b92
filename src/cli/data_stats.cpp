#include <algorithm>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/job.h"
#include "cli/output.h"
#include "cli/recipe_arguments.h"

namespace graft {
namespace {

/// Tokens of the example that `share` of the examples are no longer than.
std::int64_t quantile(const std::vector<std::int64_t>& sorted, double share) {
  if (sorted.empty()) return 0;
  const auto last = static_cast<double>(sorted.size() - 1);
  return sorted[static_cast<std::size_t>(share * last + 0.5)];
}

Json stats(const DataReport& report, const std::vector<Example>& examples) {
  std::vector<std::int64_t> lengths;
  for (const Example& example : examples) lengths.push_back(std::ssize(example.tokens));
  std::sort(lengths.begin(), lengths.end());
  Json files = Json::array();
  for (const DataReport::File& file : report.files) {
    files.push_back(
        {{"path", file.path}, {"format", file.format}, {"rows", file.rows}, {"sha256", file.sha256}});
  }
  return {{"files", std::move(files)},
          {"rows", report.rows},
          {"examples", report.examples},
          {"tokens", report.tokens},
          {"target_tokens", report.target_tokens},
          {"chinese_characters", report.chinese_characters},
          {"length",
           {{"p50", quantile(lengths, 0.5)}, {"p95", quantile(lengths, 0.95)}, {"longest", report.longest}}},
          {"held_out", report.held_out},
          {"truncated", report.truncated},
          {"truncated_at", report.truncated_at},
          {"dropped_long", report.dropped_long},
          {"dropped_without_target", report.dropped_without_target},
          {"dropped_at", report.dropped_at},
          {"control_tokens", report.control_tokens},
          {"control_at", report.control_at}};
}

void print_lines(const std::string& title, const Json& stats) {
  const auto count = [&](const Json& value) { return format_count(value.get<std::int64_t>()); };
  print(title + "\n");
  for (const Json& file : stats["files"]) {
    print("  " + file["path"].get<std::string>() + ": " + count(file["rows"]) + " rows, " +
          file["format"].get<std::string>() + "\n");
  }
  const Json& length = stats["length"];
  print("  examples " + count(stats["examples"]) + " of " + count(stats["rows"]) + " rows, tokens " +
        count(stats["tokens"]) + ", learned " + count(stats["target_tokens"]) + "\n");
  print("  length: half up to " + count(length["p50"]) + ", 95 % up to " + count(length["p95"]) +
        ", longest " + count(length["longest"]) + "\n");
  print("  truncated " + count(stats["truncated"]) + ", dropped: too long " + count(stats["dropped_long"]) +
        ", without target " + count(stats["dropped_without_target"]) + "; control tokens in texts " +
        count(stats["control_tokens"]) + "\n");
  for (const char* list : {"truncated_at", "dropped_at", "control_at"}) {
    for (const Json& line : stats[list]) print("    " + line.get<std::string>() + "\n");
  }
}

}  // namespace

ExitCode run_data_stats(const std::vector<std::string>& words) {
  RecipeArguments given;
  Arguments parser(
      {.verb = "data stats",
       .synopsis = "RECIPE [key=value…] [--json]",
       .about =
           "Counts what a recipe would train on: rows, examples, tokens, lengths, what is dropped and why.",
       .example = "graft data stats recipes/cooking.yaml"});
  given.declare(parser, "one JSON document instead of lines");
  if (!parser.parse(words)) return ExitCode::kDone;

  const Job job = load_job(given.load());
  const Json train = stats(job.data.train_report, job.data.train),
             eval = stats(job.data.eval_report, job.data.eval);
  if (given.json) {
    print_json({{"train", train}, {"eval", eval}});
    return ExitCode::kDone;
  }
  print_lines("train", train);
  if (!job.data.eval.empty()) print_lines("eval", eval);
  return ExitCode::kDone;
}

}  // namespace graft
