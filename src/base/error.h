#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace graft {

/// What the process reports to its caller; the meanings are part of the command line's contract.
enum class ExitCode : int {
  kDone = 0,
  kUsage = 2,         ///< command line or recipe
  kBadInput = 3,      ///< a file or its content
  kResource = 4,      ///< disk or memory
  kNumerics = 5,      ///< a non-finite loss
  kInUse = 6,         ///< the folder belongs to a live process
  kPeerLost = 7,      ///< another rank went away
  kNoCheckpoint = 8,  ///< checkpoints exist and none is valid
  kInternal = 70,     ///< our bug
  kStopped = 75,      ///< a signal; the state is saved
};

/// The one exception of graft: one line for the user, what to do about it, and the exit code.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message, std::string hint = "")
      : std::runtime_error(message), code_(code), hint_(std::move(hint)) {}
  ExitCode code() const { return code_; }
  const std::string& hint() const { return hint_; }

 private:
  ExitCode code_;
  std::string hint_;
};

/// A part of fail() and check() that becomes the error's hint instead of its message.
struct Hint {
  std::string text;
};

/// Collects the parts of an error: an ExitCode sets the code, a Hint the hint, anything else is streamed.
class ErrorParts {
 public:
  void add(ExitCode code) { code_ = code; }
  void add(const Hint& hint) { hint_ = hint.text; }
  template <class Part>
  void add(const Part& part) {
    message_ << part;
  }
  [[noreturn]] void raise() const { throw Error(code_, message_.str(), hint_); }

 private:
  ExitCode code_ = ExitCode::kBadInput;
  std::ostringstream message_;
  std::string hint_;
};

/// Throws Error made of the parts; bad input unless a part is another ExitCode.
/// Form of a message: `<file:line:col | file @byte | tensor>: what is wrong (got X, want Y)`.
template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  ErrorParts error;
  (error.add(parts), ...);
  error.raise();
}

/// Throws as fail() does unless the condition holds: for whatever a user or a file can cause.
/// Our own mistakes are asserted instead.
template <class... Parts>
void check(bool condition, const Parts&... parts) {
  if (!condition) [[unlikely]]
    fail(parts...);
}

}  // namespace graft
