#include "cli/adapter_arguments.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace graft {
namespace {

/// What stands behind the last ':' where it is a number.
std::optional<double> scale_of(const std::string& text, std::size_t colon) {
  double scale = 0.0;
  const char *first = text.data() + colon + 1, *last = text.data() + text.size();
  const auto [end, error] = std::from_chars(first, last, scale);
  return error == std::errc{} && end == last && first != last ? std::optional(scale) : std::nullopt;
}

std::string name_of(const Path& path) {
  const Path whole = path.has_filename() ? path : path.parent_path();  // "a/b/" is "a/b"
  const bool plain = whole.filename() == "adapter" && whole.parent_path().has_filename();
  return (plain ? whole.parent_path() : whole).filename().string();
}

AdapterArgument parse(const std::string& said) {
  if (said == AdapterShelf::kNone) return {.name = said, .path = {}};
  AdapterArgument adapter{.name = {}, .path = said};
  const std::size_t equals = said.find('=');
  const bool named = equals != std::string::npos && said.find('/') > equals && !std::filesystem::exists(said);
  if (named) {
    adapter.name = said.substr(0, equals);
    adapter.path = said.substr(equals + 1);
  }
  const std::size_t colon = adapter.path.rfind(':');
  if (colon != std::string::npos && !std::filesystem::exists(adapter.path)) {
    if (const auto scale = scale_of(adapter.path, colon)) {
      check(std::isfinite(*scale), ExitCode::kUsage, "--adapter: ", printable(said),
            ": the scale is not finite");
      adapter.scale = *scale;
      adapter.path.resize(colon);
    }
  }
  if (!named) adapter.name = name_of(adapter.path);
  check(!adapter.name.empty() && !adapter.path.empty(), ExitCode::kUsage, "--adapter: got \"",
        printable(said), "\", want [NAME=]PATH[:SCALE] or none");
  check(adapter.name != AdapterShelf::kNone, ExitCode::kUsage,
        "--adapter: none is the base alone, and no adapter's name");
  return adapter;
}

}  // namespace

void AdapterArguments::declare(Arguments& parser) {
  parser.option(
      "adapter", "[NAME=]PATH[:SCALE]", said_,
      "adapter folder; several times for several, none: the base alone. SCALE multiplies its own scaling");
}

std::vector<AdapterArgument> AdapterArguments::list() const {
  if (said_.empty()) return {parse(AdapterShelf::kNone)};
  std::vector<AdapterArgument> adapters;
  for (const std::string& said : said_) {
    AdapterArgument adapter = parse(said);
    const bool taken =
        std::ranges::any_of(adapters, [&](const AdapterArgument& one) { return one.name == adapter.name; });
    check(!taken, ExitCode::kUsage, "--adapter: two are called ", printable(adapter.name),
          Hint{"give each a name of its own: --adapter NAME=PATH"});
    adapters.push_back(std::move(adapter));
  }
  return adapters;
}

AdapterShelf load_shelf(Decoder base, const std::vector<AdapterArgument>& adapters, OtherBase other) {
  AdapterShelf shelf(std::move(base));
  for (const AdapterArgument& adapter : adapters)
    if (!adapter.path.empty())
      shelf.add(adapter.name, adapter.path, adapter.scale, ZeroAdapter::kWarn, other);
  return shelf;
}

}  // namespace graft
