#pragma once

#include <functional>
#include <future>
#include <map>
#include <string>

#include "data/dataset.h"
#include "peft/adapter_set.h"
#include "train/options.h"
#include "train/plan.h"
#include "train/profile.h"
#include "train/provenance.h"
#include "train/run_folder.h"
#include "train/state.h"

namespace graft {

/// The options of a run that the loop reads.
struct TrainingOptions {
  std::uint64_t seed = 42;
  bool shuffle = true;  ///< data.shuffle
  TrainOptions train;
  OptimOptions optim;
  ScheduleOptions schedule;
  EvaluationOptions evaluation;
  CheckpointOptions checkpoint;
  LogOptions log;
};

/// Name -> hash. Reading a whole base takes as long as a step, so it may be deferred: training asks when the
/// first step is done, or before it where a checkpoint is to be checked.
using FutureHashes = std::shared_future<HashesByName>;

/// What training works on. Everything is loaded and checked before; only the adapters change.
struct Training {
  const Decoder& model;
  AdapterSet& adapters;
  const Dataset& data;
  TrainingOptions options;
  Plan plan;
  RunFolder& folder;
  std::string base_path;       ///< recorded in the adapter's config
  FutureHashes hashes;         ///< of recipe, base, tokenizer, data: state.json
  FutureHashes identity;       ///< of the base's weights: recorded in the adapter's file
  Profile* profile = nullptr;  ///< receives an observation of every step, if any
  std::function<void(std::int64_t step)> after_evaluation = [](std::int64_t) {};  ///< sample answers
};

enum class Outcome {
  kFinished,      ///< all steps done
  kStoppedEarly,  ///< early_stopping_patience ran out
  kInterrupted,   ///< a signal; the state is saved
};

struct TrainingResult {
  Outcome outcome = Outcome::kFinished;
  RunState state;
};

/// Trains the adapters from `checkpoint` (empty: from their initial values) to the last step, evaluating,
/// logging and saving as the options say. Errors: kNumerics, kResource; checkpoints written before are kept.
/// A checkpoint of other data, base, tokenizer or recipe is refused (kNoCheckpoint).
TrainingResult train(const Training& training, const Path& checkpoint = {});

}  // namespace graft
