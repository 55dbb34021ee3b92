#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace graft {

/// How A starts (B starts at zero).
enum class LoraInit { kKaiming, kGaussian };

/// Which linears get an adapter, by PEFT's rules: names (whole path or its last parts), or one regular
/// expression that matches the whole path; "all-linear" = every linear but the output head.
struct TargetModules {
  bool all_linear = true;
  std::vector<std::string> names = {};  ///< used where all_linear is false and pattern is empty
  std::string pattern = {};             ///< Python-style regular expression, full match

  bool operator==(const TargetModules&) const = default;
};

/// Section `lora` of a recipe.
struct LoraOptions {
  std::int64_t r = 16;   ///< rank, >= 1
  double alpha = 32.0;   ///< scale is alpha / r, or alpha / sqrt(r) with use_rslora
  double dropout = 0.0;  ///< [0, 1), on the adapter's input
  TargetModules target_modules;
  TargetModules exclude_modules{.all_linear = false, .names = {}, .pattern = {}};
  bool use_rslora = false;
  LoraInit init = LoraInit::kKaiming;
  std::string from;  ///< adapter folder to continue from; empty: a fresh adapter
  std::vector<std::string>
      given;  ///< keys of this section that the recipe wrote; with `from`, they must agree with it
};

}  // namespace graft
