#pragma once

#include <gtest/gtest.h>

#include <string>

#include "base/json.h"
#include "text/tokenizer.h"

namespace graft {

/// A golden file of this room.
inline Path golden(const std::string& name) { return Path(GRAFT_SOURCE_DIR) / "tests/golden/text" / name; }
inline Path smollm2_gguf() { return Path(GRAFT_DEPS_DIR) / "base/SmolLM2-135M-Instruct.Q4_1.gguf"; }

inline std::string describe(const Encoding& encoding) {
  std::string text;
  for (std::size_t i = 0; i < encoding.ids.size(); ++i) {
    text += std::to_string(encoding.ids[i]) + " " + std::to_string(encoding.offsets[i].begin) + " " +
            std::to_string(encoding.offsets[i].end) + "\n";
  }
  return text;
}

/// The encoding that a golden case expects.
inline Encoding expected_encoding(const Json& golden_case) {
  Encoding expected;
  for (const Json& id : golden_case["ids"]) expected.ids.push_back(id.get<std::int32_t>());
  const Json& ends = golden_case["offsets"];
  for (std::size_t i = 0; i + 1 < ends.size(); i += 2)
    expected.offsets.push_back({ends[i].get<std::size_t>(), ends[i + 1].get<std::size_t>()});
  return expected;
}

}  // namespace graft
