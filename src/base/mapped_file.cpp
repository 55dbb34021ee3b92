#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "base/checked.h"
#include "base/descriptor.h"
#include "base/file.h"
#include "base/text.h"

namespace graft {

struct MappedFile::Mapping {
  Path path;
  void* address = nullptr;
  std::size_t size = 0;

  explicit Mapping(Path name) : path(std::move(name)) {}
  Mapping(const Mapping&) = delete;
  ~Mapping() {
    if (address != nullptr) ::munmap(address, size);
  }
};

MappedFile::MappedFile(const Path& path) {
  std::uint64_t size = 0;
  const Descriptor file = open_input(path, size);
  auto mapping = std::make_shared<Mapping>(path);
  mapping_ = mapping;
  if (size == 0) return;  // mmap refuses a length of 0
  const auto length = narrow<std::size_t>(size, "file size");
  int error = fault_of("mmap", path);
  void* address = MAP_FAILED;
  if (error == 0) {
    address = ::mmap(nullptr, length, PROT_READ, MAP_PRIVATE, file.number(), 0);
    if (address == MAP_FAILED) error = errno;
  }
  if (error != 0) fail_file(ExitCode::kBadInput, path, "map", error);
  mapping->address = address;
  mapping->size = length;
  // Weights are read once from front to back and then stay: large pages where the file system has them, and
  // the kernel's own read-ahead; whole-file prefetch would make `tokenize` read gigabytes that it never
  // needs.
  ::madvise(address, length, MADV_HUGEPAGE);
}

std::span<const std::byte> MappedFile::bytes() const {
  return {static_cast<const std::byte*>(mapping_->address), mapping_->size};
}

const Path& MappedFile::path() const { return mapping_->path; }

void release_mapped(std::span<const std::byte> bytes) {
  // Whole pages inside the range only: its neighbours may be in use.
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<std::uintptr_t>(bytes.data()) + page - 1) / page * page;
  const auto end = reinterpret_cast<std::uintptr_t>(bytes.data() + bytes.size()) / page * page;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

std::string read_file(const Path& path, std::uint64_t max_bytes) {
  std::uint64_t size = 0;
  const Descriptor file = open_input(path, size);
  const auto too_large = [&] {
    fail(printable(path.string()), ": is too large (got more than ", max_bytes, " bytes, want at most that)");
  };
  if (size > max_bytes) too_large();
  // The size is only a guess: files of /proc say 0, and a log may grow while it is read.
  std::string text(static_cast<std::size_t>(size) + 1, '\0');
  std::size_t used = 0;
  while (true) {
    if (const int error = fault_of("read", path); error != 0) {
      fail_file(ExitCode::kBadInput, path, "read", error);
    }
    const ssize_t count = ::read(file.number(), text.data() + used, text.size() - used);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_file(ExitCode::kBadInput, path, "read", errno);
    if (count == 0) break;
    used += static_cast<std::size_t>(count);
    if (used > max_bytes) too_large();
    if (used == text.size()) text.resize(text.size() * 2 + 4096);
  }
  text.resize(used);
  return text;
}

}  // namespace graft
