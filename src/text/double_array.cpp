#include "text/double_array.h"

#include <algorithm>

namespace graft {
namespace {

constexpr std::uint32_t kBlock = 256;
// In how many blocks room is looked for: more would take longer and save little.
constexpr std::uint32_t kOpenBlocks = 16;

// The first bytes of a key as a number: in the order of keys, but equal for some that differ.
std::uint64_t front_of(std::string_view key) {
  std::uint64_t front = 0;
  for (std::size_t i = 0; i < sizeof front; ++i)
    front = front << 8 | (i < key.size() ? static_cast<unsigned char>(key[i]) : 0U);
  return front;
}

// Equal keys stay in their order. Keys lie all over the memory: most are told apart by their fronts, without
// going there.
void sort_by_key(std::vector<DoubleArray::Entry>& entries) {
  using Fronted = std::pair<std::uint64_t, DoubleArray::Entry>;
  std::vector<Fronted> fronted;
  fronted.reserve(entries.size());
  for (const auto& entry : entries) fronted.emplace_back(front_of(entry.first), entry);
  std::ranges::stable_sort(fronted, [](const Fronted& a, const Fronted& b) {
    return a.first != b.first ? a.first < b.first : a.second.first < b.second.first;
  });
  std::ranges::transform(fronted, entries.begin(), [](const Fronted& entry) { return entry.second; });
}

}  // namespace

/// Finds a place for the children of each node. Free places of the open blocks are a ring, so that taken ones
/// are not looked at again and again.
class DoubleArray::Builder {
 public:
  Builder(std::vector<Unit>& units, const std::vector<Entry>& entries) : units_(units), entries_(entries) {
    add_block();
    take(kRoot, kNoParent);
    // A stack of our own: normalization may make a key as long as it likes.
    std::vector<Branch> open = {{kRoot, 0, 0, entries.size()}};
    std::vector<Child> children;
    while (!open.empty()) {
      const Branch branch = open.back();
      open.pop_back();
      find_children(branch, children);
      if (children.empty()) continue;
      const Node base = free_base(children);
      units_[branch.node].base = base;
      for (const Child& child : children) {
        take(base ^ child.byte, branch.node);
        open.push_back({base ^ child.byte, branch.depth + 1, child.first, child.last});
      }
    }
  }

 private:
  // A node and the entries below it, which share their first `depth` bytes.
  struct Branch {
    Node node;
    std::size_t depth, first, last;
  };
  struct Child {
    unsigned char byte;
    std::size_t first, last;
  };

  // Gives the node its value, where an entry ends there, and groups the others by their next byte.
  void find_children(Branch branch, std::vector<Child>& children) {
    children.clear();
    if (branch.first < branch.last && entries_[branch.first].first.size() == branch.depth)
      units_[branch.node].value = entries_[branch.first++].second;
    for (std::size_t i = branch.first; i < branch.last; ++i) {
      const auto byte = static_cast<unsigned char>(entries_[i].first[branch.depth]);
      if (children.empty() || children.back().byte != byte) children.push_back({byte, i, i});
      children.back().last = i + 1;
    }
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
  sort_by_key(entries);
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
