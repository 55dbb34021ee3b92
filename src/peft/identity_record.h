#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace graft {

/// Keys of an adapter file's metadata that tell its base; see base_identity for what they hold.
inline constexpr char kBaseHashKey[] = "graft.base.sha256";
inline constexpr char kBaseFingerprintKey[] = "graft.base.fingerprint";
/// "nf4" or "q8_0": what the base's weights were quantised to while the adapter was trained. Without it they
/// were as their files have them.
inline constexpr char kBaseQuantizationKey[] = "graft.base.quantization";

using AdapterMetadata = std::map<std::string, std::string>;

/// "nf4", "q8_0", or "" where nothing is recorded.
std::string recorded_quantization(const AdapterMetadata& metadata);

/// How many signs of weights the recorded fingerprint has, or nothing without one. `where` names the file in
/// errors: a malformed record.
std::optional<std::int64_t> recorded_signs(const AdapterMetadata& metadata, const std::string& where);

/// The metadata after modules got other names: the fingerprint follows. The hash covers the names: it goes
/// where one of them changed.
AdapterMetadata renamed_identity(const AdapterMetadata& metadata, const std::string& where,
                                 const std::map<std::string, std::string>& names);

/// What two adapters of one base record of it together: the fingerprints of the modules of both; hash and
/// quantisation where they are the same. Where one records nothing: what the other does.
AdapterMetadata joined_identity(const AdapterMetadata& first, const AdapterMetadata& second);

/// Whether two adapters may be of one base. Both fingerprints note the largest weight of evenly spaced rows:
/// false where of the rows in both (16 at least) fewer than a third have it at the same place with the same
/// sign. Quantising a base moves few; two bases share almost none.
bool may_share_base(const AdapterMetadata& first, const AdapterMetadata& second, const std::string& where);

}  // namespace graft
