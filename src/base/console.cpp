#include "base/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace graft {
namespace {

constexpr std::string_view kClearLine = "\r\x1b[K";

bool is_fancy() {
  const char* no_color = std::getenv("NO_COLOR");
  return stderr_is_terminal() && (no_color == nullptr || *no_color == '\0');
}

// One call per line, so that lines of several threads or ranks do not mix.
void put(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

// The first characters of a line that a terminal shows on one row; a wrapped line could not be redrawn.
std::string_view fit_width(std::string_view line) {
  struct winsize window = {};
  std::size_t width = 80;
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 1) width = window.ws_col;
  std::size_t shown = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const bool starts_character = (static_cast<unsigned char>(line[i]) & 0xC0U) != 0x80U;
    if (starts_character && ++shown >= width) return line.substr(0, i);
  }
  return line;
}

}  // namespace

void say(std::string_view line) {
  std::string text(is_fancy() ? kClearLine : std::string_view());
  put(text.append(line).append("\n"));
}

void warn(std::string_view line) {
  const std::string_view word = is_fancy() ? "\x1b[33mwarning:\x1b[0m " : "warning: ";
  say(std::string(word).append(line));
}

void show_progress(std::string_view line) {
  if (is_fancy()) put(std::string(kClearLine).append(fit_width(line)));
}

bool stderr_is_terminal() { return ::isatty(STDERR_FILENO) == 1; }
bool stdout_is_terminal() { return ::isatty(STDOUT_FILENO) == 1; }

}  // namespace graft
