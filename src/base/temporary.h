#pragma once

#include "base/descriptor.h"

namespace graft {

/// What is written beside a path before it gets that name: ".NAME.tmp-PID-N". An flock is held on it for as
/// long as it is being written, so that others can tell it from what a killed process left. The process id
/// alone could not: containers repeat it, and on a shared file system it may be another machine's. Private to
/// this room.
struct Temporary {
  Path path;
  Descriptor held;  ///< open for writing where it is a file; it holds the lock, with all its duplicates
};

/// A new file (a new folder) that nobody else uses. Error kResource, which names `path`.
Temporary make_temporary_file(const Path& path);
Temporary make_temporary_folder(const Path& path);

/// Removes what killed processes left under such names for this path, and says so on stderr where it held
/// bytes. What a live process writes stays. So does all that lies on a file system that other machines may
/// share, where their locks might not be seen from here. Never an error.
void remove_left_temporaries(const Path& path);

}  // namespace graft
