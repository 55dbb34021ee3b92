#include <functional>
#include <future>
#include <optional>

#include "base/console.h"
#include "base/error.h"
#include "base/machine.h"
#include "base/sha256.h"
#include "base/text.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/golden_file.h"
#include "cli/job.h"
#include "cli/output.h"
#include "cli/train_report.h"
#include "export/tokenizer_files.h"
#include "generate/answer.h"
#include "generate/stop_tokens.h"
#include "ops/cpu_allocator.h"
#include "peft/base_identity.h"
#include "peft/identity_record.h"
#include "recipe/recipe.h"
#include "train/checkpoint.h"
#include "train/metrics.h"
#include "train/provenance.h"
#include "train/run_record.h"
#include "train/trainer.h"

namespace graft {
namespace {

struct TrainArguments {
  std::string recipe;
  std::vector<std::string> overrides;
  bool resume = false, overwrite = false, dry_run = false, profile = false, json = false;

  ExistingRun existing() const {
    if (resume) return ExistingRun::kResume;
    return overwrite ? ExistingRun::kOverwrite : ExistingRun::kRefuse;
  }
};

std::optional<TrainArguments> parse(const std::vector<std::string>& words) {
  TrainArguments arguments;
  Arguments parser(
      {.verb = "train",
       .synopsis = "RECIPE [key=value…] [--resume | --overwrite] [--dry-run] [--profile] [--json]",
       .about = "Trains the adapter that a recipe describes and writes it to the recipe's output_dir.",
       .example = "graft train recipes/cooking.yaml train.epochs=1"});
  parser.flag("resume", arguments.resume, "go on from the newest checkpoint in output_dir");
  parser.flag("overwrite", arguments.overwrite, "remove the run that output_dir holds");
  parser.flag("dry-run", arguments.dry_run,
              "load and check everything, say what would be done, write nothing");
  parser.flag(
      "profile", arguments.profile,
      "time and bytes by kind of operation, beside the machine's GEMM rate; also output_dir/profile.json");
  parser.flag("json", arguments.json, "the result as one JSON document");
  parser.operand("RECIPE", arguments.recipe);
  parser.operands("key=value", arguments.overrides);
  if (!parser.parse(words)) return std::nullopt;
  check(!(arguments.resume && arguments.overwrite), ExitCode::kUsage,
        "--resume and --overwrite exclude each other");
  return arguments;
}

// The recipe without what may differ between a run and its resumption.
std::string hash_recipe(Recipe recipe) {
  recipe.output_dir = "";
  recipe.log = {};
  recipe.checkpoint = {};
  recipe.evaluation.sample_prompts = {};
  recipe.train.micro_batch_tokens = 0;
  return sha256_hex(std::as_bytes(std::span<const char>(to_yaml(recipe))));
}

// Where to go on, if anywhere. Errors (kNoCheckpoint): there are checkpoints and none holds.
Path checkpoint_to_resume(const Recipe& recipe) {
  const CheckpointChoice choice = newest_checkpoint(Path(recipe.output_dir) / "checkpoints");
  for (const std::string& reason : choice.rejected) warn("checkpoint " + reason + "; passed over");
  if (choice.path) return *choice.path;
  check(choice.rejected.empty(), ExitCode::kNoCheckpoint, recipe.output_dir, ": no checkpoint is valid",
        Hint{"--overwrite starts this run anew"});
  say("nothing to resume in " + recipe.output_dir + ": starting from the beginning");
  return {};
}

// A resumed run writes the date that it began with: "today" is that of its first start.
void keep_template_date(Recipe& recipe) {
  const Path resolved = Path(recipe.output_dir) / "recipe.resolved.yaml";
  if (recipe.data.template_date == "today" && std::filesystem::exists(resolved))
    recipe.data.template_date = load_recipe(resolved).data.template_date;
}

// A resumed run cuts its steps as it did: what a micro-step is shows in the last bits of a sum.
TrainOptions resumed_options(TrainOptions options, const Path& checkpoint) {
  if (checkpoint.empty()) return options;
  const std::int64_t before = read_state(checkpoint).micro_batch_tokens;
  if (options.micro_batch_tokens > 0 && options.micro_batch_tokens != before)
    say("micro_batch_tokens stays " + std::to_string(before) + ", as this run began");
  options.micro_batch_tokens = before;
  return options;
}

// Hashes of a run's inputs. Reading a whole base takes as long as a step, so those of its files wait until
// they are asked for, after the first step; a checkpoint is checked against them, so a resumed run begins
// with them.
class InputHashes {
 public:
  InputHashes(const Recipe& recipe, const Path& checkpoint)
      : base_(std::async(checkpoint.empty() ? std::launch::deferred : std::launch::async, hash_model_files,
                         Path(recipe.model.path))) {}

  // Adds those of base and tokenizer to the record, and to run.json.
  FutureHashes complete(RunRecord& record, const RunFolder& folder) {
    return std::async(std::launch::deferred, [this, &record, &folder] {
      record.hashes.merge(base_.get());
      write_run_record(folder, record, nullptr);
      return record.hashes;
    });
  }

 private:
  std::future<HashesByName> base_;
};

RunRecord record_of(const Job& job, const JobPlan& planned, const AdapterSet& adapters) {
  const Recipe& recipe = job.recipe;
  return {.base_path = recipe.model.path,
          .chat_template = job.chat ? job.chat->name() : "none",
          .seed = recipe.seed,
          .trainable_parameters = adapters.parameter_count(),
          .train_data = job.data.train_report,
          .eval_data = job.data.eval_report,
          .plan = planned.plan,
          .hashes = {{"recipe", hash_recipe(recipe)},
                     {"data", hash_data(job.data.train_report, job.data.eval_report)}}};
}

// A plan is an estimate, so it refuses nothing.
void warn_of_memory(std::uint64_t planned) {
  const std::uint64_t installed = installed_memory_bytes();
  if (installed == 0 || planned <= installed) return;
  warn("this run needs about " + format_bytes(planned) + ", and there are " + format_bytes(installed) +
       " of memory; a smaller train.micro_batch_tokens or train.activation_checkpointing: full needs less");
}

// Answers to evaluation.sample_prompts, so that a reader sees what the numbers mean.
void print_samples(const Decoder& model, const Tokenizer& tokenizer, const std::optional<ChatTemplate>& chat,
                   const std::vector<std::string>& prompts) {
  const std::vector<std::int32_t> stop_ids = stop_tokens(model.config, tokenizer, chat);
  for (const std::string& prompt : prompts) {
    Generator generator(model);
    const Message message{.role = "user", .content = prompt};
    Request request{.prompt = chat ? chat_prompt(tokenizer, *chat, {&message, 1})
                                   : tokenizer.encode(prompt, SpecialTokens::kAdd).ids,
                    .sampling = {.max_new_tokens = 96},
                    .stop_ids = stop_ids};
    say("  > " + prompt + "\n  " + write_answer(generator, tokenizer, std::move(request)).text);
  }
}

// adapter/: the adapter of the best checkpoint (or the last), with the files that let other tools load it and
// the chat template that it was trained with.
void write_adapter(const RunFolder& folder, const RunState& state, const Job& job) {
  const Recipe& recipe = job.recipe;
  const bool best = recipe.checkpoint.keep_best && state.best_step >= 0;
  const std::int64_t step = best ? state.best_step : state.step;
  const Path source = checkpoint_path(folder.checkpoints(), step) / "adapter";
  graft::remove_all(folder.adapter());
  OutputFolder adapter(folder.adapter());
  for (const char* name : {"adapter_config.json", "adapter_model.safetensors"}) {
    graft::copy_file(source / name, adapter.temporary() / name);
  }
  write_tokenizer_files(recipe.model.path, job.config, adapter.temporary());
  const bool own_template = recipe.data.chat_template == "auto" || !job.chat;
  if (!own_template) write_chat_template(job.chat->source(), adapter.temporary());
  adapter.commit();
}

// What the frozen weights were quantised to for the training, if they were.
std::string quantized_to(const ModelOptions& model) {
  if (model.quantization == Quantization::kNf4) return "nf4";
  return model.quantization == Quantization::kQ8_0 ? "q8_0" : "";
}

// How the frozen weights were held in memory.
std::string held_as(const ModelOptions& model) {
  if (model.compute == Compute::kInt8) return "int8";
  const std::string quantized = quantized_to(model);
  return quantized.empty() ? weights_word(model.path) : quantized;
}

// What the adapter's file tells of its base.
AdapterMetadata identity_of(const Decoder& model, const AdapterSet& adapters, const ModelOptions& options) {
  AdapterMetadata identity = base_identity(model, adapters.touched);
  if (const std::string quantized = quantized_to(options); !quantized.empty())
    identity[kBaseQuantizationKey] = quantized;
  return identity;
}

// The base without its adapters, and what it is asked once they are trained.
struct Untrained {
  Decoder model;
  Prompts prompts;
};

// What base and adapter predict, for whoever runs the adapter elsewhere: the adapter as it was written.
void write_golden_beside(const RunFolder& folder, const Untrained& base, const ModelOptions& options) {
  Decoder adapted = base.model;
  load_adapter(adapted, folder.adapter(), ZeroAdapter::kAccept);
  const GoldenOrigin origin{.model = base.model,
                            .base_path = options.path,
                            .weights = held_as(options),
                            .adapter = folder.adapter()};
  const auto& [model, prompts] = base;
  write_golden(make_golden(origin, prompts, predictions(adapted, prompts), predictions(model, prompts)),
               golden_path(folder.adapter()));
}

void begin_files(const RunFolder& folder, const Path& checkpoint, const Recipe& recipe,
                 const RunRecord& record) {
  cut_metrics(folder.metrics(), checkpoint.empty() ? -1 : read_state(checkpoint).step);
  write_file(folder.recipe(), to_yaml(recipe));
  write_run_record(folder, record, nullptr);
}

ExitCode leave_untrained(const TrainArguments& arguments, const Recipe& recipe, const char* outcome) {
  if (arguments.json) print_json({{"outcome", outcome}, {"output_dir", recipe.output_dir}});
  return ExitCode::kDone;
}

// The table for a reader, and the same as data in the run's folder.
Json report_profile(Profile& profile, const RunFolder& folder) {
  profile.probe();
  say(profile.table());
  Json json = profile.json();
  write_file(folder.profile(), to_text(json, 1) + "\n");
  return json;
}

ExitCode finish(const TrainingResult& result, const RunFolder& folder, const Job& job, const Untrained& base,
                const RunRecord& record, const TrainArguments& arguments, const Json& profile) {
  if (result.outcome == Outcome::kInterrupted) {
    say("stopped after step " + std::to_string(result.state.step) + "; the state is saved");
    say("go on: graft train " + arguments.recipe + " --resume");
    if (arguments.json) print_json(result_document(result, folder, profile));
    return ExitCode::kStopped;
  }
  write_adapter(folder, result.state, job);
  write_golden_beside(folder, base, job.recipe.model);
  write_run_record(folder, record, &result.state);
  if (arguments.json)
    print_json(result_document(result, folder, profile));
  else
    print(result_text(result, folder, job.recipe));
  return ExitCode::kDone;
}

}  // namespace

ExitCode run_train(const std::vector<std::string>& words) {
  const std::optional<TrainArguments> arguments = parse(words);
  if (!arguments) return ExitCode::kDone;
  Recipe wanted = load_recipe(arguments->recipe, arguments->overrides);
  check_output_folder(wanted.output_dir, arguments->existing());
  if (arguments->resume && run_is_finished(wanted.output_dir)) {
    say(wanted.output_dir + " holds a finished run: nothing to do");
    return leave_untrained(*arguments, wanted, "nothing_to_do");
  }
  const Path checkpoint = arguments->resume ? checkpoint_to_resume(wanted) : Path();
  if (!checkpoint.empty()) keep_template_date(wanted);

  InputHashes hashes(wanted, checkpoint);
  std::future<AdapterTensors> drawn =
      std::async(std::launch::async, draw_adapter, wanted.model, wanted.lora, wanted.seed);
  Job job = load_job(std::move(wanted));
  const Recipe& recipe = job.recipe;
  const JobPlan planned = plan_job(job, resumed_options(recipe.train, checkpoint));
  const Untrained base{load_base(job, planned), held_prompts(*job.tokenizer, job.config)};
  Decoder model = base.model;
  AdapterSet adapters = attach_adapters(model, recipe.lora, recipe.seed, drawn.get());
  RunRecord record = record_of(job, planned, adapters);
  say(header_text(job, planned));
  warn_of_memory(forecast_job(job, planned, 0).memory.total());
  if (arguments->dry_run) return leave_untrained(*arguments, recipe, "dry_run");

  RunFolder folder(recipe.output_dir, arguments->existing());
  begin_files(folder, checkpoint, recipe, record);
  std::optional<Profile> profile;
  if (arguments->profile)
    profile.emplace(model.config, recipe.model.dtype, planned.adapter.active_parameters);
  const Training training{.model = model,
                          .adapters = adapters,
                          .data = job.data,
                          .options = training_options(recipe),
                          .plan = planned.plan,
                          .folder = folder,
                          .base_path = recipe.model.path,
                          .hashes = hashes.complete(record, folder),
                          .identity = std::async(std::launch::deferred, identity_of, std::cref(model),
                                                 std::cref(adapters), std::cref(recipe.model)),
                          .profile = profile ? &*profile : nullptr,
                          .after_evaluation = [&](std::int64_t) {
                            if (job.tokenizer)
                              print_samples(model, *job.tokenizer, job.chat,
                                            recipe.evaluation.sample_prompts);
                          }};
  if (recipe.evaluation.sample_prompts.empty()) job.tokenizer.reset();
  release_cached_bytes();
  const TrainingResult result = train(training, checkpoint);
  const Json profiled = profile ? report_profile(*profile, folder) : Json(nullptr);
  return finish(result, folder, job, base, record, *arguments, profiled);
}

}  // namespace graft
