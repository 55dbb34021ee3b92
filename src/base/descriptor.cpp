#include "base/descriptor.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "base/text.h"

namespace graft {
namespace {

// The test hook of set_file_fault. Set before threads start.
FileFault& file_fault() {
  static FileFault fault;
  return fault;
}

std::string hint_of(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "the disk is full: free some space and run the command again";
    case EROFS:
      return "the file system is mounted read-only";
    case EACCES:
    case EPERM:
      return "check the permissions of the file and of its folder";
    case EMFILE:
    case ENFILE:
      return "too many files are open: raise the limit with `ulimit -n`";
    default:
      return "";
  }
}

}  // namespace

void set_file_fault(FileFault fault) { file_fault() = std::move(fault); }

int fault_of(std::string_view operation, const Path& path) {
  return file_fault() ? file_fault()(operation, path) : 0;
}

void fail_file(ExitCode code, const Path& path, std::string_view operation, int error) {
  fail(code, printable(path.string()), ": cannot ", operation, ": ", std::generic_category().message(error),
       Hint{hint_of(error)});
}

Descriptor::Descriptor(Descriptor&& other) noexcept : number_(other.release()) {}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    if (is_open()) ::close(number_);
    number_ = other.release();
  }
  return *this;
}

Descriptor::~Descriptor() {
  if (is_open()) ::close(number_);
}

int Descriptor::release() { return std::exchange(number_, -1); }

void Descriptor::close(const Path& path) {
  int error = fault_of("close", path);
  // Linux frees the number even where close() reports an error, EINTR included: never repeated.
  if (::close(release()) != 0 && errno != EINTR && error == 0) error = errno;
  if (error != 0) fail_file(ExitCode::kResource, path, "close", error);
}

Descriptor try_open(const Path& path, int flags, mode_t mode) {
  if (const int error = fault_of("open", path); error != 0) {
    errno = error;
    return {};
  }
  int number;
  do number = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  while (number < 0 && errno == EINTR);
  return Descriptor(number);
}

Descriptor open_input(const Path& path, std::uint64_t& size) {
  // O_NONBLOCK: opening a FIFO would wait for its writer. It changes nothing for regular files.
  Descriptor file = try_open(path, O_RDONLY | O_NONBLOCK);
  if (!file.is_open()) fail_file(ExitCode::kBadInput, path, "open", errno);
  struct stat status;
  if (::fstat(file.number(), &status) != 0) fail_file(ExitCode::kBadInput, path, "read", errno);
  check(!S_ISDIR(status.st_mode), printable(path.string()), ": is a folder, want a file");
  check(S_ISREG(status.st_mode), printable(path.string()), ": is not a regular file");
  size = static_cast<std::uint64_t>(status.st_size);
  return file;
}

bool is_named(const Descriptor& file, const Path& path) {
  struct stat open_file, named_file;
  return ::fstat(file.number(), &open_file) == 0 && ::stat(path.c_str(), &named_file) == 0 &&
         open_file.st_ino == named_file.st_ino && open_file.st_dev == named_file.st_dev;
}

void write_all(int descriptor, std::span<const std::byte> bytes, const Path& path) {
  // Linux writes at most 2 GiB a call; pieces also let the test hook strike in the middle of a large tensor.
  constexpr std::size_t kPiece = std::size_t{16} << 20;
  while (!bytes.empty()) {
    if (const int error = fault_of("write", path); error != 0) {
      fail_file(ExitCode::kResource, path, "write", error);
    }
    const ssize_t written = ::write(descriptor, bytes.data(), std::min(bytes.size(), kPiece));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_file(ExitCode::kResource, path, "write", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void sync_descriptor(int descriptor, const Path& path) {
  if (const int error = fault_of("fsync", path); error != 0) {
    fail_file(ExitCode::kResource, path, "fsync", error);
  }
  // Not repeated after EIO: the kernel reports a lost page once, a second fsync would lie.
  if (::fsync(descriptor) != 0 && errno != EINVAL && errno != ENOTSUP) {
    fail_file(ExitCode::kResource, path, "fsync", errno);
  }
}

int rename_over(const Path& from, const Path& to) {
  if (const int error = fault_of("rename", to); error != 0) return error;
  return ::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

void sync_path(const Path& path) {
  const Descriptor file = try_open(path, O_RDONLY);
  if (!file.is_open()) fail_file(ExitCode::kResource, path, "open", errno);
  sync_descriptor(file.number(), path);
}

Path parent_of(const Path& path) {
  const Path parent = path.parent_path();
  return parent.empty() ? Path(".") : parent;
}

}  // namespace graft
