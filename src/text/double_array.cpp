#include "text/double_array.h"

#include <algorithm>

namespace graft {
namespace {

constexpr std::uint32_t kBlock = 256;
constexpr std::uint32_t kOpenBlocks =
    16;  // in which room is looked for: more would take longer and save little

}  // namespace

/// Finds a place for the children of each node. Free places of the open blocks are a ring, so that taken ones
/// are not looked at again and again.
class DoubleArray::Builder {
 public:
  Builder(std::vector<Unit>& units, const std::vector<Entry>& entries) : units_(units), entries_(entries) {
    add_block();
    take(kRoot, kNoParent);
    add_children(kRoot, 0, 0, entries.size());
  }

 private:
  struct Child {
    unsigned char byte;
    std::size_t first, last;
  };

  // Depth is that of the longest key: keys are tokens, not texts.
  void add_children(Node node, std::size_t depth, std::size_t first, std::size_t last) {
    if (first < last && entries_[first].first.size() == depth) units_[node].value = entries_[first++].second;
    std::vector<Child> children;
    for (std::size_t i = first; i < last; ++i) {
      const auto byte = static_cast<unsigned char>(entries_[i].first[depth]);
      if (children.empty() || children.back().byte != byte) children.push_back({byte, i, i});
      children.back().last = i + 1;
    }
    if (children.empty()) return;
    const Node base = free_base(children);
    units_[node].base = base;
    for (const Child& child : children) take(base ^ child.byte, node);
    for (const Child& child : children) add_children(base ^ child.byte, depth + 1, child.first, child.last);
  }

  Node free_base(const std::vector<Child>& children) {
    for (std::size_t i = 0; i < free_; ++i, first_ = next_[first_]) {
      const Node base = first_ ^ children.front().byte;
      const bool fits = std::all_of(children.begin(), children.end(), [&](const Child& child) {
        return units_[base ^ child.byte].parent == kNobody;
      });
      if (fits) return base;
    }
    return add_block();
  }

  Node add_block() {
    const auto begin = static_cast<Node>(units_.size());
    units_.resize(begin + kBlock);
    next_.resize(begin + kBlock);
    previous_.resize(begin + kBlock);
    for (Node place = begin; place < begin + kBlock; ++place) link(place);
    if (begin >= kOpenBlocks * kBlock)
      for (Node place = begin - kOpenBlocks * kBlock; place < begin - (kOpenBlocks - 1) * kBlock; ++place)
        if (units_[place].parent == kNobody) unlink(place);
    return begin;
  }

  void take(Node place, Node parent) {
    if (place + kOpenBlocks * kBlock >= units_.size()) unlink(place);
    units_[place].parent = parent;
  }

  void link(Node place) {
    if (free_++ == 0) first_ = next_[place] = previous_[place] = place;
    next_[place] = first_;
    previous_[place] = previous_[first_];
    next_[previous_[place]] = previous_[first_] = place;
  }

  void unlink(Node place) {
    --free_;
    next_[previous_[place]] = next_[place];
    previous_[next_[place]] = previous_[place];
    if (first_ == place) first_ = next_[place];
  }

  std::vector<Unit>& units_;
  const std::vector<Entry>& entries_;
  std::vector<Node> next_, previous_;  // of free places
  Node first_ = 0;
  std::size_t free_ = 0;
};

DoubleArray::DoubleArray(std::vector<Entry> entries) {
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.first < b.first; });
  const auto same = [](const Entry& a, const Entry& b) { return a.first == b.first; };
  entries.erase(std::unique(entries.begin(), entries.end(), same), entries.end());
  Builder(units_, entries);
}

std::int32_t DoubleArray::find(std::string_view key) const {
  Node node = kRoot;
  for (const char c : key)
    if (!step(node, c)) return kNone;
  return value(node);
}

}  // namespace graft
