#pragma once

#include <sys/types.h>

#include <cstddef>
#include <span>
#include <string_view>

#include "base/error.h"
#include "base/file.h"

namespace graft {

/// The system calls behind base/file.h, each of them behind the test hook (FileFault), EINTR and short counts
/// handled. Private to this room.

/// An open file, closed at the end of its scope.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();
  int number() const { return number_; }
  bool is_open() const { return number_ >= 0; }
  /// The number, which the caller closes from now on.
  int release();
  /// Closes and reports what close() says (delayed write errors of network file systems).
  void close(const Path& path);

 private:
  int number_ = -1;
};

/// 0, or the errno that the test hook wants this operation to fail with.
int fault_of(std::string_view operation, const Path& path);

/// Throws `path: cannot <operation>: <text of error>` with a hint where the error number has a usual cause.
[[noreturn]] void fail_file(ExitCode code, const Path& path, std::string_view operation, int error);

/// open(2) with O_CLOEXEC. The result is closed and errno set where it failed.
Descriptor try_open(const Path& path, int flags, mode_t mode = 0);
/// A regular file open for reading, and its size. Errors as MappedFile says; a FIFO is refused without
/// waiting.
Descriptor open_input(const Path& path, std::uint64_t& size);
/// Whether `path` still names the open file or folder.
bool is_named(const Descriptor& file, const Path& path);
/// Writes all bytes at the file's position. Error kResource.
void write_all(int descriptor, std::span<const std::byte> bytes, const Path& path);
/// fsync(2). Error kResource; a file system that cannot sync folders is let through.
void sync_descriptor(int descriptor, const Path& path);
/// rename(2), which replaces what `to` names. Returns 0 or the errno.
int rename_over(const Path& from, const Path& to);
/// Opens and fsyncs a file or folder that exists.
void sync_path(const Path& path);
/// The folder that holds `path`, "." where it names none.
Path parent_of(const Path& path);

}  // namespace graft
