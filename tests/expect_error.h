#pragma once

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"

namespace graft {

/// The Error that `work` throws; a failed test and an empty Error where it throws none.
template <class Work>
Error error_of(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no Error was thrown";
  return Error(ExitCode::kDone, "");
}

/// True where `text` holds `part`; prints the text where a test wants it and it does not.
inline ::testing::AssertionResult contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "`" << text << "` lacks `" << part << "`";
}

}  // namespace graft
