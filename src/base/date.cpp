#include "base/date.h"

#include <array>

namespace graft {
namespace {

/// The number that the digits [begin, end) of `text` are, or -1.
int number_at(std::string_view text, std::size_t begin, std::size_t end) {
  int value = 0;
  for (std::size_t i = begin; i < end; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = 10 * value + (text[i] - '0');
  }
  return value;
}

}  // namespace

std::tm local_time() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  return local;
}

std::string format_date(const std::tm& time) {
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%d", &time)};
}

std::optional<std::tm> parse_date(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
  const int year = number_at(text, 0, 4), month = number_at(text, 5, 7), day = number_at(text, 8, 10);
  if (year < 1 || month < 1 || day < 1) return std::nullopt;
  std::tm date{};
  date.tm_year = year - 1900;
  date.tm_mon = month - 1;
  date.tm_mday = day;
  // timegm moves a day that a month does not have into the next one, and sets the weekday.
  const std::tm wanted = date;
  timegm(&date);
  if (date.tm_mon != wanted.tm_mon || date.tm_mday != wanted.tm_mday) return std::nullopt;
  return date;
}

}  // namespace graft
