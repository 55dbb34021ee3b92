#pragma once

#include "peft/layout.h"
#include "peft/linear_adapter.h"

namespace graft {

/// Single rows of the embedding trained (trainable_tokens): row ids[i] of E is rows[i] instead. Source:
/// TrainableTokensLayer of huggingface/peft.
class TokenRows : public TrainedAdapter {
 public:
  /// rows [n,D] fp32
  TokenRows(std::vector<std::int64_t> ids, at::Tensor rows);

  std::vector<at::Tensor> forward(const LinearInput& input, const std::vector<Linear>& group,
                                  const Pass& pass, const LinearOutput& output) const override;
  at::Tensor look_up(const FrozenWeight& embedding, const at::Tensor& ids) const override;
  std::vector<StoredTensor> stored() const override;
  at::Tensor merge_into(const Linear& linear, const at::Tensor& rows, std::int64_t first) const override;

 private:
  std::vector<std::int64_t> ids_;
  at::Tensor rows_;
};

/// The head of a tied base, whose rows are the embedding's: the same rows, which TokenRows stores.
class TokenRowsOfHead : public LinearAdapter {
 public:
  TokenRowsOfHead(std::vector<std::int64_t> ids, at::Tensor rows);

  at::Tensor forward(const LinearInput& input, const Linear& linear) const override;
  std::vector<StoredTensor> stored() const override { return {}; }
  at::Tensor merge_into(const Linear& linear, const at::Tensor& rows, std::int64_t first) const override;

 private:
  std::vector<std::int64_t> ids_;
  at::Tensor rows_;
};

inline constexpr char kTokenRowsName[] = "model.embed_tokens.token_adapter.trainable_tokens_delta";

}  // namespace graft
