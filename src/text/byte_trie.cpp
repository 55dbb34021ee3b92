#include "text/byte_trie.h"

namespace graft {

ByteTrie::ByteTrie() : first_(256, kRoot), edges_(64), values_{kNone} {}

bool ByteTrie::insert(std::string_view key, std::int32_t value) {
  Node node = kRoot;
  for (const char c : key)
    if (!step(node, c)) node = add(node, static_cast<unsigned char>(c));
  if (node == kRoot || values_[node] != kNone) return false;
  values_[node] = value;
  return true;
}

std::int32_t ByteTrie::find(std::string_view key) const {
  Node node = kRoot;
  for (const char c : key)
    if (!step(node, c)) return kNone;
  return values_[node];
}

ByteTrie::Node ByteTrie::add(Node node, unsigned char byte) {
  const auto next = static_cast<Node>(values_.size());
  values_.push_back(kNone);
  if (node == kRoot) return first_[byte] = next;
  if (used_ * 2 > edges_.size()) grow();
  const std::uint64_t key = std::uint64_t{node} << 8 | byte;
  edges_[place(key)] = {key, next};
  ++used_;
  return next;
}

void ByteTrie::grow() {
  std::vector<Edge> old(edges_.size() * 2);
  old.swap(edges_);
  for (const Edge& edge : old)
    if (edge.next != kRoot) edges_[place(edge.key)] = edge;
}

}  // namespace graft
