#include "peft/identity_record.h"

#include "base/error.h"
#include "base/json.h"

namespace graft {
namespace {

constexpr std::int64_t kEnoughRows = 16;
constexpr std::int64_t kOneIn = 3;  // of the shared rows must agree

std::optional<Json> fingerprint_in(const AdapterMetadata& metadata, const std::string& where) {
  const auto text = metadata.find(kBaseFingerprintKey);
  if (text == metadata.end()) return std::nullopt;
  const std::string source = where + ": " + kBaseFingerprintKey;
  Json record = parse_json(text->second, source);
  JsonView(record, source).at("weights").each_member([](const std::string&, const JsonView& weight) {
    check(weight.at("shape").size() == 2, weight, ": want a shape [out, in]");
    weight.at("shape").at(std::size_t{1}).as_int(1);
    weight.at("at").each_element([](const JsonView& place) { place.as_int(-INT64_MAX); });
  });
  return record;
}

// Row -> signed place of its largest weight.
std::map<std::int64_t, std::int64_t> places_of(const Json& weight) {
  std::map<std::int64_t, std::int64_t> places;
  const auto in = weight.at("shape").at(1).get<std::int64_t>();
  for (const Json& place : weight.at("at")) {
    const auto value = place.get<std::int64_t>();
    if (value != 0) places[(std::abs(value) - 1) / in] = value;
  }
  return places;
}

}  // namespace

std::string recorded_quantization(const AdapterMetadata& metadata) {
  const auto found = metadata.find(kBaseQuantizationKey);
  return found == metadata.end() ? "" : found->second;
}

std::optional<std::int64_t> recorded_signs(const AdapterMetadata& metadata, const std::string& where) {
  const auto record = fingerprint_in(metadata, where);
  if (!record) return std::nullopt;
  std::int64_t count = 0;
  for (const auto& [module, weight] : record->at("weights").items()) count += std::ssize(weight.at("at"));
  return count;
}

AdapterMetadata renamed_identity(const AdapterMetadata& metadata, const std::string& where,
                                 const std::map<std::string, std::string>& names) {
  AdapterMetadata result = metadata;
  bool changed = false;
  for (const auto& [before, after] : names) changed = changed || before != after;
  if (!changed) return result;
  result.erase(kBaseHashKey);
  auto record = fingerprint_in(metadata, where);
  if (!record) return result;
  Json weights = Json::object();
  for (const auto& [module, weight] : record->at("weights").items()) {
    const auto name = names.find(module);
    weights[name == names.end() ? module : name->second] = weight;
  }
  (*record)["weights"] = weights;
  result[kBaseFingerprintKey] = to_text(*record);
  return result;
}

AdapterMetadata joined_identity(const AdapterMetadata& first, const AdapterMetadata& second) {
  AdapterMetadata result = first;
  result.insert(second.begin(), second.end());
  const auto one = first.find(kBaseHashKey), other = second.find(kBaseHashKey);
  if (one != first.end() && other != second.end() && one->second != other->second) result.erase(kBaseHashKey);
  if (recorded_quantization(first) != recorded_quantization(second)) result.erase(kBaseQuantizationKey);
  auto record = fingerprint_in(first, "metadata");
  const auto more = fingerprint_in(second, "metadata");
  if (!record || !more) return result;
  for (const auto& [module, weight] : more->at("weights").items())
    if (!record->at("weights").contains(module)) (*record)["weights"][module] = weight;
  result[kBaseFingerprintKey] = to_text(*record);
  return result;
}

bool may_share_base(const AdapterMetadata& first, const AdapterMetadata& second, const std::string& where) {
  const auto one = fingerprint_in(first, where), other = fingerprint_in(second, where);
  if (!one || !other) return true;
  std::int64_t shared = 0, same = 0;
  for (const auto& [module, weight] : one->at("weights").items()) {
    const auto match = other->at("weights").find(module);
    if (match == other->at("weights").end()) continue;
    const auto places = places_of(weight);
    for (const auto& [row, place] : places_of(*match)) {
      const auto found = places.find(row);
      shared += found != places.end();
      same += found != places.end() && found->second == place;
    }
  }
  return shared < kEnoughRows || kOneIn * same >= shared;
}

}  // namespace graft
