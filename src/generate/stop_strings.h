#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace graft {

/// Lets a text through up to the first of the stop strings. What could be the beginning of one is held back
/// until it is known, so nothing of a stop string ever gets out, however the text is cut into pieces.
class StopStrings {
 public:
  /// None of `stops` is empty; there may be none.
  explicit StopStrings(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  /// Takes the next piece and returns what may be shown: whole characters where pieces and stop strings are.
  /// After stopped() nothing more. Of several stop strings the one that ends first counts, of those the
  /// longest.
  std::string put(std::string_view piece);
  /// A stop string has come.
  bool stopped() const { return stopped_; }
  /// What is still held back, at the end of the text.
  std::string finish();

 private:
  std::vector<std::string> stops_;
  std::string held_;  // the end of the text so far, as far as a stop string may begin in it
  bool stopped_ = false;
};

}  // namespace graft
