#include "evaluate/golden.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "evaluate/compare.h"

namespace graft {
namespace {

constexpr std::int64_t kVersion = 1;
constexpr double kDigits = 1e6;  // log-probabilities are written to a millionth, far below any tolerance
// Sums of rounded probabilities.
constexpr double kSumTolerance = 1e-3;
constexpr std::int64_t kMostTokens = 1 << 20;

Json rounded(double value) { return std::round(value * kDigits) / kDigits; }

Json rows_of_numbers(const at::Tensor& values) {
  Json rows = Json::array();
  for (std::int64_t t = 0; t < values.size(0); ++t) {
    Json row = Json::array();
    for (std::int64_t k = 0; k < values.size(1); ++k) row.push_back(rounded(values[t][k].item<double>()));
    rows.push_back(std::move(row));
  }
  return rows;
}

Json rows_of_ids(const at::Tensor& ids) {
  Json rows = Json::array();
  for (std::int64_t t = 0; t < ids.size(0); ++t) {
    const at::Tensor row = ids[t].contiguous();
    rows.push_back(std::vector<std::int64_t>(row.const_data_ptr<std::int64_t>(),
                                             row.const_data_ptr<std::int64_t>() + row.numel()));
  }
  return rows;
}

// [T,K] of a list of lists; every row as long as the first.
template <class Value, class Read>
at::Tensor read_rows(const JsonView& rows, std::size_t tokens, at::ScalarType type, const Read& read) {
  check(rows.size() == tokens, rows, ": got ", rows.size(), " rows, want one for each of the ", tokens,
        " input_ids");
  const std::size_t width = rows.at(std::size_t{0}).size();
  check(width > 0, rows.at(std::size_t{0}), ": got no token");
  std::vector<Value> values;
  rows.each_element([&](const JsonView& row) {
    check(row.size() == width, row, ": got ", row.size(), " values, want ", width, " as in the first row");
    row.each_element([&](const JsonView& value) { values.push_back(read(value)); });
  });
  return at::from_blob(
             values.data(),
             {std::ssize(values) / static_cast<std::int64_t>(width), static_cast<std::int64_t>(width)}, type)
      .clone();
}

at::Tensor read_log_probs(const JsonView& rows, std::size_t tokens) {
  return read_rows<double>(rows, tokens, at::kDouble, [](const JsonView& value) {
    const double got = value.as_double();
    check(got <= kSumTolerance, value, ": got ", got, ", want a log-probability, at most 0");
    return got;
  });
}

void check_rows(const JsonView& prompt, const GoldenPrompt& read) {
  check(read.log_probs.sizes() == read.ids.sizes(), prompt.at("top_logprobs"), ": want as many as top_ids");
  check(read.base_log_probs.sizes() == read.ids.sizes(), prompt.at("base_logprobs"),
        ": want as many as top_ids");
  const at::Tensor sums = read.log_probs.exp().sum(-1);
  check(sums.max().item<double>() <= 1.0 + kSumTolerance, prompt.at("top_logprobs"),
        ": probabilities of a row sum to ", sums.max().item<double>(), ", want 1 at most");
  for (std::int64_t t = 0; t < read.ids.size(0); ++t) {
    const at::Tensor row = read.ids[t];
    const std::int64_t* first = row.const_data_ptr<std::int64_t>();
    check(std::set<std::int64_t>(first, first + row.numel()).size() == static_cast<std::size_t>(row.numel()),
          prompt.at("top_ids").at(static_cast<std::size_t>(t)), ": names a token twice");
  }
}

GoldenPrompt read_prompt(const JsonView& prompt) {
  GoldenPrompt read;
  prompt.at("input_ids").each_element([&](const JsonView& id) {
    read.tokens.push_back(static_cast<std::int32_t>(id.as_int(0, INT32_MAX)));
  });
  const std::size_t tokens = read.tokens.size();
  check(tokens > 0 && tokens < kMostTokens, prompt.at("input_ids"), ": got ", tokens, " tokens");
  read.ids = read_rows<std::int64_t>(prompt.at("top_ids"), tokens, at::kLong,
                                     [](const JsonView& id) { return id.as_int(0, INT32_MAX); });
  read.log_probs = read_log_probs(prompt.at("top_logprobs"), tokens);
  read.base_log_probs = read_log_probs(prompt.at("base_logprobs"), tokens);
  check_rows(prompt, read);
  return read;
}

double mean_square(const at::Tensor& gap) { return gap.square().mean().item<double>(); }

}  // namespace

GoldenPrompt golden_prompt(std::vector<std::int32_t> tokens, const at::Tensor& adapted,
                           const at::Tensor& base) {
  const bool finite = at::isfinite(adapted).all().item<bool>() && at::isfinite(base).all().item<bool>();
  check(finite, ExitCode::kNumerics, kGoldenName, ": a log-probability is not finite");
  const at::Tensor p = adapted.to(at::kDouble);
  auto [values, ids] = p.topk(std::min(kComparedTokens, p.size(-1)), -1);
  return {.tokens = std::move(tokens),
          .ids = ids,
          .log_probs = values,
          .base_log_probs = base.to(at::kDouble).gather(-1, ids)};
}

Json golden_json(const Golden& golden) {
  Json json = {{"version", kVersion},
               {"dtype", golden.dtype},
               {"weights", golden.weights},
               {"base", {{"path", golden.base_path}, {"fingerprint", golden.fingerprint}}},
               {"adapter", {{"sha256", golden.adapter_sha256}}},
               {"prompts", Json::array()}};
  for (const GoldenPrompt& prompt : golden.prompts)
    json["prompts"].push_back({{"input_ids", prompt.tokens},
                               {"top_ids", rows_of_ids(prompt.ids)},
                               {"top_logprobs", rows_of_numbers(prompt.log_probs)},
                               {"base_logprobs", rows_of_numbers(prompt.base_log_probs)}});
  return json;
}

Golden read_golden(const Path& path) {
  const Json document = read_json(path);
  const JsonView file(document, path.string());
  const std::int64_t version = file.at("version").as_int();
  check(version == kVersion, file.at("version"), ": got ", version, ", want ", kVersion,
        Hint{"this file is of another release of graft"});
  Golden golden{.dtype = file.at("dtype").as_string(), .weights = file.at("weights").as_string()};
  check(golden.dtype == "fp32" || golden.dtype == "bf16", file.at("dtype"), ": want fp32 or bf16");
  golden.base_path = file.at("base").at("path").as_string();
  golden.fingerprint = file.at("base").at("fingerprint").json();
  golden.adapter_sha256 = file.at("adapter").at("sha256").as_string();
  file.at("prompts").each_element(
      [&](const JsonView& prompt) { golden.prompts.push_back(read_prompt(prompt)); });
  check(!golden.prompts.empty(), file.at("prompts"), ": holds no prompt");
  return golden;
}

void check_golden_ids(const Golden& golden, const std::string& where, std::int64_t vocab_size) {
  for (std::size_t i = 0; i < golden.prompts.size(); ++i) {
    const GoldenPrompt& prompt = golden.prompts[i];
    const std::int64_t token = *std::ranges::max_element(prompt.tokens),
                       top = prompt.ids.max().item<std::int64_t>();
    const std::int64_t largest = std::max(token, top);
    check(largest < vocab_size, where, ": /prompts/", i, token == largest ? "/input_ids" : "/top_ids",
          ": id ", largest, " lies beyond the model's vocabulary of ", vocab_size,
          Hint{"give the base that this file was made with"});
  }
}

GoldenDifference GoldenDifference::operator+(const GoldenDifference& other) const {
  const double all = static_cast<double>(positions + other.positions);
  if (all == 0) return *this;
  const double mine = static_cast<double>(positions) / all, theirs = 1.0 - mine;
  const auto joined = [&](double a, double b) { return std::sqrt(mine * a * a + theirs * b * b); };
  return {.positions = positions + other.positions,
          .largest = std::max(largest, other.largest),
          .kl = mine * kl + theirs * other.kl,
          .top1 = mine * top1 + theirs * other.top1,
          .rms = joined(rms, other.rms),
          .from_base = joined(from_base, other.from_base),
          .effect = joined(effect, other.effect)};
}

GoldenDifference compare_golden(const GoldenPrompt& golden, const at::Tensor& log_probs) {
  const at::Tensor all = log_probs.to(at::kDouble);
  const at::Tensor& p = golden.log_probs;
  const at::Tensor q = all.gather(-1, golden.ids), gap = p - q;
  // What is left to the other tokens; rounding may leave a hair less than nothing.
  const auto rest = [](const at::Tensor& values) { return (1.0 - values.exp().sum(-1)).clamp_min(1e-12); };
  const at::Tensor rest_p = rest(p), rest_q = rest(q);
  const at::Tensor kl = (p.exp() * gap).sum(-1) + rest_p * (rest_p / rest_q).log();
  return {.positions = p.size(0),
          .largest = gap.abs().max().item<double>(),
          .kl = kl.mean().item<double>(),
          .top1 = all.argmax(-1).eq(golden.ids.select(1, 0)).to(at::kDouble).mean().item<double>(),
          .rms = std::sqrt(mean_square(gap)),
          .from_base = std::sqrt(mean_square(golden.base_log_probs - q)),
          .effect = std::sqrt(mean_square(golden.base_log_probs - p))};
}

GoldenTolerance golden_tolerance(GoldenGap gap) {
  switch (gap) {
    case GoldenGap::kOrder:
      return {1e-3, 1e-6, "fp32 on the same weights: only the order of sums differs"};
    case GoldenGap::kRounding:
      // Measured with adapters on SmolLM2-135M, Qwen2.5-Coder-0.5B and Gemma 3 270M: 0.5, 0.45, 0.19, and KL
      // 0.001, 0.0003, 0.0003; attention in another order on the first: 0.6.
      return {2.0, 0.02, "bf16 arithmetic, or weights rounded to 16 bits"};
    default:
      // Merged into 4 bits, the same: Q4_0 11 and 0.3 (it is small and suffers most), Q4_K_M 1.4 and 0.01,
      // 2.1 and 0.03. Unlikely tokens move far: KL decides.
      return {20.0, 1.0, "weights quantised in blocks on one side"};
  }
}

}  // namespace graft
