#pragma once

#include <string_view>

#include "base/json.h"

namespace graft {

/// Results, on stdout. Buffered; flush_output() sends what is pending (main does so at the end).
/// Errors: kResource where stdout cannot take it (a full disk); OutputClosed where its reader has gone away.
void print(std::string_view text);
/// One compact JSON document on a line of its own.
void print_json(const Json& value);
void flush_output();

/// Thrown where stdout's reader went away (`graft ls | head -1`): the work ends, quietly. Only main catches
/// it.
struct OutputClosed {};

}  // namespace graft
