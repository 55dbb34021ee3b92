#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace graft {

/// What is trained of a linear; one row of peft/methods.cpp each.
enum class AdapterMethod { kLora, kDora, kVera, kIa3 };

/// How A and B start. Kaiming and gaussian: B is zero. Orthogonal: B A is zero, neither of them is. PiSSA and
/// OLoRA: factors of the weight itself, of which what they were at the start is subtracted.
enum class LoraInit { kKaiming, kGaussian, kOrthogonal, kPissa, kOlora };

/// Which biases of the base are trained.
enum class TrainedBias { kNone, kAll, kLoraOnly };

/// Which linears get an adapter, by PEFT's rules: names (whole path or its last parts), or one regular
/// expression that matches the whole path; "all-linear" = every linear but the output head.
struct TargetModules {
  bool all_linear = true;
  std::vector<std::string> names = {};  ///< used where all_linear is false and pattern is empty
  std::string pattern = {};             ///< Python-style regular expression, full match

  bool operator==(const TargetModules&) const = default;
};

/// Values for single modules: regular expressions for the end of a module's path, the first that matches
/// counts.
template <class Value>
using ModulePattern = std::vector<std::pair<std::string, Value>>;

/// Section `lora` of a recipe.
struct LoraOptions {
  AdapterMethod method = AdapterMethod::kLora;
  std::int64_t r = 16;   ///< rank, >= 1
  double alpha = 32.0;   ///< scale is alpha / r, or alpha / sqrt(r) with use_rslora
  double dropout = 0.0;  ///< [0, 1), on the adapter's input
  TargetModules target_modules;
  TargetModules exclude_modules{.all_linear = false, .names = {}, .pattern = {}};
  std::vector<std::int64_t> layers_to_transform;  ///< blocks with adapters, from 0; empty: all
  std::vector<std::string>
      layers_pattern;  ///< name of the list of blocks; empty: any numbered part of a path
  ModulePattern<std::int64_t> rank_pattern;    ///< ranks of single modules
  ModulePattern<double> alpha_pattern;         ///< alphas of single modules
  std::vector<std::string> modules_to_save;    ///< ends of the names of modules that are trained whole
  std::vector<std::int64_t> trainable_tokens;  ///< ids whose rows of the embedding are trained
  TrainedBias bias = TrainedBias::kNone;
  bool use_rslora = false;
  bool lora_bias = false;            ///< B has a bias, which is trained too
  bool ensure_weight_tying = false;  ///< of a tied base, what is trained of embedding or head is of both
  bool freeze_a = false;             ///< only B is trained
  LoraInit init = LoraInit::kKaiming;
  std::int64_t pissa_niter = 0;  ///< rounds of the randomised SVD; 0: the exact one
  std::vector<std::string> feedforward_modules = {"down_proj"};  ///< IA3: scaled at their input
  std::int64_t projection_prng_key = 0;  ///< VeRA: what its shared matrices are drawn from
  std::string from;                      ///< adapter folder to continue from; empty: a fresh adapter
  std::vector<std::string>
      given;  ///< keys of this section that the recipe wrote; with `from`, they must agree with it
};

}  // namespace graft
