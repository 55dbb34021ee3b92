#include "base/temporary.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <vector>

#include "base/console.h"
#include "base/text.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

constexpr int kMostAttempts = 1000;

std::string prefix_of(const Path& path) { return "." + path.filename().string() + ".tmp-"; }

int lock(const Descriptor& file, const Path& path) {
  int error = fault_of("flock", path);
  while (error == 0 && ::flock(file.number(), LOCK_EX | LOCK_NB) != 0)
    if (errno != EINTR) error = errno;
  return error;
}

template <class Create>
Temporary make_temporary(const Path& path, const char* kind, const Create& create) {
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    const std::string name = prefix_of(path) + std::to_string(::getpid()) + "-" + std::to_string(attempt);
    Temporary made{parent_of(path) / name, {}};
    made.held = create(made.path);
    if (!made.held.is_open() && errno != EEXIST) fail_file(ExitCode::kResource, path, "create", errno);
    if (!made.held.is_open()) continue;
    // Somebody who cleans up may have come between: what was not locked yet looked dead to him. A file system
    // without locks has nobody who cleans up.
    const int error = lock(made.held, made.path);
    if (error != EWOULDBLOCK && is_named(made.held, made.path)) return made;
  }
  fail(ExitCode::kResource, printable(path.string()), ": cannot create: too many temporary ", kind,
       " beside it");
}

// Whether locks on it are seen by everybody who can write there: not by other machines, and not through
// another mount of the same thing.
bool is_local(const Path& folder) {
  constexpr std::array<std::int64_t, 8> kLocal = {
      EXT4_SUPER_MAGIC,      XFS_SUPER_MAGIC,  BTRFS_SUPER_MAGIC,    TMPFS_MAGIC,
      OVERLAYFS_SUPER_MAGIC, F2FS_SUPER_MAGIC, 0x2FC12FC1 /* ZFS */, 0xCA451A4E /* bcachefs */};
  struct statfs status;
  if (::statfs(folder.c_str(), &status) != 0) return false;
  return std::ranges::find(kLocal, static_cast<std::int64_t>(status.f_type)) != kLocal.end();
}

// "4711-0"
bool is_process_and_number(std::string_view text) {
  const std::size_t dash = text.find('-');
  if (dash == 0 || dash == text.npos || dash + 1 == text.size()) return false;
  return text.find_first_not_of("0123456789", dash + 1) == text.npos &&
         text.substr(0, dash).find_first_not_of("0123456789") == text.npos;
}

std::vector<Path> temporaries_of(const Path& path) {
  const std::string prefix = prefix_of(path);
  std::vector<Path> found;
  std::error_code error;
  fs::directory_iterator entry(parent_of(path), error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with(prefix) && is_process_and_number(std::string_view(name).substr(prefix.size())))
      found.push_back(entry->path());
  }
  return found;
}

std::uintmax_t bytes_of(const Path& path) {
  std::error_code error;
  if (fs::is_regular_file(path, error)) return fs::file_size(path, error);
  std::uintmax_t bytes = 0;
  fs::recursive_directory_iterator entry(path, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error))
    if (std::error_code ignored; entry->is_regular_file(ignored)) bytes += entry->file_size(ignored);
  return bytes;
}

void remove_if_left(const Path& path) {
  const Descriptor file = try_open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!file.is_open() || lock(file, path) != 0 || !is_named(file, path)) return;
  const std::uintmax_t bytes = bytes_of(path);
  std::error_code error;
  if (fault_of("remove", path) != 0 || fs::remove_all(path, error) == 0 || error || bytes == 0) return;
  say("removed " + printable(path.string()) + ", which a killed run left (" + format_bytes(bytes) + ")");
}

}  // namespace

Temporary make_temporary_file(const Path& path) {
  return make_temporary(path, "files",
                        [](const Path& name) { return try_open(name, O_WRONLY | O_CREAT | O_EXCL, 0666); });
}

Temporary make_temporary_folder(const Path& path) {
  return make_temporary(path, "folders", [](const Path& name) {
    errno = fault_of("mkdir", name);
    if (errno != 0 || ::mkdir(name.c_str(), 0777) != 0) return Descriptor();
    Descriptor folder = try_open(name, O_RDONLY | O_DIRECTORY);
    if (!folder.is_open() && errno == ENOENT) errno = EEXIST;  // removed by somebody who cleans up
    return folder;
  });
}

void remove_left_temporaries(const Path& path) {
  const std::vector<Path> found = temporaries_of(path);
  if (!found.empty() && is_local(parent_of(path)))
    for (const Path& temporary : found) remove_if_left(temporary);
}

}  // namespace graft
