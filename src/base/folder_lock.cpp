#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <limits.h>
#include <array>
#include <cerrno>

#include "base/descriptor.h"
#include "base/file.h"
#include "base/text.h"

namespace graft {
namespace {

[[noreturn]] void fail_in_use(const Path& folder, int descriptor) {
  std::array<char, 128> holder{};
  const ssize_t size = ::pread(descriptor, holder.data(), holder.size() - 1, 0);
  const std::string_view text =
      trim(std::string_view(holder.data(), size > 0 ? static_cast<std::size_t>(size) : 0));
  fail(ExitCode::kInUse, printable(folder.string()), ": in use by process ",
       text.empty() ? std::string("(starting)") : printable(text),
       Hint{"wait for it to end, or choose another output_dir"});
}

// "4711 on myhost": on a shared file system the process may be another machine's.
void write_holder(int descriptor, const Path& path) {
  std::array<char, HOST_NAME_MAX + 1> host{};
  ::gethostname(host.data(), host.size() - 1);
  const std::string text = std::to_string(::getpid()) + " on " + host.data() + "\n";
  if (::ftruncate(descriptor, 0) != 0) fail_file(ExitCode::kResource, path, "write", errno);
  write_all(descriptor, std::as_bytes(std::span(text)), path);
}

}  // namespace

FolderLock::FolderLock(const Path& folder) : descriptor_(-1), path_(folder / ".lock") {
  while (true) {
    Descriptor file = try_open(path_, O_RDWR | O_CREAT, 0666);
    if (!file.is_open()) fail_file(ExitCode::kResource, path_, "create", errno);
    int error = fault_of("flock", path_);
    while (error == 0 && ::flock(file.number(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EINTR) error = errno;
    }
    if (error == EWOULDBLOCK) fail_in_use(folder, file.number());
    if (error != 0) fail_file(ExitCode::kResource, path_, "lock", error);
    // A holder that ended may have removed it between our open and flock.
    if (!is_named(file, path_)) continue;
    write_holder(file.number(), path_);
    descriptor_ = file.release();
    return;
  }
}

FolderLock::~FolderLock() {
  // Removed while still locked: whoever opened it meanwhile sees that the name is gone and tries again.
  ::unlink(path_.c_str());
  ::close(descriptor_);
}

}  // namespace graft
