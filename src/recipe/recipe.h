#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/file.h"
#include "data/options.h"
#include "model/options.h"
#include "peft/options.h"
#include "train/options.h"

namespace graft {

/// A run, as its YAML file says it: the rooms' options and nothing else.
struct Recipe {
  std::uint64_t seed = 42;
  std::string device = "auto";   ///< auto | cpu (cuda: not yet)
  std::string output_dir;
  ModelOptions model;
  LoraOptions lora;
  DataOptions data;
  TrainOptions train;
  OptimOptions optim;
  ScheduleOptions schedule;
  EvaluationOptions evaluation;
  CheckpointOptions checkpoint;
  LogOptions log;
};

/// The recipe in a file, its parent (`extends`) and `key=value` overrides applied, validated. model.path, lora.from,
/// extends and data paths come out resolved against the file they stand in.
/// Errors (kUsage): `file:line:col: …` with did-you-mean, for an override `override 'key=value': …`.
Recipe load_recipe(const Path& path, const std::vector<std::string>& overrides = {});

/// The recipe as YAML that load_recipe reads back to the same value; every key is written.
std::string to_yaml(const Recipe& recipe);

}  // namespace graft
