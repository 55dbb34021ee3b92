#pragma once

#include <optional>

#include "data/dataset.h"
#include "model/base_outline.h"
#include "peft/adapter_set.h"
#include "recipe/recipe.h"
#include "train/forecast.h"
#include "train/trainer.h"

namespace graft {

/// A recipe and what it names, but for the weights: what every verb that takes a recipe starts from.
struct Job {
  Recipe recipe;
  ModelConfig config;
  std::optional<Tokenizer> tokenizer;  ///< empty: dropped, since nothing would read or write text any more
  std::optional<ChatTemplate> chat;    ///< empty: the base has none
  Dataset data;
};

/// Reads the base's config and tokenizer and all rows, and checks that the rows fit the base's vocabulary.
/// The job's recipe names the day that data.template_date: today stands for. Errors: as the readers.
Job load_job(Recipe recipe);

/// The recipe's fresh adapter, drawn from the headers of its base: beside what load_job reads. Errors: as
/// outline_model, draw_tensors.
AdapterTensors draw_adapter(const ModelOptions& base, const LoraOptions& lora, std::uint64_t seed);

/// The options of a recipe that the training loop reads.
TrainingOptions training_options(const Recipe& recipe);

/// A job's plan, and what it was made of.
struct JobPlan {
  TrainingShape shape = {};
  AdapterOutline adapter = {};
  Plan plan = {};
  Workload work = {};
};

/// Reads headers only. `train` replaces the recipe's section: a resumed run keeps its micro_batch_tokens.
/// Errors: as outline_model and outline_adapters.
JobPlan plan_job(const Job& job, const TrainOptions& train);

/// The base with its weights. Where it is to be computed in int8, measures first, for 0.2 s at the MLP's
/// shapes, whether that gains enough here. Errors: as load_model, check_int8_gain.
Decoder load_base(const Job& job, const JobPlan& planned);

/// What the run will take on a machine whose products run at gemm_rate FLOP/s (0: unknown, no times).
Forecast forecast_job(const Job& job, const JobPlan& planned, double gemm_rate);

}  // namespace graft
