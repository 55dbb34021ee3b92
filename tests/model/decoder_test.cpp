#include "model/decoder.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "model/golden.h"
#include "ops/linear.h"

namespace graft {
namespace {

/// fp32 sums in another order than transformers'.
constexpr double kFp32Tolerance = 1e-4;

void expect_golden(const Path& base, const Path& logits) {
  const SafetensorsFile file(logits);
  const at::Tensor starts = golden_tensor(file, "starts");
  const at::Tensor got = pack_logits(
      load_fp32(base), golden_tensor(file, "tokens"),
      {starts.const_data_ptr<std::int64_t>(), starts.const_data_ptr<std::int64_t>() + starts.numel()});
  EXPECT_EQ(got.scalar_type(), at::kFloat);
  EXPECT_LT(largest_difference(at::log_softmax(got, -1), at::log_softmax(golden_tensor(file, "logits"), -1)),
            kFp32Tolerance);
}

TEST(Decoder, PackedSequencesHaveTransformersLogits) {
  expect_golden(golden("tiny_llama"), golden("model/tiny.safetensors"));
}

TEST(Decoder, BiasesOwnHeadFreeHeadWidthAndShardsHaveTransformersLogits) {
  expect_golden(golden("model/tiny_biased"), golden("model/tiny_biased.safetensors"));
}

TEST(Decoder, GgufBlocksAndPairedRowsHaveTransformersLogits) {
  expect_golden(golden("model/tiny.gguf"), golden("model/tiny_gguf.safetensors"));
}

std::vector<std::int32_t> some_tokens(std::int32_t count, std::int32_t step) {
  std::vector<std::int32_t> ids;
  for (std::int32_t i = 0; i < count; ++i) ids.push_back((i * step + 11) % 512);
  return ids;
}

TEST(Decoder, APackGivesWhatItsSequencesGiveAlone) {
  const Decoder model = load_fp32(golden("tiny_llama"));
  const auto first = some_tokens(5, 31), second = some_tokens(1, 7), third = some_tokens(40, 13);
  std::vector<std::int32_t> all = first;
  all.insert(all.end(), second.begin(), second.end());
  all.insert(all.end(), third.begin(), third.end());
  const at::Tensor packed = pack_logits(model, tokens_of(all), {0, 5, 6, 46});
  const at::Tensor alone =
      at::cat({sequence_logits(model, first), sequence_logits(model, second), sequence_logits(model, third)});
  EXPECT_LT(largest_difference(packed, alone), kFp32Tolerance);
}

TEST(Decoder, DecodingWithACacheGivesTheWholePass) {
  const at::NoGradGuard no_grad;
  const Decoder model = load_fp32(golden("tiny_llama"));
  const auto ids = some_tokens(300, 29);  // more than the cache's first capacity
  const at::Tensor whole = sequence_logits(model, ids);
  KvCache cache;
  std::vector<at::Tensor> rows;
  std::size_t done = 0;
  for (const std::size_t step : {100U, 1U, 1U, 150U, 1U, 47U}) {  // a prompt, tokens, a second prompt
    Pass pass;
    pass.layout = PackLayout::single(static_cast<std::int64_t>(step));
    pass.caches = {&cache};
    const std::vector<std::int32_t> part(ids.begin() + static_cast<std::ptrdiff_t>(done),
                                         ids.begin() + static_cast<std::ptrdiff_t>(done + step));
    rows.push_back(model.logits(model.hidden(tokens_of(part), pass)));
    done += step;
    EXPECT_EQ(cache.length, static_cast<std::int64_t>(done));
  }
  ASSERT_EQ(done, ids.size());
  EXPECT_LT(largest_difference(at::cat(rows), whole), kFp32Tolerance);
}

TEST(Decoder, SequencesOfAPackGoOnAfterCachesOfTheirOwn) {
  const at::NoGradGuard no_grad;
  // phi3's angles change for all tokens once a sequence is longer than 16.
  for (const char* base : {"tiny_llama", "families/phi3"}) {
    const Decoder model = load_fp32(golden(base));
    std::vector<std::vector<std::int32_t>> ids = {some_tokens(24, 5), some_tokens(9, 7), some_tokens(20, 11)};
    for (auto& sequence : ids)
      for (std::int32_t& id : sequence) id %= static_cast<std::int32_t>(model.config.vocab_size);
    std::vector<KvCache> caches(ids.size());
    std::vector<std::vector<at::Tensor>> rows(ids.size());
    std::vector<std::size_t> done(ids.size());
    // Of each pass, how many tokens of each sequence; nought: it has no part in it.
    const std::vector<std::vector<std::size_t>> passes = {{14, 0, 3}, {1, 4, 1}, {1, 1, 12},
                                                          {1, 1, 0},  {1, 2, 1}, {6, 1, 3}};
    for (const auto& counts : passes) {
      Pass pass;
      pass.layout.starts = {0};
      std::vector<std::int32_t> all;
      for (std::size_t n = 0; n < ids.size(); ++n) {
        if (counts[n] == 0) continue;
        const auto first = ids[n].begin() + static_cast<std::ptrdiff_t>(done[n]);
        all.insert(all.end(), first, first + static_cast<std::ptrdiff_t>(counts[n]));
        pass.layout.starts.push_back(std::ssize(all));
        pass.caches.push_back(&caches[n]);
      }
      at::Tensor left = model.logits(model.hidden(tokens_of(all), pass));
      for (std::size_t n = 0; n < ids.size(); ++n) {
        const auto count = static_cast<std::int64_t>(counts[n]);
        rows[n].push_back(left.narrow(0, 0, count));
        left = left.narrow(0, count, left.size(0) - count);
        done[n] += counts[n];
        EXPECT_EQ(caches[n].length, static_cast<std::int64_t>(done[n]));
      }
    }
    for (std::size_t n = 0; n < ids.size(); ++n) {
      ASSERT_EQ(done[n], ids[n].size());
      // Only the last pass's rows have the angles of the whole sequence.
      const at::Tensor last = rows[n].back(), whole = sequence_logits(model, ids[n]);
      EXPECT_LT(largest_difference(last, whole.slice(0, -last.size(0))), kFp32Tolerance) << base << " " << n;
    }
  }
}

TEST(KvCache, GrowsNoFurtherThanItsLimit) {
  KvCache cache;
  cache.limit = 300;
  const auto rows = [](std::int64_t count) { return at::ones({count, 2, 4}); };
  cache.append(0, rows(250), rows(250));
  EXPECT_EQ(cache.keys[0].size(0), 256);
  cache.length = 250;
  EXPECT_EQ(cache.append(0, rows(10), rows(10)).first.size(0), 260);
  EXPECT_EQ(cache.keys[0].size(0), 300);
}

/// y = W x + x A^T B^T on every linear of the group: enough of an adapter to have gradients.
class PlainAddition final : public Adapter {
 public:
  explicit PlainAddition(const std::vector<Linear>& group) {
    std::int64_t seed = 1;
    for (const Linear& one : group) {
      a_.push_back(pattern({2, one.weight->in_features()}, seed++));
      b_.push_back(pattern({one.weight->out_features(), 2}, seed++));
    }
  }
  std::vector<at::Tensor> forward(const LinearInput& input, const std::vector<Linear>& group, const Pass&,
                                  const LinearOutput& output) const override {
    const at::Tensor x = input.value();
    std::vector<at::Tensor> ys;
    for (std::size_t i = 0; i < group.size(); ++i) {
      ys.push_back(linear(x, group[i].weight, group[i].bias) + at::linear(at::linear(x, a_[i]), b_[i]));
    }
    return output.applied_to(std::move(ys));
  }
  std::vector<Parameter> parameters() const override {
    std::vector<Parameter> all;
    for (std::size_t i = 0; i < a_.size(); ++i) {
      all.push_back({"a", a_[i]});
      all.push_back({"b", b_[i]});
    }
    return all;
  }
  at::Tensor merge_into(const Linear&, const at::Tensor& rows, std::int64_t) const override { return rows; }

 private:
  static at::Tensor pattern(at::IntArrayRef shape, std::int64_t seed) {
    const std::int64_t count = shape[0] * shape[1];
    const at::Tensor values = at::sin(at::arange(count, at::kFloat) * static_cast<double>(seed)) * 0.05;
    return values.reshape(shape).clone().set_requires_grad(true);
  }
  std::vector<at::Tensor> a_, b_;
};

/// Hidden states and gradients of a model whose every group has an addition.
std::pair<at::Tensor, std::vector<at::Tensor>> run_with_gradients(Recompute what) {
  Decoder model = load_fp32(golden("tiny_llama"));
  std::vector<Parameter> parameters;
  model.each_group([&](LinearGroup& group) {
    group.adapter = std::make_shared<PlainAddition>(group.linears);
    for (const Parameter& one : group.adapter->parameters()) parameters.push_back(one);
  });
  Pass pass;
  pass.layout.starts = {0, 9, 20};
  pass.recompute = what;
  const at::Tensor hidden = model.hidden(tokens_of(some_tokens(20, 17)), pass);
  at::cos(hidden).sum().backward();
  std::vector<at::Tensor> gradients;
  for (const Parameter& one : parameters) gradients.push_back(one.value.grad());
  return {hidden.detach(), gradients};
}

TEST(Decoder, WhatIsRecomputedGivesTheSameOutputAndGradientsToTheBit) {
  const auto [kept, kept_gradients] = run_with_gradients(Recompute::kNothing);
  ASSERT_EQ(kept_gradients.size(), 2U * 7U * 2U);
  for (const Recompute what : {Recompute::kMlp, Recompute::kBlocks}) {
    const auto [again, again_gradients] = run_with_gradients(what);
    EXPECT_TRUE(at::equal(kept, again));
    for (std::size_t i = 0; i < kept_gradients.size(); ++i) {
      ASSERT_TRUE(kept_gradients[i].defined() && again_gradients[i].defined()) << i;
      EXPECT_GT(kept_gradients[i].abs().max().item<double>(), 0.0) << i;
      EXPECT_TRUE(at::equal(kept_gradients[i], again_gradients[i])) << i;
    }
  }
}

TEST(Decoder, GroupsComeInTheOrderOfTheNetwork) {
  const Decoder model = load_fp32(golden("tiny_llama"));
  std::vector<std::string> names;
  model.each_group([&](const LinearGroup& group) {
    for (const Linear& one : group.linears) names.push_back(one.name);
  });
  ASSERT_EQ(names.size(), 14U);
  EXPECT_EQ(names[0], "model.layers.0.self_attn.q_proj");
  EXPECT_EQ(names[3], "model.layers.0.self_attn.o_proj");
  EXPECT_EQ(names[6], "model.layers.0.mlp.down_proj");
  EXPECT_EQ(names[7], "model.layers.1.self_attn.q_proj");
}

TEST(Decoder, TokensOutsideTheVocabularyAreNamed) {
  const Decoder model = load_fp32(golden("tiny_llama"));
  for (const std::int32_t bad : {-1, 512, 2000000000}) {
    try {
      sequence_logits(model, {1, bad, 2});
      ADD_FAILURE() << bad;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(std::to_string(bad)), std::string::npos) << error.what();
    }
  }
}

TEST(Decoder, Bf16StaysNearFp32) {
  const Decoder model = load_model({.path = golden("tiny_llama").string(), .dtype = ComputeDType::kBF16});
  const Decoder exact = load_fp32(golden("tiny_llama"));
  const auto ids = some_tokens(30, 19);
  const at::Tensor got = at::log_softmax(sequence_logits(model, ids), -1);
  const at::Tensor want = at::log_softmax(sequence_logits(exact, ids), -1);
  EXPECT_LT((got - want).abs().mean().item<double>(), 0.1);  // 8 bits of mantissa through two blocks
  EXPECT_GT(largest_difference(got, want), 1e-4) << "bf16 was not computed in bf16";
}

}  // namespace
}  // namespace graft
