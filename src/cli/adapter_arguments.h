#pragma once

#include <string>
#include <vector>

#include "cli/arguments.h"
#include "peft/adapter_shelf.h"

namespace graft {

/// One `--adapter`.
struct AdapterArgument {
  std::string name;    ///< as said, or the folder's (of "runs/cooking/adapter" it is cooking)
  std::string path;    ///< empty: the base alone
  double scale = 1.0;  ///< multiplies the adapter's own scaling
};

/// The adapters that a verb is to use, in the order they were given.
class AdapterArguments {
 public:
  /// Declares `--adapter`, any number of times.
  void declare(Arguments& parser);
  /// [NAME=]PATH[:SCALE] or "none", each as an AdapterArgument; the base alone where none was given. A PATH
  /// that exists as it is said is taken so, ':' and all. Errors (kUsage): an empty name or path, a scale that
  /// is not finite, two of one name.
  std::vector<AdapterArgument> list() const;

 private:
  std::vector<std::string> said_;
};

/// The base with these adapters beside one another. Errors: as AdapterShelf::add.
AdapterShelf load_shelf(Decoder base, const std::vector<AdapterArgument>& adapters,
                        OtherBase other = OtherBase::kRefuse);

}  // namespace graft
