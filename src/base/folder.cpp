#include <sys/statvfs.h>

#include <cerrno>
#include <system_error>

#include "base/descriptor.h"
#include "base/file.h"

namespace graft {

namespace fs = std::filesystem;

void make_folder(const Path& path) {
  if (const int error = fault_of("mkdir", path); error != 0)
    fail_file(ExitCode::kResource, path, "create", error);
  std::error_code error;
  fs::create_directories(path, error);
  // create_directories reports no error where a file of that name stands in the way of the last part.
  if (!error && !fs::is_directory(path, error) && !error)
    error = std::make_error_code(std::errc::not_a_directory);
  if (error) fail_file(ExitCode::kResource, path, "create", error.value());
}

void remove_all(const Path& path) {
  if (const int error = fault_of("remove", path); error != 0)
    fail_file(ExitCode::kResource, path, "remove", error);
  std::error_code error;
  fs::remove_all(path, error);
  if (error) fail_file(ExitCode::kResource, path, "remove", error.value());
}

std::uint64_t free_bytes(const Path& path) {
  std::error_code ignored;
  Path place = fs::absolute(path, ignored);
  while (!fs::exists(place, ignored) && place.has_relative_path()) place = place.parent_path();
  if (const int error = fault_of("statvfs", place); error != 0) {
    fail_file(ExitCode::kResource, place, "read free space of", error);
  }
  struct statvfs status;
  if (::statvfs(place.c_str(), &status) != 0)
    fail_file(ExitCode::kResource, place, "read free space of", errno);
  return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
}

}  // namespace graft
