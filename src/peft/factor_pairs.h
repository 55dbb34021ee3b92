#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "peft/adapter_key.h"
#include "store/tensor_view.h"

namespace graft {

/// The two factors of one adapted module as they lie in the file. Where the file lacks one it is null, until
/// check_pairs has looked. Of experts that are one parameter (PEFT's target_parameters) both hold those of
/// all of them: A [X*R,in] with the rows of an expert together, B [out,R*X] with its columns X apart.
struct FactorPair {
  std::string module;  ///< path in the base; of fused experts the parameter's ("….experts.down_proj")
  std::string holder;  ///< what stands in front of ".lora_A.weight" in the file
  const TensorView* a = nullptr;  ///< [R,in]; of an embedding [R,vocab]
  const TensorView* b = nullptr;  ///< [out,R]; of an embedding [hidden,R]
  bool of_embedding = false;
  std::int64_t experts = 1;  ///< X
  /// The path by which the config gives rank and scale: the module's, or that of the parameter it is or is a
  /// part of, which then has the ranks of its parts together.
  std::string scaled_by;
  std::int64_t parts = 1;        ///< linears of an expert that are one parameter and have pairs of their own
  std::int64_t config_rank = 0;  ///< by r and rank_pattern; of fused experts the rank of one
  double scale = 0.0;            ///< of B A: by r, alpha, their patterns and use_rslora
  /// R.
  std::int64_t rank() const { return (a != nullptr ? a->shape.front() : b->shape.back()) / experts; }
  bool of_parameter() const { return scaled_by != module || experts > 1; }
};

/// The pairs among an adapter's tensors, layer 2 before layer 10; names, types and shapes are looked at.
/// Errors (`file` starts them): a factor that is no matrix or there twice, fused experts of which the config
/// does not say which parameter they are. Source: ParamWrapper of huggingface/peft 0.21.
std::vector<FactorPair> factor_pairs(const JsonView& config, const std::vector<TensorView>& tensors,
                                     const std::string& file);

/// What stands in front of ".lora_A.weight" for a parameter of fused experts where PEFT adapts all of
/// `parameters`: wrappers of one module lie in each other, the first parameter innermost.
std::string holder_of(const std::string& parameter, const std::vector<std::string>& parameters);

}  // namespace graft
