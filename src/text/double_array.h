#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace graft {

/// Strings with a number each, walked byte by byte: a trie that is built at once and then small and quick.
/// The child of a node along a byte lies at the node's base xor the byte, if its parent is that node. Source:
/// Aoe 1989, "An Efficient Digital Search Algorithm by Using a Double-Array Structure".
class DoubleArray {
 public:
  static constexpr std::int32_t kNone = -1;
  using Node = std::uint32_t;
  static constexpr Node kRoot = 0;
  using Entry = std::pair<std::string_view, std::int32_t>;

  /// Keys that are not empty; of equal ones the first counts. Numbers from 0.
  explicit DoubleArray(std::vector<Entry> entries);

  /// Moves from `node` along `byte`; false where no key goes on so.
  bool step(Node& node, char byte) const {
    const Node child = units_[node].base ^ static_cast<unsigned char>(byte);
    if (units_[child].parent != node) return false;
    node = child;
    return true;
  }
  /// The number of the key that ends at `node`, or kNone.
  std::int32_t value(Node node) const { return units_[node].value; }
  /// The number of `key`, or kNone.
  std::int32_t find(std::string_view key) const;

 private:
  static constexpr Node kNobody = ~Node{0}, kNoParent = kNobody - 1;  // of a free place; of the root
  struct Unit {
    Node base = 0;  // below the size, in whole blocks of 256
    Node parent = kNobody;
    std::int32_t value = kNone;
  };
  class Builder;

  std::vector<Unit> units_;
};

}  // namespace graft
