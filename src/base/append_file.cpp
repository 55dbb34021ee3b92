#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/descriptor.h"
#include "base/file.h"

namespace graft {

AppendFile::AppendFile(const Path& path) : path_(path) {
  Descriptor file = try_open(path, O_WRONLY | O_CREAT | O_APPEND, 0666);
  if (!file.is_open()) fail_file(ExitCode::kResource, path, "open", errno);
  descriptor_ = file.release();
}

AppendFile::~AppendFile() { ::close(descriptor_); }

void AppendFile::append(std::string_view lines) {
  write_all(descriptor_, std::as_bytes(std::span(lines)), path_);
}

void AppendFile::sync() { sync_descriptor(descriptor_, path_); }

}  // namespace graft
