#include <fcntl.h>
#include <stdio.h>

#include <cerrno>
#include <system_error>

#include "base/descriptor.h"
#include "base/file.h"
#include "base/staged_output.h"
#include "base/temporary.h"
#include "base/text.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

// "out/" names the same folder as "out", but has no file name to put a temporary name beside.
Path without_trailing_slash(const Path& path) { return path.has_filename() ? path : path.parent_path(); }

[[noreturn]] void fail_exists(const Path& path) {
  fail(ExitCode::kUsage, printable(path.string()), ": exists already",
       Hint{"name a folder that does not exist yet, or remove this one"});
}

// Every file and folder below `folder`, then the folder: what it holds must be on disk before its name is.
void sync_tree(const Path& folder) {
  std::error_code error;
  fs::recursive_directory_iterator entry(folder, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    const fs::file_status status = entry->symlink_status();
    if (fs::is_regular_file(status) || fs::is_directory(status)) sync_path(entry->path());
  }
  if (error) fail_file(ExitCode::kResource, folder, "read", error.value());
  sync_path(folder);
}

// rename(2) that refuses to replace; file systems without RENAME_NOREPLACE get a check and a plain rename.
int rename_to_new(const Path& from, const Path& to) {
  if (const int error = fault_of("rename", to); error != 0) return error;
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  std::error_code ignored;
  if (fs::exists(fs::symlink_status(to, ignored))) return EEXIST;
  return ::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

}  // namespace

OutputFolder::OutputFolder(const Path& path) : path_(without_trailing_slash(path)) {
  check(!path_.empty(), ExitCode::kUsage, "`", printable(path.string()), "` is no name for a folder");
  std::error_code ignored;
  remove_left_temporaries(path_);
  if (fs::exists(fs::symlink_status(path_, ignored))) fail_exists(path_);
  make_folder(parent_of(path_));
  auto [temporary, held] = make_temporary_folder(path_);
  temporary_ = std::move(temporary);
  lock_ = held.release();
}

OutputFolder::~OutputFolder() {
  const Descriptor held(lock_);
  if (committed_ || fault_of("remove", temporary_) != 0) return;
  std::error_code ignored;
  fs::remove_all(temporary_, ignored);
}

const Path& OutputFolder::temporary() const { return temporary_; }

void OutputFolder::commit() {
  sync_tree(temporary_);
  const int error = rename_to_new(temporary_, path_);
  if (error == EEXIST || error == ENOTEMPTY) fail_exists(path_);
  if (error != 0) fail_file(ExitCode::kResource, path_, "rename to", error);
  committed_ = true;
  sync_path(parent_of(path_));
}

StagedOutput::StagedOutput(const Path& path)
    : folder_(path), path_(without_trailing_slash(path)), place_(folder_.temporary() / path_.filename()) {}

void StagedOutput::commit() {
  sync_tree(folder_.temporary());
  for (const auto& entry : fs::directory_iterator(folder_.temporary())) {
    if (entry.path() == place_) continue;
    const Path to = parent_of(path_) / entry.path().filename();
    if (const int error = rename_over(entry.path(), to); error != 0)
      fail_file(ExitCode::kResource, to, "rename to", error);
  }
  const int error = rename_to_new(place_, path_);
  if (error == EEXIST || error == ENOTEMPTY) fail_exists(path_);
  if (error != 0) fail_file(ExitCode::kResource, path_, "rename to", error);
  sync_path(parent_of(path_));
}

}  // namespace graft
