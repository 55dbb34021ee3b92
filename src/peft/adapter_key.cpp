#include "peft/adapter_key.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace graft {
namespace {

struct Suffix {
  std::string_view text;
  AdapterPart part;
  bool of_embedding = false;
};
constexpr std::array kSuffixes = {
    Suffix{".lora_A.weight", AdapterPart::kA},
    Suffix{".lora_B.weight", AdapterPart::kB},
    Suffix{".lora_B.bias", AdapterPart::kBiasOfB},
    Suffix{".lora_embedding_A", AdapterPart::kA, true},
    Suffix{".lora_embedding_B", AdapterPart::kB, true},
    Suffix{".lora_magnitude_vector", AdapterPart::kMagnitude},
    Suffix{".token_adapter.trainable_tokens_delta", AdapterPart::kTokens},
    Suffix{".base_layer.weight", AdapterPart::kBaseWeight},
    Suffix{".original_module.weight", AdapterPart::kBaseWeight},
    Suffix{".base_layer.bias", AdapterPart::kTrainedBias},
    Suffix{".bias", AdapterPart::kTrainedBias},
    Suffix{".lora_velora_embed", AdapterPart::kTraining},
    Suffix{".vera_lambda_b", AdapterPart::kVera},
    Suffix{".vera_lambda_d", AdapterPart::kVera},
    Suffix{".vera_A", AdapterPart::kVera},
    Suffix{".vera_B", AdapterPart::kVera},
    Suffix{".ia3_l", AdapterPart::kIa3},
};

// Parts of a path that wrappers of a module add, and the one that stands only around a whole model.
constexpr std::array<std::string_view, 3> kWrappers = {"_orig_mod.", "_fsdp_wrapped_module.",
                                                       "_checkpoint_wrapped_module."};
constexpr std::string_view kModelWrapper = "module.";
// What stands for "model." where a language model is part of another one, or is one, the longest first.
constexpr std::string_view kModel = "model.";
constexpr std::array<std::string_view, 7> kModelPaths = {"model.language_model.model.",
                                                         "model.language_model.",
                                                         "language_model.model.",
                                                         "model.text_model.",
                                                         "language_model.",
                                                         "model.model.",
                                                         kModel};
// What begins behind it.
constexpr std::array<std::string_view, 3> kParts = {"layers.", "embed_tokens.", "norm."};
// After these PEFT puts the adapter's name in memory, followed by what the key ends with.
constexpr std::array<std::string_view, 2> kNamedLayers = {".lora_A.", ".lora_B."};
// After these it puts the name, and ".weight" perhaps, where the file has nothing.
constexpr std::array<std::string_view, 7> kNamedValues = {".lora_embedding_A.",
                                                          ".lora_embedding_B.",
                                                          ".lora_magnitude_vector.",
                                                          ".trainable_tokens_delta.",
                                                          ".vera_lambda_b.",
                                                          ".vera_lambda_d.",
                                                          ".ia3_l."};

std::string without_wrappers(std::string path) {
  for (const std::string_view wrapper : kWrappers) {
    for (std::size_t at = path.find(wrapper); at != std::string::npos; at = path.find(wrapper, at)) {
      const bool whole_part = at == 0 || path[at - 1] == '.';
      if (whole_part)
        path.erase(at, wrapper.size());
      else
        at += wrapper.size();
    }
  }
  return path;
}

bool begins_part(std::string_view rest) {
  return std::any_of(kParts.begin(), kParts.end(),
                     [&](std::string_view part) { return rest.starts_with(part); });
}

bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }

std::string_view digits_at(std::string_view text, std::size_t at) {
  std::size_t end = at;
  while (end < text.size() && is_digit(text[end])) ++end;
  std::string_view digits = text.substr(at, end - at);
  while (digits.size() > 1 && digits.front() == '0') digits.remove_prefix(1);
  return digits;
}

}  // namespace

std::string without_adapter_name(std::string_view of) {
  std::string key(of);
  for (const std::string_view mark : kNamedLayers) {
    const std::size_t at = key.rfind(mark), rest = at + mark.size();
    if (at == std::string::npos) continue;
    const std::size_t end = key.rfind('.');
    if (end >= rest) key.erase(rest, end + 1 - rest);
    return key;
  }
  for (const std::string_view mark : kNamedValues) {
    const std::size_t at = key.rfind(mark);
    if (at != std::string::npos) return key.substr(0, at + mark.size() - 1);
  }
  constexpr std::string_view kSaved = ".modules_to_save.";
  if (const std::size_t at = key.rfind(kSaved); at != std::string::npos) {
    const std::size_t end = key.find('.', at + kSaved.size());
    key.erase(at, (end == std::string::npos ? at + kSaved.size() - 1 : end) - at);
  }
  constexpr std::string_view kUsualName = ".default";
  if (key.ends_with(kUsualName)) key.resize(key.size() - kUsualName.size());
  return key;
}

UnwrappedPath unwrapped_path(std::string_view path) {
  for (const std::string_view wrapper : kModelPaths)
    if (path.starts_with(wrapper) && begins_part(path.substr(wrapper.size())))
      return {std::string(kModel).append(path.substr(wrapper.size())), std::string(wrapper)};
  constexpr std::string_view kHead = "lm_head.";
  for (const std::string_view outer : {"language_model.", "model."})
    if (path.starts_with(outer) && path.substr(outer.size()).starts_with(kHead))
      return {std::string(path.substr(outer.size())), std::nullopt};
  return {std::string(path), std::nullopt};
}

AdapterKey parse_adapter_key(std::string_view key) {
  std::string plain = without_adapter_name(key);
  if (plain.starts_with(kAdapterKeyPrefix)) plain.erase(0, kAdapterKeyPrefix.size());
  for (const Suffix& suffix : kSuffixes)
    if (plain.ends_with(suffix.text))
      return {plain.substr(0, plain.size() - suffix.text.size()), suffix.part, suffix.of_embedding};
  if (const std::size_t at = plain.rfind(".lora_monteclora_sampler."); at != std::string::npos)
    return {plain.substr(0, at), AdapterPart::kTraining};
  constexpr std::string_view kWeight = ".weight";
  if (plain.ends_with(kWeight)) plain.erase(plain.size() - kWeight.size());
  return {plain, AdapterPart::kWhole, false};
}

std::string repaired_adapter_key(std::string_view key) {
  std::string path = without_wrappers(without_adapter_name(key));
  // VeRA's shared matrices alone stand one level higher.
  if (path == "base_model.vera_A" || path == "base_model.vera_B") return path;
  for (bool more = true; more;) {
    more = false;
    for (const std::string_view prefix : {kAdapterKeyPrefix, kModelWrapper}) {
      if (!path.starts_with(prefix)) continue;
      path.erase(0, prefix.size());
      more = true;
    }
  }
  return std::string(kAdapterKeyPrefix) + path;
}

std::string_view last_name(std::string_view path) {
  return path.substr(path.rfind('.') + 1);  // npos + 1 == 0: the whole path
}

bool path_before(std::string_view a, std::string_view b) {
  std::size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (is_digit(a[i]) && is_digit(b[j])) {
      const std::string_view x = digits_at(a, i), y = digits_at(b, j);
      if (x.size() != y.size()) return x.size() < y.size();
      if (x != y) return x < y;
      while (i < a.size() && is_digit(a[i])) ++i;
      while (j < b.size() && is_digit(b[j])) ++j;
      continue;
    }
    if (a[i] != b[j]) return a[i] < b[j];
    ++i, ++j;
  }
  if (i < a.size() || j < b.size()) return i == a.size();
  return a < b;  // "01" and "1": equal as numbers
}

}  // namespace graft
