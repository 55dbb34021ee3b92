#include "cli/job.h"

#include <algorithm>
#include <utility>

#include "base/date.h"
#include "base/machine.h"
#include "ops/int8_weight.h"

namespace graft {

Job load_job(Recipe recipe) {
  ModelConfig config = load_config(recipe.model.path);
  Tokenizer tokenizer = load_tokenizer(recipe.model.path);
  if (recipe.data.template_date == "today") recipe.data.template_date = format_date(local_time());
  std::optional<ChatTemplate> chat = choose_chat_template(recipe.data.chat_template, tokenizer,
                                                          parse_date(recipe.data.template_date).value());
  Dataset data = load_dataset(recipe.data, tokenizer, chat, recipe.seed);
  check_token_ids(data.train, config.vocab_size);
  check_token_ids(data.eval, config.vocab_size);
  return {std::move(recipe), std::move(config), std::move(tokenizer), std::move(chat), std::move(data)};
}

AdapterTensors draw_adapter(const ModelOptions& base, const LoraOptions& lora, std::uint64_t seed) {
  if (!lora.from.empty()) return {};
  return draw_tensors(outline_model(base).model, lora, seed);
}

TrainingOptions training_options(const Recipe& recipe) {
  return {.seed = recipe.seed,
          .shuffle = recipe.data.shuffle,
          .train = recipe.train,
          .optim = recipe.optim,
          .schedule = recipe.schedule,
          .evaluation = recipe.evaluation,
          .checkpoint = recipe.checkpoint,
          .log = recipe.log};
}

namespace {

std::int64_t all_tokens(const Dataset& data) { return data.train_report.tokens + data.eval_report.tokens; }

}  // namespace

JobPlan plan_job(const Job& job, const TrainOptions& train) {
  const BaseOutline base = outline_model(job.recipe.model);
  JobPlan made{.adapter = outline_adapters(base.model, job.recipe.lora)};
  made.shape = {.config = base.model.config,
                .dtype = job.recipe.model.dtype,
                .quantization = job.recipe.model.quantization,
                .compute = job.recipe.model.compute,
                .base = base.sizes,
                .adapter_parameters = made.adapter.parameters,
                .active_adapter_parameters = made.adapter.active_parameters,
                .adapter_ranks = made.adapter.ranks,
                .first_block = made.adapter.first_block};
  const DataReport& rows = job.data.train_report;
  const DataCounts counts{.examples = rows.examples, .tokens = all_tokens(job.data), .longest = rows.longest};
  made.plan = make_plan(train, made.shape, counts, installed_memory_bytes());
  made.work = count_workload(job.data, training_options(job.recipe), made.plan);
  return made;
}

Decoder load_base(const Job& job, const JobPlan& planned) {
  if (job.recipe.model.compute == Compute::kInt8) {
    const ModelConfig& config = planned.shape.config;
    const auto rows = std::max<std::int64_t>(1, mean_pack(planned.work).tokens);
    check_int8_gain(probe_products(rows, config.intermediate_size, config.hidden_size));
  }
  return load_model(job.recipe.model);
}

Forecast forecast_job(const Job& job, const JobPlan& planned, double gemm_rate) {
  return make_forecast(planned.shape, planned.plan, planned.work, all_tokens(job.data), gemm_rate);
}

}  // namespace graft
