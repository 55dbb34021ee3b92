#include "base/machine.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string_view>

namespace graft {
namespace {

// The text after `key` and its colon in a /proc file of "key : value" lines, or empty.
std::string proc_value(const char* file, std::string_view key) {
  std::ifstream input(file);
  for (std::string line; std::getline(input, line);) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos || !line.starts_with(key)) continue;
    const std::size_t value = line.find_first_not_of(" \t", colon + 1);
    return value == std::string::npos ? "" : line.substr(value);
  }
  return "";
}

std::uint64_t kibibytes(const char* file, std::string_view key) {
  return std::strtoull(proc_value(file, key).c_str(), nullptr, 10) * 1024;
}

}  // namespace

std::string cpu_name() {
  const std::string name = proc_value("/proc/cpuinfo", "model name");
  return name.empty() ? "unknown" : name;
}

std::uint64_t installed_memory_bytes() {
  std::uint64_t bytes = kibibytes("/proc/meminfo", "MemTotal");
  // A container's limit, where there is one ("max" reads as 0): version 2 of control groups, then version 1.
  for (const char* file : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::uint64_t limit = 0;
    if (std::ifstream(file) >> limit && limit > 0) bytes = bytes == 0 ? limit : std::min(bytes, limit);
  }
  return bytes;
}

std::uint64_t peak_rss_bytes() { return kibibytes("/proc/self/status", "VmHWM"); }

double seconds_since_exec() {
  double uptime = 0;
  std::ifstream("/proc/uptime") >> uptime;
  std::string stat;
  std::getline(std::ifstream("/proc/self/stat"), stat);
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return 0;
  // Fields after the name: state is the 3rd, starttime (in clock ticks since boot) the 22nd; proc(5).
  std::istringstream fields(stat.substr(name_end + 1));
  std::string field;
  for (int i = 3; i <= 22; ++i) fields >> field;
  return uptime - std::strtod(field.c_str(), nullptr) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

}  // namespace graft
