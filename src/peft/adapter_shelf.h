#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/decoder.h"
#include "peft/adapter_set.h"

namespace graft {

/// Several adapters over one base, whose weights are in memory once.
class AdapterShelf {
 public:
  /// The name of the base without an adapter.
  static constexpr const char* kNone = "none";

  explicit AdapterShelf(Decoder base);

  /// Loads an adapter under a name of its own; `scale` multiplies its own scaling. Errors: as load_adapter;
  /// the name is taken or "none" (kUsage).
  void add(const std::string& name, const Path& folder, double scale, ZeroAdapter zero,
           OtherBase other = OtherBase::kRefuse);

  /// The base with the adapter of this name; it lives as long as the shelf. Error: as check_adapter_name.
  const Decoder& with(const std::string& name) const;

 private:
  struct Entry {
    std::string name;
    std::unique_ptr<const Decoder> model;  // shares the base's frozen weights
  };
  std::vector<Entry> entries_;  // the base first
};

/// Error of this code, started by `where`, unless `name` is one of `names`: it lists them.
void check_adapter_name(const std::vector<std::string>& names, const std::string& name,
                        const std::string& where = "", ExitCode code = ExitCode::kUsage);

}  // namespace graft
