#include "peft/base_identity.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "base/console.h"
#include "base/error.h"
#include "base/json.h"
#include "base/sha256.h"
#include "base/text.h"
#include "peft/identity_record.h"

namespace graft {
namespace {

constexpr std::int64_t kFingerprintWeights = 4096;
constexpr std::int64_t kHashRows = 256;  // rows decoded at a time
constexpr double kSameBase =
    0.95;  // Q4 keeps all signs of large weights, a fine-tune nearly all, another base half

using WeightMap = std::map<std::string, FrozenWeightPtr, std::less<>>;

WeightMap weights_of(const Decoder& model) {
  WeightMap weights;
  model.each_group([&](const LinearGroup& group) {
    for (const Linear& linear : group.linears) weights[linear.name] = linear.weight;
  });
  weights[kEmbeddingPath] = model.embedding;
  weights[model.head.name] = model.head.weight;
  return weights;
}

void hash_weight(Sha256& hash, const std::string& module, const FrozenWeight& weight) {
  const std::int64_t rows = weight.out_features();
  hash.update(module + " " + std::to_string(rows) + " " + std::to_string(weight.in_features()) + "\n");
  for (std::int64_t first = 0; first < rows; first += kHashRows) {
    const at::Tensor block = weight.rows(first, std::min(rows, first + kHashRows)).contiguous();
    hash.update(
        std::as_bytes(std::span(block.const_data_ptr<float>(), static_cast<std::size_t>(block.numel()))));
  }
}

std::vector<float> one_row(const FrozenWeight& weight, std::int64_t row) {
  const at::Tensor values = weight.rows(row, row + 1).contiguous();
  const float* data = values.const_data_ptr<float>();
  return {data, data + values.numel()};
}

// The largest weight of `count` evenly spaced rows.
Json signs_of(const FrozenWeight& weight, std::int64_t count) {
  Json at = Json::array();
  const std::int64_t out = weight.out_features(), in = weight.in_features();
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t row = i * out / count;
    const std::vector<float> values = one_row(weight, row);
    const auto largest = std::max_element(values.begin(), values.end(),
                                          [](float a, float b) { return std::abs(a) < std::abs(b); });
    if (*largest == 0) continue;
    const std::int64_t place = row * in + (largest - values.begin()) + 1;
    at.push_back(*largest > 0 ? place : -place);
  }
  return {{"shape", {out, in}}, {"at", at}};
}

struct Tally {
  std::int64_t agreed = 0, recorded = 0;
};

void compare_signs(const FrozenWeight& weight, const JsonView& record, Tally& tally) {
  const std::int64_t out = weight.out_features(), in = weight.in_features();
  const JsonView shape = record.at("shape");
  check(shape.size() == 2 && shape.at(std::size_t{0}).as_int() == out &&
            shape.at(std::size_t{1}).as_int() == in,
        shape.where(), ": the adapter's base has another shape here (want [", out, ", ", in, "])");
  record.at("at").each_element([&](const JsonView& place) {
    const std::int64_t signed_place = place.as_int(-out * in, out * in);
    check(signed_place != 0, place.where(), ": got 0, want a signed place counted from 1");
    const std::int64_t flat = std::abs(signed_place) - 1;
    const float value = one_row(weight, flat / in)[static_cast<std::size_t>(flat % in)];
    tally.recorded += 1;
    tally.agreed += signed_place > 0 ? value > 0 : value < 0;
  });
}

}  // namespace

std::map<std::string, std::string> base_identity(const Decoder& model,
                                                 const std::vector<std::string>& modules) {
  const WeightMap weights = weights_of(model);
  Sha256 hash;
  for (const std::string& module : modules) hash_weight(hash, module, *weights.at(module));
  return {{kBaseHashKey, hash.hex()},
          {kBaseFingerprintKey, to_text(base_fingerprint(model, modules, kFingerprintWeights))}};
}

Json base_fingerprint(const Decoder& model, const std::vector<std::string>& modules, std::int64_t signs) {
  const WeightMap weights = weights_of(model);
  const std::int64_t count = std::min(std::ssize(modules), signs),
                     share = signs / std::max<std::int64_t>(1, count);
  Json fingerprint = {{"version", 1}, {"weights", Json::object()}};
  for (std::int64_t i = 0; i < count; ++i) {
    const std::string& module = modules[static_cast<std::size_t>(i * std::ssize(modules) / count)];
    const FrozenWeight& weight = *weights.at(module);
    fingerprint["weights"][module] = signs_of(weight, std::min(share, weight.out_features()));
  }
  return fingerprint;
}

std::optional<double> base_agreement(const Decoder& model, const std::map<std::string, std::string>& metadata,
                                     const std::string& where) {
  const auto text = metadata.find(kBaseFingerprintKey);
  if (text == metadata.end()) return std::nullopt;
  const std::string source = where + ": " + kBaseFingerprintKey;
  const Json document = parse_json(text->second, source);
  const JsonView fingerprint(document, source);
  if (fingerprint.at("version").as_int() != 1) return std::nullopt;  // of a later graft: no opinion
  const WeightMap weights = weights_of(model);
  Tally tally;
  fingerprint.at("weights").each_member([&](const std::string& module, const JsonView& record) {
    const auto weight = weights.find(module);
    check(weight != weights.end(), record.where(), ": this base has no linear ", printable(module));
    compare_signs(*weight->second, record, tally);
  });
  if (tally.recorded == 0) return std::nullopt;
  return static_cast<double>(tally.agreed) / static_cast<double>(tally.recorded);
}

void check_base_identity(const Decoder& model, const std::map<std::string, std::string>& metadata,
                         const std::string& where, OtherBase other) {
  const auto agreement = base_agreement(model, metadata, where);
  if (!agreement || *agreement >= kSameBase) return;
  const auto percent = static_cast<int>(100.0 * *agreement);
  const std::string message = where + ": trained on another base (the signs of " + std::to_string(percent) +
                              " % of the recorded weights agree, want 95 %)";
  check(other == OtherBase::kWarn, message, Hint{"give the base that the adapter was trained on"});
  warn(message);
}

}  // namespace graft
