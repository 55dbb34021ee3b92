#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/base_outline.h"
#include "model/config.h"
#include "model/families.h"
#include "model/options.h"
#include "model/quantize.h"
#include "store/nf4_tensor.h"
#include "store/tensor_view.h"

namespace graft {

/// What BaseTensors gives.
enum class BaseRead {
  kWeights,
  kHeaders,  ///< tensors that have their type and shape and no numbers (libtorch's meta device): nothing but
             ///< the files' headers is read
  kInFiles  ///< weights, but matrices stay in their files as they are and are decoded wherever they are used
};

/// The tensors of a base under their Hugging Face names, from a folder of safetensors or a GGUF file, on
/// their way into memory. Each tensor is taken once; finish() then fills all of them at the same time.
class BaseTensors {
 public:
  /// Maps the files. `config` must be the base's own and outlive this.
  BaseTensors(const Path& base, const ModelConfig& config, BaseRead read = BaseRead::kWeights);

  bool has(const std::string& name) const { return entries_.contains(name); }
  /// True where both tensors hold the same bytes (headers alone: the same type and shape).
  bool same(const std::string& left, const std::string& right) const;
  /// The tensor as `dtype` (bf16 or fp32): the mapped bytes themselves where type and alignment fit
  /// (read-only: never write to it), else memory that finish() fills, rounded once. Errors: missing, another
  /// shape, not floats.
  at::Tensor take(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype);
  /// What the file holds under a name that was taken.
  TensorSizes sizes(const std::string& name) const;
  /// The matrix [out,in] as `kind` says: as take() gives it, encoded while it is read, or what is stored in
  /// place. Weights that are in NF4 already stay so under kNf4 and kKeep, and are decoded under kNone.
  /// With kInFiles all of them stay what they are, and `kind` has no say.
  /// Errors: as take(); a width that the format's blocks do not divide.
  FrozenWeightPtr take_matrix(const std::string& name, std::int64_t out, std::int64_t in,
                              at::ScalarType dtype, Quantization kind);
  /// The matrix [out,in] rounded to bf16, for products in int8; what take() would give stays in the file.
  FrozenWeightPtr take_int8(const std::string& name, std::int64_t out, std::int64_t in);
  /// Whether any weight is stored in blocks or NF4: what kKeep keeps.
  bool any_quantized() const;
  /// Reads the tensor as taken and leaves it out of memory.
  void skip(const std::string& name);
  /// Fills what take() promised, on all threads, after checking that no tensor is left over. Error: a left
  /// over tensor.
  void finish();

 private:
  struct Entry {
    TensorView view;
    Path file;
    RowOrder order = RowOrder::kSame;
    const Nf4Tensor* nf4 = nullptr;  // then the view has its shape, no bytes
    bool taken = false;
  };
  struct Job {
    const Entry* entry;
    at::Tensor target;
  };
  void open_folder(const Path& folder);
  void open_gguf(const Path& path);
  /// The matrices of all experts of a block, [X,out,in], each under its own name: `name` with a number in it.
  void add_experts(const TensorView& stack, const MappedName& name, const Path& path);
  Entry& find(const std::string& name, at::IntArrayRef shape);
  StoredMatrix stored(const Entry& entry) const;
  [[noreturn]] void fail_missing(const std::string& name) const;
  void check_nothing_left() const;
  std::vector<std::string> left_over() const;

  const ModelConfig& config_;
  Path base_;
  BaseRead read_;
  std::shared_ptr<const void> files_;  // what the views point into; tensors in place hold it too
  std::shared_ptr<const Nf4Tensors> nf4_;
  std::map<std::string, Entry, std::less<>> entries_;
  std::vector<Job> jobs_;
};

}  // namespace graft
