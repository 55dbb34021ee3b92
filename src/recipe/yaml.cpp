#include "recipe/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <optional>
#include <set>
#include <sstream>

#include "base/error.h"
#include "base/text.h"

namespace graft {
namespace {

using Source = std::shared_ptr<const YamlSource>;

Place place_at(const Source& source, const YAML::Mark& mark) {
  return {source, std::max(mark.line, 0) + 1, std::max(mark.column, 0) + 1};
}

Place place_of_byte(const Source& source, std::string_view text, std::size_t byte) {
  const std::string_view before = text.substr(0, byte);
  const std::size_t line_start = before.rfind('\n') == before.npos ? 0 : before.rfind('\n') + 1;
  return {source, 1 + static_cast<int>(std::count(before.begin(), before.end(), '\n')),
          1 + static_cast<int>(byte - line_start)};
}

/// Turns yaml-cpp's events into a tree and refuses what it lets through.
class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(Source source) : source_(std::move(source)) { root_.place.source = source_; }
  YamlNode take_root() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    check(documents_++ == 0, ExitCode::kUsage, place_at(source_, mark).text(),
          ": a second document (got two, want one)", Hint{"remove the `---` line and what follows it"});
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { put(node(YamlKind::kNull, mark)); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { fail_alias(source_, mark); }
  void OnAnchor(const YAML::Mark& mark, const std::string& name) override {
    fail(ExitCode::kUsage, place_at(source_, mark).text(), ": recipes have no anchors (got `&",
         printable(name), "`)", Hint{"write the value where it is used, or share keys through `extends`"});
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                const std::string& value) override {
    check_tag(mark, tag);
    YamlNode scalar = node(YamlKind::kScalar, mark);
    scalar.text = value;
    scalar.quoted = tag == "!";
    put(std::move(scalar));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    open(YamlKind::kList, mark, tag);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    open(YamlKind::kMap, mark, tag);
  }
  void OnMapEnd() override { close(); }

  [[noreturn]] static void fail_alias(const Source& source, const YAML::Mark& mark) {
    fail(ExitCode::kUsage, place_at(source, mark).text(), ": recipes have no aliases (got `*…`)",
         Hint{"write the value where it is used; a text that starts with * needs quotes"});
  }

 private:
  /// A list or map whose end has not been seen.
  struct Open {
    YamlNode node;
    std::optional<YamlEntry> pending;  ///< a key that waits for its value
    std::set<std::string> keys;
  };

  YamlNode node(YamlKind kind, const YAML::Mark& mark) const {
    return {.kind = kind, .place = place_at(source_, mark), .text = {}, .items = {}, .entries = {}};
  }

  void check_tag(const YAML::Mark& mark, const std::string& tag) const {
    check(tag.empty() || tag == "?" || tag == "!", ExitCode::kUsage, place_at(source_, mark).text(),
          ": recipes have no tags (got `", printable(tag), "`)",
          Hint{"remove the tag: the key says its type"});
  }

  void open(YamlKind kind, const YAML::Mark& mark, const std::string& tag) {
    check_tag(mark, tag);
    check(open_.size() < kMaxYamlDepth, ExitCode::kUsage, place_at(source_, mark).text(),
          ": nested too deep (want at most ", kMaxYamlDepth, " levels)");
    open_.push_back({node(kind, mark), std::nullopt, {}});
  }

  void close() {
    YamlNode done = std::move(open_.back().node);
    open_.pop_back();
    put(std::move(done));
  }

  void put(YamlNode value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (open_.back().node.kind == YamlKind::kList) {
      open_.back().node.items.push_back(std::move(value));
    } else if (!open_.back().pending) {
      put_key(std::move(value));
    } else {
      YamlEntry& entry = *open_.back().pending;
      // yaml-cpp marks an empty value with whatever comes next; the key is where the reader looks
      if (value.kind == YamlKind::kNull) value.place = entry.place;
      entry.value = std::move(value);
      open_.back().node.entries.push_back(std::move(entry));
      open_.back().pending.reset();
    }
  }

  void put_key(YamlNode key) {
    Open& map = open_.back();
    check(key.kind == YamlKind::kScalar, ExitCode::kUsage, key.place.text(), ": a key must be a word (got ",
          key.kind == YamlKind::kNull ? "nothing" : "a list or a map", ")");
    check(key.text != "<<" || key.quoted, ExitCode::kUsage, key.place.text(),
          ": recipes have no merge keys (got `<<`)", Hint{"share keys through `extends`"});
    if (!map.keys.insert(key.text).second) {
      const YamlEntry* first = map.node.find(key.text);
      fail(ExitCode::kUsage, key.place.text(), ": ", path_of(key.text), ": written twice (first on line ",
           first->place.line, ")", Hint{"keep one of them"});
    }
    map.pending = YamlEntry{std::move(key.text), key.place, {}};
  }

  /// "lora.r" for the key `r` of the map that is open.
  std::string path_of(const std::string& key) const {
    std::string path;
    for (const Open& level : open_) {
      if (level.pending) path += printable(level.pending->key) + ".";
      if (level.node.kind == YamlKind::kList && !path.empty()) {
        path.pop_back();
        path += "[" + std::to_string(level.node.items.size()) + "].";
      }
    }
    return path + printable(key);
  }

  Source source_;
  YamlNode root_;
  std::vector<Open> open_;
  int documents_ = 0;
};

/// What yaml-cpp would take without a word: other encodings, its own end mark (0x04), tabs that look like
/// indentation.
void check_characters(std::string_view text, const Source& source) {
  check(text.size() <= kMaxRecipeBytes, ExitCode::kUsage, source->name, ": too large for a recipe (got ",
        text.size(), " bytes, want at most ", kMaxRecipeBytes, ")");
  if (const auto invalid = find_invalid_utf8(text)) {
    fail(ExitCode::kUsage, place_of_byte(source, text, *invalid).text(), ": not UTF-8",
         Hint{"save the file as UTF-8"});
  }
  bool indenting = true;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool line_end = c == '\n' || (c == '\r' && i + 1 < text.size() && text[i + 1] == '\n');
    if (c == '\t' && indenting) {
      fail(ExitCode::kUsage, place_of_byte(source, text, i).text(),
           ": a tab in the indentation (want spaces)", Hint{"indent with two spaces"});
    }
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\t' && !line_end) || c == 0x7F) {
      fail(ExitCode::kUsage, place_of_byte(source, text, i).text(), ": a control character (got ",
           printable(text.substr(i, 1)), ")",
           Hint{"write it as an escape inside double quotes, such as \"\\n\""});
    }
    indenting = c == '\n' || (indenting && c == ' ');
  }
}

std::string advice(const std::string& problem) {
  if (problem.find("illegal map value") != problem.npos)
    return "a text that holds `: ` needs quotes around it";
  if (problem.find("end of map") != problem.npos)
    return "check the indentation: keys of one section start in one column";
  if (problem.find("end of sequence") != problem.npos)
    return "check the list: `- ` items in one column, or [a, b]";
  if (problem.find("EOF in scalar") != problem.npos) return "a quote is opened and never closed";
  return "";
}

}  // namespace

std::string Place::text() const {
  if (!source->has_lines) return source->name;
  return source->name + ":" + std::to_string(line) + ":" + std::to_string(column);
}

const YamlEntry* YamlNode::find(std::string_view key) const {
  const auto found =
      std::find_if(entries.begin(), entries.end(), [&](const YamlEntry& e) { return e.key == key; });
  return found == entries.end() ? nullptr : &*found;
}

YamlNode parse_yaml(std::string_view text, std::shared_ptr<const YamlSource> source) {
  check_characters(text, source);
  std::string closed(text);
  closed += (text.empty() || text.back() == '\n') ? "" : "\n";
  // yaml-cpp takes an open quote for closed where the file ends with a line; the comment behind it makes it
  // an error
  std::istringstream stream(closed + "#");
  TreeBuilder tree(source);
  try {
    YAML::Parser parser(stream);
    // the builder refuses a second document
    while (parser.HandleNextDocument(tree)) {
    }
  } catch (const YAML::Exception& error) {
    const std::string problem = error.msg;
    if (problem.find("anchor is not defined") != problem.npos) TreeBuilder::fail_alias(source, error.mark);
    fail(ExitCode::kUsage, place_at(source, error.mark).text(), ": not valid YAML: ", problem,
         Hint{advice(problem)});
  }
  return tree.take_root();
}

}  // namespace graft
