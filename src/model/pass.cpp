#include "model/pass.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace graft {
namespace {

constexpr std::int64_t kFirstCapacity = 256;

/// Puts `fresh` [t,K,E] behind the `length` rows of `store`, in a larger one where it is full ->
/// [length+t,K,E].
at::Tensor grow(at::Tensor& store, const at::Tensor& fresh, std::int64_t length, std::int64_t limit) {
  const std::int64_t needed = length + fresh.size(0);
  if (!store.defined() || store.size(0) < needed) {
    const std::int64_t roomy = std::max(2 * length, kFirstCapacity);
    const std::int64_t capacity = std::max(needed, limit > 0 ? std::min(roomy, limit) : roomy);
    at::Tensor larger = at::empty({capacity, fresh.size(1), fresh.size(2)}, fresh.options());
    if (length > 0) larger.narrow(0, 0, length).copy_(store.narrow(0, 0, length));
    store = larger;
  }
  store.narrow(0, length, fresh.size(0)).copy_(fresh);
  return store.narrow(0, 0, needed);
}

}  // namespace

std::pair<at::Tensor, at::Tensor> KvCache::append(std::size_t layer, const at::Tensor& k,
                                                  const at::Tensor& v) {
  keys.resize(std::max(keys.size(), layer + 1));
  values.resize(std::max(values.size(), layer + 1));
  return {grow(keys[layer], k, length, limit), grow(values[layer], v, length, limit)};
}

}  // namespace graft
