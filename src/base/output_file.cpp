#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/descriptor.h"
#include "base/file.h"
#include "base/temporary.h"
#include "base/text.h"

namespace graft {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{64} << 10;

}  // namespace

struct OutputFile::State {
  Path path, temporary;
  Descriptor file;
  Descriptor lock;  // another number of the same open file: holds the lock when that is closed
  std::string buffer;
  bool committed = false;

  void flush() {
    write_all(file.number(), std::as_bytes(std::span(buffer)), temporary);
    buffer.clear();
  }
};

OutputFile::OutputFile(const Path& path) : state_(std::make_unique<State>()) {
  check(path.has_filename(), ExitCode::kUsage, "`", printable(path.string()), "` is no name for a file");
  state_->path = path;
  remove_left_temporaries(path);
  auto [temporary, file] = make_temporary_file(path);
  state_->temporary = std::move(temporary);
  state_->lock = Descriptor(::fcntl(file.number(), F_DUPFD_CLOEXEC, 0));
  state_->file = std::move(file);
}

OutputFile::OutputFile(OutputFile&&) noexcept = default;

OutputFile::~OutputFile() {
  if (state_ == nullptr || state_->committed) return;
  if (fault_of("unlink", state_->temporary) == 0) ::unlink(state_->temporary.c_str());
}

void OutputFile::write(std::span<const std::byte> bytes) {
  if (state_->buffer.size() + bytes.size() >= kBufferBytes) state_->flush();
  if (bytes.size() >= kBufferBytes) return write_all(state_->file.number(), bytes, state_->temporary);
  state_->buffer.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void OutputFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void OutputFile::commit() {
  State& state = *state_;
  state.flush();
  sync_descriptor(state.file.number(), state.temporary);
  state.file.close(state.temporary);
  if (const int error = rename_over(state.temporary, state.path); error != 0)
    fail_file(ExitCode::kResource, state.path, "rename to", error);
  state.committed = true;
  sync_path(parent_of(state.path));
}

void write_file(const Path& path, std::string_view contents) {
  OutputFile file(path);
  file.write(contents);
  file.commit();
}

void copy_file(const Path& from, const Path& to) {
  const MappedFile source(from);
  OutputFile target(to);
  target.write(source.bytes());
  target.commit();
}

}  // namespace graft
