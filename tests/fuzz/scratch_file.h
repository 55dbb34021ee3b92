#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "base/file.h"
#include "fuzz/require.h"

namespace graft {

/// Bytes as a file in memory, for what reads files; gone with the object.
class ScratchFile {
 public:
  ScratchFile(const std::uint8_t* data, std::size_t size) : number_(::memfd_create("fuzz", 0)) {
    require(number_ >= 0);
    for (std::size_t done = 0; done < size;) {
      const ssize_t count = ::write(number_, data + done, size - done);
      require(count > 0);
      done += static_cast<std::size_t>(count);
    }
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  ~ScratchFile() { ::close(number_); }

  Path path() const { return "/proc/self/fd/" + std::to_string(number_); }

 private:
  int number_;
};

}  // namespace graft
