#include <c10/util/Exception.h>

#include <cstdio>
#include <cstdlib>
#include <new>
#include <string_view>

#include "base/console.h"
#include "base/error.h"
#include "base/signals.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "ops/cpu_allocator.h"

namespace {

using graft::ExitCode;

/// `error: …` and `hint: …` on stderr, after whatever results are pending.
int report(ExitCode code, std::string_view message, std::string_view hint = "") {
  std::fflush(stdout);
  graft::show_progress("");
  graft::say(std::string("error: ").append(message));
  if (!hint.empty()) graft::say(std::string("hint: ").append(hint));
  return static_cast<int>(code);
}

/// Ends the process without libtorch's static destructors, which take its tables of operators apart for tens of
/// milliseconds. All output is written and all files are closed.
[[noreturn]] void leave(ExitCode code) {
  std::fflush(nullptr);
  std::_Exit(static_cast<int>(code));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    graft::ignore_closed_pipes();
    graft::install_caching_cpu_allocator();
    const ExitCode code = graft::run_command_line({argv + std::min(argc, 1), argv + argc});
    graft::flush_output();
    leave(code);
  } catch (const graft::OutputClosed&) {
    return static_cast<int>(ExitCode::kDone);
  } catch (const graft::Error& error) {
    return report(error.code(), error.what(), error.hint());
  } catch (const std::bad_alloc&) {
    return report(ExitCode::kResource, "out of memory", "lower data.max_seq_len or train.micro_batch_tokens");
  } catch (const c10::Error& error) {
    return report(ExitCode::kInternal, error.what_without_backtrace(),
                  "this is a bug of graft; please report it");
  } catch (const std::exception& error) {
    return report(ExitCode::kInternal, error.what(), "this is a bug of graft; please report it");
  }
}
