#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace graft {

/// The Jinja that a recipe asks for by name, for a base that brings none: it writes what the own template of
/// that kind of model writes. Nothing where there is no such name; chatml is not among them.
std::optional<std::string> built_in_template(std::string_view name);
/// Their names.
std::vector<std::string> built_in_template_names();

}  // namespace graft
