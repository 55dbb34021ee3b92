#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "data/options.h"
#include "model/options.h"
#include "peft/options.h"
#include "train/options.h"

namespace graft {

/// A run, as its YAML file says it: the rooms' options and nothing else.
struct Recipe {
  std::uint64_t seed = 42;
  std::string device = "auto";  ///< auto | cpu (cuda: not yet)
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

/// The recipe in a file, its parent (`extends`) and `key=value` overrides applied, validated. model.path,
/// lora.from, extends and data paths come out absolute, resolved against the file they stand in (in an
/// override: the working directory). Errors (kUsage): `file:line:col: …` with did-you-mean, for an override
/// `override 'key=value': …`.
Recipe load_recipe(const Path& path, const std::vector<std::string>& overrides = {});

/// The recipe as YAML that load_recipe reads back to the same value. Every key is written, but for one that
/// another key replaces (epochs where max_steps > 0, warmup_ratio where warmup_steps > 0).
std::string to_yaml(const Recipe& recipe);
/// The same as JSON.
Json to_json(const Recipe& recipe);
/// JSON Schema (draft 2020-12) of a recipe file, with defaults and one line of help per key, for editors.
Json recipe_schema();

}  // namespace graft
