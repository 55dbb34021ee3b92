#include "recipe/move_paths.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "recipe/layers.h"
#include "recipe/scalar.h"

namespace graft {
namespace {

/// The scalars that are paths relative to the file.
std::vector<const YamlNode*> path_nodes(const YamlNode& root) {
  std::vector<const YamlNode*> nodes;
  for (const char* key : {"extends", "model.path", "lora.from"}) nodes.push_back(find_path(root, key));
  for (const char* key : {"data.train", "data.eval"}) {
    const YamlNode* list = find_path(root, key);
    for (std::size_t i = 0; list && i < list->items.size(); ++i)
      nodes.push_back(find_path(list->items[i], "path"));
  }
  const YamlNode* chat_template = find_path(root, "data.chat_template");
  if (chat_template && chat_template->text.ends_with(".jinja")) nodes.push_back(chat_template);
  std::erase_if(nodes, [](const YamlNode* node) {
    return !node || node->kind != YamlKind::kScalar || node->text.empty() || Path(node->text).is_absolute();
  });
  return nodes;
}

std::size_t byte_of(const Place& place, const std::string& text) {
  std::size_t byte = 0;
  for (int line = 1; line < place.line; ++line) byte = text.find('\n', byte) + 1;
  return byte + static_cast<std::size_t>(place.column) - 1;
}

/// Bytes that the scalar takes in the text, quotes included.
std::size_t written_length(const YamlNode& node, const std::string& text, std::size_t byte) {
  if (!node.quoted) {
    const bool found = text.compare(byte, node.text.size(), node.text) == 0;
    return found ? node.text.size() : 0;
  }
  const char quote = text[byte];
  if (quote != '"' && quote != '\'') return 0;
  for (std::size_t end = byte + 1; end < text.size(); ++end) {
    const bool doubled =
        quote == '\'' && text[end] == quote && end + 1 < text.size() && text[end + 1] == quote;
    if (doubled || (quote == '"' && text[end] == '\\')) {
      ++end;
    } else if (text[end] == quote) {
      return end + 1 - byte;
    }
  }
  return 0;
}

/// `target` as seen from `folder`: relative, unless the two have nothing in common but the root.
Path path_from(const Path& folder, const Path& target) {
  const bool share_a_folder = target.begin() != target.end() && std::next(target.begin()) != target.end() &&
                              std::next(folder.begin()) != folder.end() &&
                              *std::next(target.begin()) == *std::next(folder.begin());
  return share_a_folder ? target.lexically_relative(folder) : target;
}

}  // namespace

std::string with_moved_paths(const Path& from, const Path& folder) {
  std::string text = read_file(from, kMaxRecipeBytes);
  const Path old_folder = std::filesystem::absolute(from).parent_path();
  const auto source = std::make_shared<YamlSource>(YamlSource{from.string(), old_folder, true});
  const YamlNode root = parse_yaml(text, source);
  std::vector<const YamlNode*> nodes = path_nodes(root);
  // from the end to the start, so that the places of what is left stay right
  std::sort(nodes.begin(), nodes.end(), [](const YamlNode* a, const YamlNode* b) {
    return std::pair(a->place.line, a->place.column) > std::pair(b->place.line, b->place.column);
  });
  for (const YamlNode* node : nodes) {
    const std::size_t byte = byte_of(node->place, text);
    const std::size_t length = written_length(*node, text, byte);
    check(length > 0, ExitCode::kUsage, node->place.text(), ": a path over several lines cannot be rewritten",
          Hint{"write it on one line"});
    const Path target = (old_folder / node->text).lexically_normal();
    text.replace(byte, length, yaml_scalar(path_from(folder.lexically_normal(), target).string()));
  }
  return text;
}

}  // namespace graft
