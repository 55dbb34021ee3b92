#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace graft {

/// Strings with a number each, walked byte by byte.
class ByteTrie {
 public:
  static constexpr std::int32_t kNone = -1;
  using Node = std::uint32_t;
  static constexpr Node kRoot = 0;

  ByteTrie();
  /// Gives `key` the number `value`, unless it has one already. Returns whether it did.
  bool insert(std::string_view key, std::int32_t value);
  /// Moves from `node` along `byte`; false where no key goes on so.
  bool step(Node& node, char byte) const {
    const auto c = static_cast<unsigned char>(byte);
    const Node next = node == kRoot ? first_[c] : find(node, c);
    if (next == kRoot) return false;
    node = next;
    return true;
  }
  /// The number of the key that ends at `node`, or kNone.
  std::int32_t value(Node node) const { return values_[node]; }
  /// The number of `key`, or kNone.
  std::int32_t find(std::string_view key) const;
  bool empty() const { return values_.size() == 1; }

 private:
  struct Edge {
    std::uint64_t key = ~std::uint64_t{0};  // node << 8 | byte
    Node next = kRoot;
  };
  std::size_t place(std::uint64_t key) const {
    const std::size_t mask = edges_.size() - 1;
    std::size_t i = (key * 0x9E3779B97F4A7C15ULL >> 32) & mask;
    while (edges_[i].next != kRoot && edges_[i].key != key) i = (i + 1) & mask;
    return i;
  }
  Node find(Node node, unsigned char byte) const {
    return edges_[place(std::uint64_t{node} << 8 | byte)].next;
  }
  Node add(Node node, unsigned char byte);
  void grow();

  std::vector<Node> first_;  // from the root, by byte; kRoot: none
  std::vector<Edge> edges_;  // from other nodes: open addressing
  std::size_t used_ = 0;
  std::vector<std::int32_t> values_;
};

}  // namespace graft
