#include "recipe/layers.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/text.h"
#include "recipe/fields.h"
#include "recipe/scalar.h"

namespace graft {
namespace {

/// Longest line of parents; more is a mistake.
constexpr std::size_t kMaxParents = 16;

YamlNode parse_file(const Path& path) {
  auto source = std::make_shared<YamlSource>(YamlSource{
      .name = path.string(), .folder = std::filesystem::absolute(path).parent_path(), .has_lines = true});
  std::error_code ignored;
  const auto size = std::filesystem::file_size(path, ignored);
  check(ignored || size <= kMaxRecipeBytes, ExitCode::kUsage, path.string(), ": too large for a recipe (got ",
        size, " bytes, want at most ", kMaxRecipeBytes, ")");
  YamlNode root = parse_yaml(read_file(path, kMaxRecipeBytes), source);
  if (root.kind == YamlKind::kNull) root.kind = YamlKind::kMap;
  if (root.kind != YamlKind::kMap) fail_at(root.place, "", "not a recipe", describe(root), "keys and values");
  return root;
}

void erase_path(YamlNode& root, const std::string& path) {
  const std::size_t dot = path.find('.');
  for (YamlEntry& entry : root.entries) {
    if (entry.key != path.substr(0, dot)) continue;
    if (dot != path.npos) return erase_path(entry.value, path.substr(dot + 1));
    root.entries.erase(root.entries.begin() + (&entry - root.entries.data()));
    return;
  }
}

void merge_maps(YamlNode& below, YamlNode above) {
  std::map<std::string, std::size_t> index;
  for (std::size_t i = 0; i < below.entries.size(); ++i) index[below.entries[i].key] = i;
  for (YamlEntry& entry : above.entries) {
    const auto found = index.find(entry.key);
    if (found == index.end()) {
      below.entries.push_back(std::move(entry));
      continue;
    }
    YamlEntry& old = below.entries[found->second];
    const bool both_maps = old.value.kind == YamlKind::kMap && entry.value.kind == YamlKind::kMap;
    const bool says_nothing = old.value.kind == YamlKind::kMap && entry.value.kind == YamlKind::kNull;
    if (both_maps) {
      merge_maps(old.value, std::move(entry.value));
    } else if (!says_nothing) {
      old = std::move(entry);
    }
  }
}

YamlNode merge(YamlNode below, YamlNode above) {
  for (const ExclusiveKeys& pair : exclusive_keys()) {
    if (find_path(above, pair.first.path)) erase_path(below, pair.second.path);
    if (find_path(above, pair.second.path)) erase_path(below, pair.first.path);
  }
  merge_maps(below, std::move(above));
  return below;
}

/// The file with its parents under it. `children` are the files that led here, for cycles.
YamlNode load_with_parents(const Path& path, std::vector<Path>& children) {
  children.push_back(std::filesystem::weakly_canonical(path));
  YamlNode root = parse_file(path);
  const YamlEntry* extends = root.find("extends");
  if (!extends) return root;
  const Place place = extends->value.place;
  const Path parent = read_path(extends->value, "extends");
  check(!parent.empty(), ExitCode::kUsage, place.text(),
        ": extends: missing (got nothing, want a recipe file)");
  check(std::filesystem::exists(parent), place.text(), ": extends: no such file (got ", parent.string(), ")");
  const bool cycle = std::find(children.begin(), children.end(), std::filesystem::weakly_canonical(parent)) !=
                     children.end();
  check(!cycle, ExitCode::kUsage, place.text(), ": extends: goes round in a circle (got ", parent.string(),
        ")");
  check(children.size() < kMaxParents, ExitCode::kUsage, place.text(), ": extends: more than ", kMaxParents,
        " recipes in a row");
  erase_path(root, "extends");
  return merge(load_with_parents(parent, children), std::move(root));
}

/// `a.b=v` as the tree {a: {b: v}}.
YamlNode parse_override(const std::string& text) {
  const auto source = std::make_shared<YamlSource>(YamlSource{.name = "override '" + printable(text) + "'",
                                                              .folder = std::filesystem::current_path(),
                                                              .has_lines = false});
  const std::size_t equals = text.find('=');
  check(equals != text.npos && equals > 0, ExitCode::kUsage, source->name,
        ": not an override (got no key, want key=value)", Hint{"write it as train.epochs=1"});
  const std::string path = text.substr(0, equals);
  const std::string written = text.substr(equals + 1);
  const Place place{source};
  check(path != "extends", ExitCode::kUsage, source->name, ": extends: belongs in a file");
  YamlNode node{
      .kind = YamlKind::kScalar, .place = place, .text = {}, .quoted = true, .items = {}, .entries = {}};
  if (!written.empty()) node = parse_yaml(written, source);
  const std::vector<std::string> keys = split(path, '.');
  check(keys.size() <= kMaxYamlDepth, ExitCode::kUsage, source->name, ": nested too deep");
  for (auto key = keys.rbegin(); key != keys.rend(); ++key) {
    YamlNode map{.kind = YamlKind::kMap, .place = place, .text = {}, .items = {}, .entries = {}};
    map.entries.push_back({*key, place, std::move(node)});
    node = std::move(map);
  }
  return node;
}

}  // namespace

const YamlNode* find_path(const YamlNode& root, const std::string& path) {
  const std::size_t dot = path.find('.');
  const YamlEntry* entry = root.find(path.substr(0, dot));
  if (!entry) return nullptr;
  return dot == path.npos ? &entry->value : find_path(entry->value, path.substr(dot + 1));
}

YamlNode load_layers(const Path& path, const std::vector<std::string>& overrides) {
  std::vector<Path> children;
  YamlNode root = load_with_parents(path, children);
  YamlNode top{.kind = YamlKind::kMap, .place = root.place, .text = {}, .items = {}, .entries = {}};
  std::vector<std::string> seen;
  for (const std::string& text : overrides) {
    YamlNode layer = parse_override(text);
    const std::string key = text.substr(0, text.find('='));
    check(std::find(seen.begin(), seen.end(), key) == seen.end(), ExitCode::kUsage, "override '",
          printable(text), "': ", printable(key), ": given twice", Hint{"keep one of them"});
    seen.push_back(key);
    merge_maps(top, std::move(layer));
  }
  return merge(std::move(root), std::move(top));
}

}  // namespace graft
