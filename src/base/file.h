#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace graft {

/// The file seam: every open, write, fsync and rename of graft goes through this header, so that each can be
/// made to fail in a test (FileFaults). Outputs appear whole or not at all. All failures are Errors that name
/// the path: kBadInput where an input cannot be read, kResource where an output cannot be written.
using Path = std::filesystem::path;

/// A regular file mapped read-only for as long as the object or a copy of it lives (copies share the
/// mapping).
class MappedFile {
 public:
  /// Errors: missing, not a regular file (folder, FIFO, device), unreadable.
  explicit MappedFile(const Path& path);
  std::span<const std::byte> bytes() const;
  const Path& path() const;

 private:
  struct Mapping;
  std::shared_ptr<const Mapping> mapping_;
};

/// Tells the system that these bytes of a mapped file are not needed for now: they leave memory, and come
/// back from the file when they are read again.
void release_mapped(std::span<const std::byte> bytes);

/// The whole file as text, verbatim. Errors: as MappedFile, or larger than `max_bytes`.
std::string read_file(const Path& path, std::uint64_t max_bytes);

/// A new file that appears at `path` only when committed: written under a temporary name beside it, then
/// fsync, rename over `path`, fsync of the folder. Without commit() the destructor removes the temporary
/// file. What killed runs left under such names for the same path is removed first, and said
/// (base/temporary.h).
class OutputFile {
 public:
  explicit OutputFile(const Path& path);
  ~OutputFile();
  OutputFile(OutputFile&&) noexcept;
  OutputFile(const OutputFile&) = delete;
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  void commit();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Replaces the file at `path` by `contents`, whole or not at all (OutputFile).
void write_file(const Path& path, std::string_view contents);

/// A new folder that appears at `path` only when committed: filled at temporary() beside it, then every file
/// in it and the folder are fsynced and it is renamed. Without commit() the destructor removes it; what
/// killed runs left is removed as by OutputFile. Errors: `path` exists already (kUsage) at construction or at
/// commit.
class OutputFolder {
 public:
  explicit OutputFolder(const Path& path);
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  const Path& temporary() const;
  void commit();

 private:
  Path path_, temporary_;
  int lock_ = -1;  // on the temporary folder: it is being written
  bool committed_ = false;
};

/// A log that grows by whole lines (metrics.jsonl, train.log); each append is one write().
class AppendFile {
 public:
  explicit AppendFile(const Path& path);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  void append(std::string_view lines);
  void sync();

 private:
  int descriptor_;
  Path path_;
};

/// Holds a folder for this process (flock on `folder/.lock`, holder's pid inside) until destroyed.
/// The lock file is removed at the end. Errors: kInUse, naming the holder, where a live process holds it.
class FolderLock {
 public:
  explicit FolderLock(const Path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;

 private:
  int descriptor_;
  Path path_;
};

/// Creates the folder and its parents; nothing if it exists. Error kResource where it cannot.
void make_folder(const Path& path);
/// Copies a file whole (OutputFile). Call it and remove_all as graft::…, std::filesystem has the same names.
void copy_file(const Path& from, const Path& to);
/// Removes a file or a folder with all it holds; nothing if absent.
void remove_all(const Path& path);
/// Bytes free to this process on the file system that holds `path` (or its nearest existing parent).
std::uint64_t free_bytes(const Path& path);

/// Test hook: called before each operation with its name ("open", "write", "fsync", "rename", …) and path; a
/// returned errno makes the operation fail. Empty by default. Not for use outside tests.
using FileFault = std::function<int(std::string_view operation, const Path& path)>;
void set_file_fault(FileFault fault);

}  // namespace graft
