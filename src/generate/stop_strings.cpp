#include "generate/stop_strings.h"

#include <algorithm>
#include <utility>

namespace graft {
namespace {

/// The length of the longest end of `text` that is a beginning of `stop`, but not all of it.
std::size_t overlap(std::string_view text, std::string_view stop) {
  for (std::size_t length = std::min(text.size(), stop.size() - 1); length > 0; --length)
    if (text.ends_with(stop.substr(0, length))) return length;
  return 0;
}

}  // namespace

std::string StopStrings::put(std::string_view piece) {
  if (stopped_) return {};
  std::string text = std::exchange(held_, {}) + std::string(piece);
  std::size_t first_end = std::string::npos, begin = 0;
  for (const std::string& stop : stops_) {
    const std::size_t at = text.find(stop);
    if (at == std::string::npos) continue;
    const std::size_t end = at + stop.size();
    if (end < first_end || (end == first_end && at < begin)) {
      first_end = end;
      begin = at;
    }
  }
  if (first_end != std::string::npos) {
    stopped_ = true;
    return text.substr(0, begin);
  }
  std::size_t kept = 0;
  for (const std::string& stop : stops_) kept = std::max(kept, overlap(text, stop));
  held_ = text.substr(text.size() - kept);
  text.erase(text.size() - kept);
  return text;
}

std::string StopStrings::finish() { return std::exchange(held_, {}); }

}  // namespace graft
