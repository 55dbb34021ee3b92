#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "base/file.h"

namespace graft {

/// SHA-256 in pieces; hex() ends it.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  void update(std::span<const std::byte> bytes);
  void update(std::string_view text);
  /// 64 lower-case hexadecimal digits.
  std::string hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256_hex(std::span<const std::byte> bytes);
/// Adds the bytes of a file, of which a few megabytes at a time are in memory.
void hash_file(Sha256& hash, const Path& path);
std::string sha256_of_file(const Path& path);

}  // namespace graft
