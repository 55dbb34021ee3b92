#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "model/decoder.h"
#include "peft/adapter_set.h"

namespace graft {

/// Metadata for save_adapter that tells which base the adapter belongs to:
/// "graft.base.sha256": of the touched weights (name, shape, fp32 values, in the given order);
/// "graft.base.fingerprint": JSON {"version":1,"weights":{module:{"shape":[out,in],"at":[…]}}}, at most about
/// 4,096 weights of large magnitude (the largest of a row), each as ±(row * in + column + 1), the sign being
/// the weight's. Quantising a base keeps these signs; another base has them at random. Reads every touched
/// weight once.
std::map<std::string, std::string> base_identity(const Decoder& model,
                                                 const std::vector<std::string>& modules);

/// The fingerprint alone: of at most `signs` weights, of modules evenly spaced among those named.
Json base_fingerprint(const Decoder& model, const std::vector<std::string>& modules, std::int64_t signs);

/// Share of the recorded signs that the weights of `model` have, or nothing where `metadata` holds no
/// fingerprint. Errors name `where`: a malformed fingerprint.
std::optional<double> base_agreement(const Decoder& model, const std::map<std::string, std::string>& metadata,
                                     const std::string& where);

/// Where fewer than 95 % of the signs agree: Error, or a warning, as `other` says. No fingerprint (an adapter
/// made by PEFT): accepted.
void check_base_identity(const Decoder& model, const std::map<std::string, std::string>& metadata,
                         const std::string& where, OtherBase other);

}  // namespace graft
