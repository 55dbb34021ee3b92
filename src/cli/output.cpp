#include "cli/output.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/error.h"

namespace graft {
namespace {

void check_written(bool written) {
  if (written) return;
  if (errno == EPIPE) throw OutputClosed{};
  fail(ExitCode::kResource, "stdout: cannot write: ", std::strerror(errno));
}

}  // namespace

void print(std::string_view text) {
  check_written(std::fwrite(text.data(), 1, text.size(), stdout) == text.size());
}

void print_json(const Json& value) { print(to_text(value) + "\n"); }

void flush_output() { check_written(std::fflush(stdout) == 0); }

}  // namespace graft
