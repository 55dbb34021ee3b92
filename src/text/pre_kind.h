#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/json.h"

namespace graft {

/// What a value of tokenizer.ggml.pre stands for: how the models it was made for cut text into words.
struct PreKind {
  std::string_view name;
  /// Regular expressions that isolate their matches, one after the other; "" ends the list.
  std::array<std::string_view, 6> splits{};
  bool digits = false;         ///< every digit alone, before anything else
  bool gpt2_words = false;     ///< GPT-2's words at the end
  bool nfc = false;            ///< where the models' tokenizer.json normalizes
  bool ignore_merges = false;  ///< a word that is a token needs no merges
  bool adds_bos = false;       ///< where the file has no add_bos_token, as llama.cpp does

  /// The pre_tokenizer of a tokenizer.json.
  Json pre_tokenizer() const;
  /// The normalizer of a tokenizer.json, or null.
  Json normalizer() const;
};

/// The kind of a name. Error, started by `where`, for a name that graft does not know.
const PreKind& find_pre_kind(std::string_view name, std::string_view where);

/// The kind that cuts text as a tokenizer.json (`tokenizer`, the whole document) does; of several the one
/// that also normalizes and merges alike, the first otherwise. Null where none does.
const PreKind* matching_pre_kind(const Json& tokenizer);

}  // namespace graft
