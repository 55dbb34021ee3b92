#pragma once

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "text/golden.h"
#include "text/pipeline.h"
#include "text/tokenizer_json.h"

namespace graft {

/// The small GPT-2 style tokenizer of the golden files, as parsed JSON that a test may change.
inline Json small_tokenizer_json() { return read_json(golden("gpt2/tokenizer.json")); }

inline Tokenizer tokenizer_of(const Json& file) {
  auto pipeline = std::make_shared<Tokenizer::Pipeline>();
  read_tokenizer_json(JsonView(file, "tokenizer.json"), {}, *pipeline);
  return Tokenizer(pipeline);
}

/// Expects an Error of bad input whose message holds `fragment`.
template <class Action>
void expect_bad_input(const Action& action, const std::string& fragment) {
  try {
    action();
    ADD_FAILURE() << "no error, want one with: " << fragment;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kBadInput) << error.what();
    EXPECT_NE(std::string(error.what()).find(fragment), std::string::npos) << error.what();
  }
}

}  // namespace graft
