#pragma once

#include "base/file.h"

namespace graft {

/// What is made, read again and proven under a hidden name, with the small files that belong to it, before
/// any of it is seen: without commit() nothing is left. Errors: `path` exists already (kUsage) at
/// construction or at commit.
class StagedOutput {
 public:
  explicit StagedOutput(const Path& path);
  /// Where to make it, a folder or a file: its own name in a hidden folder beside `path`. Other files may be
  /// made beside it there.
  const Path& place() const { return place_; }
  /// Everything appears beside `path`: the other files first, which replace those of their names.
  void commit();

 private:
  OutputFolder folder_;
  Path path_, place_;
};

}  // namespace graft
