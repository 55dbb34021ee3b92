#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace at {
struct RecordFunction;
}

namespace graft {

/// Kinds of work that a profile tells apart.
enum class Work : std::uint8_t {
  kBaseProduct,  ///< x W^T and dy W of frozen linears, with what is folded into them
  kLora,         ///< products, casts and sums of adapters beside them
  kAttention,
  kNorm,
  kRotary,
  kSwiglu,
  kResidual,
  kLoss,  ///< head, logits and cross entropy
  kOptimizer,
  kRest,  ///< no scope names it
};
inline constexpr std::size_t kWorkKinds = static_cast<std::size_t>(Work::kRest) + 1;

/// "graft::base_product" …: the name under which a scope of this kind is recorded. Lives for ever.
const char* name_of(Work work);

/// Recorded under this name, a stretch is the backward pass.
inline constexpr char kBackwardPass[] = "graft::backward_pass";

/// What a stretch of work does to memory and the multipliers, where the operation knows it.
struct WorkSize {
  double flops = 0;  ///< executed; a multiply-add is 2
  double bytes = 0;  ///< read and written by the operation, each operand once
};

/// Tells whoever observes (train's Profile, libtorch's own profilers) that the calling thread does this kind
/// of work while the object lives: `const WorkScope scope(Work::kNorm, {.bytes = 2.0 * x.nbytes()});`.
/// Scopes nest; the time of an inner one is not the outer one's, but what is inside attention, norm, rotary,
/// swiglu, loss and optimizer stays theirs. Where nobody observes it costs a look at a thread-local list.
class WorkScope {
 public:
  explicit WorkScope(Work work, WorkSize size = {}) : WorkScope(name_of(work), size) {}
  /// A stretch by name, such as kBackwardPass.
  explicit WorkScope(const char* name, WorkSize size = {});

 private:
  struct End {
    void operator()(at::RecordFunction* record) const;
  };
  std::unique_ptr<at::RecordFunction, End> record_;
};

}  // namespace graft
