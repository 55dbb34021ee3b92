#pragma once

#include <cstdint>

namespace graft {

/// Puts a caching allocator under libtorch's CPU tensors, for the life of the process: freed blocks are kept
/// by size and used again, so that a training step in steady state touches no new page. main calls it once,
/// before any tensor.
void install_caching_cpu_allocator();
/// Bytes that the cache holds and no tensor uses.
std::uint64_t cached_bytes();
/// Gives those bytes back to the system, and what malloc keeps of freed blocks: after loading, so that what a
/// tokenizer or a JSON document needed for a moment does not stay beside the training step.
void release_cached_bytes();

}  // namespace graft
