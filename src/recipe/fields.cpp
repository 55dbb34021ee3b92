#include "recipe/fields.h"

#include "base/date.h"

namespace graft {
namespace {

Type<ModelOptions> model() {
  return Record<ModelOptions>()
      .key("path", &ModelOptions::path, path_text(),
           "Hugging Face folder or .gguf file, relative to this file")
      .key("dtype", &ModelOptions::dtype,
           choice<ComputeDType>(
               {{"bf16", ComputeDType::kBF16}, {"fp32", ComputeDType::kF32}, {"f32", ComputeDType::kF32}},
               {"fp16", "f16"}),
           "type that is computed in")
      .key("quantization", &ModelOptions::quantization,
           choice<Quantization>({{"none", Quantization::kNone},
                                 {"nf4", Quantization::kNf4},
                                 {"q8_0", Quantization::kQ8_0},
                                 {"keep", Quantization::kKeep}}),
           "how the frozen base is held in memory")
      .key("compute", &ModelOptions::compute,
           choice<Compute>({{"auto", Compute::kAuto}, {"int8", Compute::kInt8}}),
           "type of the products of the frozen base")
      .type();
}

/// "all-linear", a list of names, or one regular expression.
Type<TargetModules> target_modules() {
  Type<TargetModules> type;
  type.schema = {
      {"oneOf", {Json{{"type", "string"}}, Json{{"type", "array"}, {"items", {{"type", "string"}}}}}}};
  type.read = [names = list_of(text())](const YamlNode& node, const std::string& path, TargetModules& value) {
    value = {.all_linear = false, .names = {}, .pattern = {}};
    if (node.kind == YamlKind::kList) return names.read(node, path, value.names);
    if (node.kind != YamlKind::kScalar) {
      fail_at(node.place, path, "wrong type", describe(node),
              "all-linear, a list of names, or a regular expression");
    }
    value.pattern = read_text(node, path);
    value.all_linear = value.pattern == "all-linear";
    if (value.all_linear) value.pattern.clear();
  };
  type.write = [](const TargetModules& value) -> Json {
    if (value.all_linear) return "all-linear";
    return value.pattern.empty() ? Json(value.names) : Json(value.pattern);
  };
  return type;
}

/// A map from expressions for module paths to values, in its own order.
template <class Value>
Type<ModulePattern<Value>> module_pattern(Type<Value> value) {
  Type<ModulePattern<Value>> type;
  type.schema = {{"type", "object"}, {"additionalProperties", value.schema}};
  type.read = [value](const YamlNode& node, const std::string& path, ModulePattern<Value>& pattern) {
    if (node.kind != YamlKind::kMap)
      fail_at(node.place, path, "wrong type", describe(node), "a map {module: value}");
    pattern.clear();
    for (const YamlEntry& entry : node.entries) {
      pattern.emplace_back(entry.key, Value{});
      value.read(entry.value, path + "." + entry.key, pattern.back().second);
    }
  };
  type.write = [value](const ModulePattern<Value>& pattern) {
    Json result = Json::object();
    for (const auto& [key, one] : pattern) result[key] = value.write(one);
    return result;
  };
  return type;
}

constexpr std::string_view kPissaNiter = "pissa_niter_";

/// One word for LoraOptions::init and pissa_niter.
Type<LoraOptions> init() {
  const Type<LoraInit> words = choice<LoraInit>({{"kaiming", LoraInit::kKaiming},
                                                 {"gaussian", LoraInit::kGaussian},
                                                 {"orthogonal", LoraInit::kOrthogonal},
                                                 {"pissa", LoraInit::kPissa},
                                                 {"olora", LoraInit::kOlora}},
                                                {"eva", "corda", "loftq", "lora_ga", "mica"});
  Type<LoraOptions> type;
  type.schema = {
      {"oneOf", {words.schema, Json{{"type", "string"}, {"pattern", "^pissa_niter_[1-9][0-9]*$"}}}}};
  type.read = [read = words.read](const YamlNode& node, const std::string& path, LoraOptions& options) {
    if (node.kind != YamlKind::kScalar || !node.text.starts_with(kPissaNiter)) {
      options.pissa_niter = 0;
      return read(node, path, options.init);
    }
    const auto niter = parse_integer(std::string_view(node.text).substr(kPissaNiter.size()));
    if (!niter || *niter < 1)
      fail_at(node.place, path, "unknown value", node.text, "pissa_niter_N, N from 1");
    options.init = LoraInit::kPissa;
    options.pissa_niter = *niter;
  };
  type.write = [write = words.write](const LoraOptions& options) -> Json {
    if (options.pissa_niter > 0) return std::string(kPissaNiter) + std::to_string(options.pissa_niter);
    return write(options.init);
  };
  return type;
}

Type<LoraOptions> lora() {
  return Record<LoraOptions>()
      .key("method", &LoraOptions::method,
           choice<AdapterMethod>({{"lora", AdapterMethod::kLora},
                                  {"dora", AdapterMethod::kDora},
                                  {"vera", AdapterMethod::kVera},
                                  {"ia3", AdapterMethod::kIa3}},
                                 {"adalora", "loha", "lokr", "oft", "boft", "fourierft"}),
           "kind of adapter")
      .key("r", &LoraOptions::r, integer(from(1)), "rank of the adapters")
      .key("alpha", &LoraOptions::alpha, number(above(0)), "the adapters' output is scaled by alpha / r")
      .key("dropout", &LoraOptions::dropout, number(from_to_below(0, 1)),
           "share of an adapter's inputs set to 0")
      .key("target_modules", &LoraOptions::target_modules, target_modules(),
           "all-linear, a list of names, or one regular expression that matches the whole name")
      .key("exclude_modules", &LoraOptions::exclude_modules, target_modules(),
           "modules left out, in the same form")
      .key("layers_to_transform", &LoraOptions::layers_to_transform, list_of(integer(from(0))),
           "blocks that get adapters, from 0; empty: all")
      .key("layers_pattern", &LoraOptions::layers_pattern, list_of(text()),
           "name of the list of blocks, where a path has several numbers")
      .key("rank_pattern", &LoraOptions::rank_pattern, module_pattern(integer(from(1))),
           "ranks of single modules, by the end of their names; the first that matches counts")
      .key("alpha_pattern", &LoraOptions::alpha_pattern, module_pattern(number(above(0))),
           "alphas of single modules")
      .key("modules_to_save", &LoraOptions::modules_to_save, list_of(text()),
           "modules trained whole, by the end of their names")
      .key("trainable_tokens", &LoraOptions::trainable_tokens, list_of(integer(from(0))),
           "ids of tokens whose embeddings are trained")
      .key("bias", &LoraOptions::bias,
           choice<TrainedBias>({{"none", TrainedBias::kNone},
                                {"all", TrainedBias::kAll},
                                {"lora_only", TrainedBias::kLoraOnly}}),
           "biases of the base that are trained: of all linears, or of those with adapters")
      .key("use_rslora", &LoraOptions::use_rslora, boolean(), "scale by alpha / sqrt(r) instead")
      .key("ensure_weight_tying", &LoraOptions::ensure_weight_tying, boolean(),
           "where embedding and head are one matrix, what is trained of one is trained of both")
      .key("lora_bias", &LoraOptions::lora_bias, boolean(), "B has a bias, which is trained too")
      .key("freeze_a", &LoraOptions::freeze_a, boolean(), "train B alone (LoRA-FA)")
      .part("init", init(),
            "how A starts (B at zero); orthogonal: both; pissa, pissa_niter_N, olora: parts of the weight, "
            "which "
            "are subtracted again")
      .key("feedforward_modules", &LoraOptions::feedforward_modules, list_of(text()),
           "modules that ia3 scales at their input")
      .key("from", &LoraOptions::from, path_text(), "adapter folder to continue from, relative to this file")
      .type();
}

Type<DataSource> data_source() {
  Type<DataSource> type =
      Record<DataSource>()
          .key("path", &DataSource::path, path_text(), "file of rows, relative to this file")
          .key("format", &DataSource::format,
               choice<std::string>({{"auto", "auto"},
                                    {"messages", "messages"},
                                    {"sharegpt", "sharegpt"},
                                    {"alpaca", "alpaca"},
                                    {"prompt_completion", "prompt_completion"},
                                    {"text", "text"},
                                    {"tokens", "tokens"}}),
               "form of the rows")
          .later("weight", 1.0, "expected copies of each row per epoch")
          .key("max_samples", &DataSource::max_samples, integer(from(0)), "first rows taken; 0: all")
          .type();
  type.schema["required"] = {"path"};
  type.read = [read = type.read](const YamlNode& node, const std::string& path, DataSource& source) {
    if (node.kind != YamlKind::kMap) {
      fail_at(node.place, path, "wrong type", describe(node), "{path: FILE}",
              node.kind == YamlKind::kScalar ? "write {path: " + node.text + "}" : "");
    }
    read(node, path, source);
    if (source.path.empty()) fail_at(node.place, path + ".path", "missing", "nothing", "a file of rows");
  };
  return type;
}

/// "today", or a day.
Type<std::string> date_text() {
  Type<std::string> type = text();
  type.schema = {{"type", "string"}, {"pattern", "^(today|[0-9]{4}-[0-9]{2}-[0-9]{2})$"}};
  type.read = [](const YamlNode& node, const std::string& path, std::string& value) {
    value = read_text(node, path);
    if (value != "today" && !parse_date(value))
      fail_at(node.place, path, "no such day", describe(node), "today, or YYYY-MM-DD");
  };
  return type;
}

Type<DataOptions> data() {
  return Record<DataOptions>()
      .key("max_seq_len", &DataOptions::max_seq_len, integer(from(2)), "tokens of the longest example")
      .key("over_length", &DataOptions::over_length,
           choice<OverLength>({{"drop", OverLength::kDrop},
                               {"truncate", OverLength::kTruncate},
                               {"error", OverLength::kError}},
                              {"split"}),
           "what becomes of a longer one")
      .key("chat_template", &DataOptions::chat_template, text(),
           "auto (the model's own), one of the model's by name, chatml, llama3, gemma, phi3, qwen, mistral, "
           "mistral-tekken, or a .jinja file")
      .key("template_date", &DataOptions::template_date, date_text(),
           "the date that a template which writes one sees: today (that of the run's first start), or "
           "YYYY-MM-DD")
      .key("train_on", &DataOptions::train_on,
           choice<TrainOn>({{"assistant", TrainOn::kAssistant},
                            {"last_turn", TrainOn::kLastTurn},
                            {"all", TrainOn::kAll}}),
           "turns that are learned")
      .key("train", &DataOptions::train, list_of(data_source()), "files of training rows")
      .key("eval", &DataOptions::eval, list_of(data_source()), "files of held-out rows; or eval_fraction")
      .key("eval_fraction", &DataOptions::eval_fraction, number(from_to_below(0, 1)),
           "share of the rows held out")
      .key("shuffle", &DataOptions::shuffle, boolean(), "false: file order, every epoch")
      .later("clean", Json::object(), "filters over the rows")
      .type();
}

Type<TrainOptions> train() {
  using Checkpointing = ActivationCheckpointing;
  return Record<TrainOptions>()
      .key("objective", &TrainOptions::objective,
           choice<Objective>({{"sft", Objective::kSft}, {"pretrain", Objective::kPretrain}},
                             {"dpo", "orpo", "kto", "simpo", "grpo"}),
           "what is learned")
      .key("epochs", &TrainOptions::epochs, integer(from(1)), "passes over the data")
      .key("max_steps", &TrainOptions::max_steps, integer(from(0)),
           "optimizer steps instead of epochs; 0: epochs")
      .key("batch_size", &TrainOptions::batch_size, integer(from(1)), "examples per optimizer step")
      .key("micro_batch_tokens", &TrainOptions::micro_batch_tokens, integer_or_auto(from(1)),
           "tokens per micro-step: memory and speed, not the result")
      .key("activation_checkpointing", &TrainOptions::activation_checkpointing,
           choice<Checkpointing>({{"auto", Checkpointing::kAuto},
                                  {"none", Checkpointing::kNone},
                                  {"selective", Checkpointing::kSelective},
                                  {"full", Checkpointing::kFull}}),
           "recompute activations in the backward pass")
      .key("max_grad_norm", &TrainOptions::max_grad_norm, number(from(0)),
           "longer gradients are cut to it; 0: off")
      .type();
}

/// The two decay rates of AdamW, one list in YAML and two members here.
Type<OptimOptions> betas() {
  Type<OptimOptions> type;
  type.schema = {
      {"type", "array"}, {"items", number(from_to_below(0, 1)).schema}, {"minItems", 2}, {"maxItems", 2}};
  type.read = [rates = list_of(number(from_to_below(0, 1)))](const YamlNode& node, const std::string& path,
                                                             OptimOptions& optim) {
    std::vector<double> values;
    rates.read(node, path, values);
    if (values.size() != 2) {
      fail_at(node.place, path, "wrong length", "a list of " + std::to_string(values.size()),
              "[beta1, beta2]");
    }
    optim.beta1 = values[0];
    optim.beta2 = values[1];
  };
  type.write = [](const OptimOptions& optim) -> Json { return {optim.beta1, optim.beta2}; };
  return type;
}

Type<OptimOptions> optim() {
  return Record<OptimOptions>()
      .later("name", "adamw", "optimizer")
      .key("learning_rate", &OptimOptions::learning_rate, number(above(0)), "at its peak")
      .key("weight_decay", &OptimOptions::weight_decay, number(from(0)), "of AdamW, decoupled")
      .part("betas", betas(), "decay rates of the two moments")
      .key("eps", &OptimOptions::eps, number(above(0)), "added to the root of the second moment")
      .key("loraplus_lr_ratio", &OptimOptions::loraplus_lr_ratio, number(above(0)),
           "learning rate of B over that of A (LoRA+)")
      .key("loraplus_lr_embedding", &OptimOptions::loraplus_lr_embedding, number(above(0)),
           "learning rate of an embedding's adapter where loraplus_lr_ratio is not 1")
      .type();
}

Type<ScheduleOptions> schedule() {
  return Record<ScheduleOptions>()
      .key("name", &ScheduleOptions::name,
           choice<ScheduleName>({{"cosine", ScheduleName::kCosine},
                                 {"linear", ScheduleName::kLinear},
                                 {"constant", ScheduleName::kConstant}}),
           "shape of the decay after the warm-up")
      .key("warmup_ratio", &ScheduleOptions::warmup_ratio, number(between(0, 1)), "share of all steps")
      .key("warmup_steps", &ScheduleOptions::warmup_steps, integer(from(0)),
           "steps instead of warmup_ratio; 0: the ratio")
      .key("min_lr_ratio", &ScheduleOptions::min_lr_ratio, number(between(0, 1)),
           "floor of the decay, share of the peak")
      .type();
}

Type<EvaluationOptions> evaluation() {
  return Record<EvaluationOptions>()
      .key("every_steps", &EvaluationOptions::every_steps, integer(from(1)), "steps between evaluations")
      .key("early_stopping_patience", &EvaluationOptions::early_stopping_patience, integer(from(0)),
           "evaluations without a better loss before stopping; 0: never")
      .key("sample_prompts", &EvaluationOptions::sample_prompts, list_of(text()),
           "answered after each evaluation")
      .type();
}

Type<CheckpointOptions> checkpoint() {
  return Record<CheckpointOptions>()
      .key("every_steps", &CheckpointOptions::every_steps, integer(from(1)), "steps between checkpoints")
      .key("keep_last", &CheckpointOptions::keep_last, integer(from(1)), "checkpoints kept")
      .key("keep_best", &CheckpointOptions::keep_best, boolean(),
           "adapter/ is the best by evaluation loss, not the last")
      .type();
}

Type<LogOptions> log() {
  return Record<LogOptions>()
      .key("every_steps", &LogOptions::every_steps, integer(from(1)), "steps between lines")
      .later("tensorboard", false, "event files for TensorBoard")
      .type();
}

/// The form of recipes that this version reads and writes.
constexpr std::int64_t kVersion = 1;

Type<Recipe> version() {
  Type<Recipe> type;
  type.schema = {{"const", kVersion}};
  type.read = [](const YamlNode& node, const std::string& path, Recipe&) {
    if (read_integer(node, path, from(1)) == kVersion) return;
    fail_at(node.place, path, "written for another version of graft", node.text, std::to_string(kVersion));
  };
  type.write = [](const Recipe&) -> Json { return kVersion; };
  return type;
}

void collect_paths(const Json& schema, const std::string& prefix, std::vector<std::string>& paths) {
  for (const auto& [name, key] : schema["properties"].items()) {
    if (key.contains("properties")) {
      collect_paths(key, prefix + name + ".", paths);
    } else {
      paths.push_back(prefix + name);
    }
  }
}

}  // namespace

Type<Recipe> recipe_type() {
  return Record<Recipe>()
      .part("version", version(), "version of the recipe's form")
      .key("seed", &Recipe::seed, unsigned_integer(),
           "order, splits, dropout and initial values follow from it")
      .key("device", &Recipe::device, choice<std::string>({{"auto", "auto"}, {"cpu", "cpu"}}, {"cuda"}),
           "where to compute")
      .key("output_dir", &Recipe::output_dir, text(), "folder of the run, relative to the working directory")
      .key("model", &Recipe::model, model(), "the base, which stays frozen")
      .key("lora", &Recipe::lora, lora(), "the adapters, which are trained")
      .key("data", &Recipe::data, data(), "the rows")
      .key("train", &Recipe::train, train(), "the steps")
      .key("optim", &Recipe::optim, optim(), "AdamW")
      .key("schedule", &Recipe::schedule, schedule(), "the learning rate over the run")
      .key("evaluation", &Recipe::evaluation, evaluation(), "losses on held-out rows")
      .key("checkpoint", &Recipe::checkpoint, checkpoint(), "what --resume goes on from")
      .key("log", &Recipe::log, log(), "metrics.jsonl and the console")
      .type();
}

std::vector<std::string> key_paths() {
  std::vector<std::string> paths;
  collect_paths(recipe_type().schema, "", paths);
  return paths;
}

const std::array<ExclusiveKeys, 3>& exclusive_keys() {
  static const std::array<ExclusiveKeys, 3> table = {{
      {{"train.epochs", nullptr}, {"train.max_steps", 0}},
      {{"data.eval", Json::array()}, {"data.eval_fraction", 0.0}},
      {{"schedule.warmup_ratio", 0.0}, {"schedule.warmup_steps", 0}},
  }};
  return table;
}

}  // namespace graft
