#pragma once

#include <cstdint>
#include <string>

namespace graft {

/// What the machine and the process look like, from /proc; zero or "unknown" where it does not say.
std::string cpu_name();
/// The machine's memory, or what its container may use of it.
std::uint64_t installed_memory_bytes();
/// High-water mark of the process's resident memory (VmHWM).
std::uint64_t peak_rss_bytes();
/// Seconds since the kernel started this process (exec), resolution 10 ms.
double seconds_since_exec();

}  // namespace graft
