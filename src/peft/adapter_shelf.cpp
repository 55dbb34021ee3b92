#include "peft/adapter_shelf.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "peft/adapter_file.h"
#include "peft/install.h"
#include "peft/methods.h"

namespace graft {

AdapterShelf::AdapterShelf(Decoder base) {
  entries_.push_back({kNone, std::make_unique<const Decoder>(std::move(base))});
}

void AdapterShelf::add(const std::string& name, const Path& folder, double scale, ZeroAdapter zero,
                       OtherBase other) {
  const bool taken = std::ranges::any_of(entries_, [&](const Entry& entry) { return entry.name == name; });
  check(!taken, ExitCode::kUsage, "two adapters are called ", printable(name),
        Hint{"give each a name of its own: --adapter NAME=PATH"});
  auto model = std::make_unique<Decoder>(*entries_.front().model);
  AdapterFile file = read_adapter(*model, folder, zero, other);
  const Method& method = method_of(file.options);
  const bool scaled =
      file.options.method == AdapterMethod::kLora || file.options.method == AdapterMethod::kDora;
  check(scale == 1.0 || scaled, ExitCode::kUsage, folder.string(), ": an adapter of type ", method.peft_type,
        " has no scaling to multiply (got ", scale, ")");
  for (AdaptedModule& module : file.layout.adapted) module.scale *= scale;
  install_adapters(*model, file.layout, file.options, file.tensors);
  entries_.push_back({name, std::move(model)});
}

const Decoder& AdapterShelf::with(const std::string& name) const {
  std::vector<std::string> names;
  for (const Entry& entry : entries_) {
    if (entry.name == name) return *entry.model;
    names.push_back(entry.name);
  }
  check_adapter_name(names, name);
  return *entries_.front().model;
}

void check_adapter_name(const std::vector<std::string>& names, const std::string& name,
                        const std::string& where, ExitCode code) {
  if (std::ranges::find(names, name) != names.end()) return;
  const auto near = nearest(name, names);
  fail(code, where, "no adapter is called ", printable(name), " (there are: ", join(names, ", "), ")",
       Hint{near ? "did you mean " + *near + "?" : ""});
}

}  // namespace graft
