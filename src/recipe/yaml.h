#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"

namespace graft {

/// A text that YAML came from: a file, or an override of the command line.
struct YamlSource {
  std::string name;  ///< as messages write it: "recipes/a.yaml", "override 'train.epochs=1'"
  Path folder;       ///< what relative paths inside it are relative to
  bool has_lines;    ///< true for a file: messages say line and column
};

/// Where a key or a value stands.
struct Place {
  std::shared_ptr<const YamlSource> source;
  int line = 1, column = 1;  ///< 1-based; columns count bytes
  /// "recipes/a.yaml:4:6", or the override.
  std::string text() const;
};

enum class YamlKind { kNull, kScalar, kList, kMap };

struct YamlEntry;

/// A value of a YAML document, with its place. Scalars stay text: what they mean is for the schema to say.
struct YamlNode {
  YamlKind kind = YamlKind::kNull;
  Place place;
  std::string text;                ///< of a scalar
  bool quoted = false;             ///< the scalar stood in quotes or was a block of text
  std::vector<YamlNode> items;     ///< of a list
  std::vector<YamlEntry> entries;  ///< of a map, in file order

  const YamlEntry* find(std::string_view key) const;
};

/// `key: value`, with the place of the key.
struct YamlEntry {
  std::string key;
  Place place;
  YamlNode value;
};

/// What a recipe may be at most.
inline constexpr std::size_t kMaxRecipeBytes = std::size_t{1} << 20;
inline constexpr int kMaxYamlDepth = 64;

/// The one document in `text`; an empty text is null. yaml-cpp underneath, and strict where it is not: no
/// duplicate keys, no anchors, aliases or tags, no second document, no tab in an indentation, no control
/// characters, valid UTF-8, at most kMaxYamlDepth deep. Errors (kUsage): `file:line:col: …`.
YamlNode parse_yaml(std::string_view text, std::shared_ptr<const YamlSource> source);

}  // namespace graft
