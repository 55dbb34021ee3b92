#include "cli/arguments.h"

#include <algorithm>
#include <boost/program_options.hpp>
#include <charconv>
#include <cmath>
#include <sstream>

#include "base/error.h"
#include "base/text.h"
#include "cli/output.h"

namespace graft {
namespace {

namespace po = boost::program_options;

constexpr int kStyle = po::command_line_style::allow_long | po::command_line_style::long_allow_adjacent |
                       po::command_line_style::long_allow_next;

template <class Number>
Number parse_number(const std::string& option, const std::string& text, const char* want) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(error == std::errc{} && end == text.data() + text.size(), ExitCode::kUsage, "--", option,
        ": not a number (got \"", printable(text), "\", want ", want, ")");
  return value;
}

std::int64_t integer(const std::string& option, const std::string& text) {
  return parse_number<std::int64_t>(option, text, "an integer");
}

std::uint64_t count(const std::string& option, const std::string& text) {
  return parse_number<std::uint64_t>(option, text, "an integer from 0");
}

double real(const std::string& option, const std::string& text) {
  const auto value = parse_number<double>(option, text, "a number");
  check(std::isfinite(value), ExitCode::kUsage, "--", option, ": not finite (got ", text, ", want a number)");
  return value;
}

}  // namespace

void Arguments::flag(const std::string& name, bool& value, const std::string& doc) {
  options_.push_back({name, "", doc, Need::kOptional, [&value](const std::string&) { value = true; }});
}

void Arguments::option(const std::string& name, const std::string& shown, std::string& value,
                       const std::string& doc, Need need) {
  options_.push_back({name, shown, doc, need, [&value](const std::string& text) { value = text; }});
}

void Arguments::option(const std::string& name, const std::string& shown, std::optional<std::string>& value,
                       const std::string& doc) {
  options_.push_back(
      {name, shown, doc, Need::kOptional, [&value](const std::string& text) { value = text; }});
}

template <class Value, class Parse>
void Arguments::add_number(const std::string& name, const std::string& shown, Value& value,
                           const std::string& doc, Parse parse) {
  options_.push_back({name, shown, doc, Need::kOptional,
                      [&value, name, parse](const std::string& text) { value = parse(name, text); }});
}

void Arguments::option(const std::string& name, const std::string& shown, std::int64_t& value,
                       const std::string& doc) {
  add_number(name, shown, value, doc, integer);
}

void Arguments::option(const std::string& name, const std::string& shown, std::uint64_t& value,
                       const std::string& doc) {
  add_number(name, shown, value, doc, count);
}

void Arguments::option(const std::string& name, const std::string& shown, double& value,
                       const std::string& doc) {
  add_number(name, shown, value, doc, real);
}

void Arguments::option(const std::string& name, const std::string& shown, std::optional<std::int64_t>& value,
                       const std::string& doc) {
  add_number(name, shown, value, doc, integer);
}

void Arguments::option(const std::string& name, const std::string& shown, std::optional<std::uint64_t>& value,
                       const std::string& doc) {
  add_number(name, shown, value, doc, count);
}

void Arguments::option(const std::string& name, const std::string& shown, std::optional<double>& value,
                       const std::string& doc) {
  add_number(name, shown, value, doc, real);
}

void Arguments::option(const std::string& name, const std::string& shown, std::vector<std::string>& values,
                       const std::string& doc) {
  options_.push_back({name, shown, doc, Need::kOptional,
                      [&values](const std::string& text) { values.push_back(text); }, true});
}

void Arguments::operand(const std::string& shown, std::string& value, Need need) {
  operands_.push_back({shown, need, false, [&value](const std::string& text) { value = text; }});
}

void Arguments::operands(const std::string& shown, std::vector<std::string>& values) {
  operands_.push_back(
      {shown, Need::kOptional, true, [&values](const std::string& text) { values.push_back(text); }});
}

bool Arguments::parse(const std::vector<std::string>& arguments) {
  po::options_description description;
  description.add_options()("help", "");
  for (const Option& option : options_) {
    if (option.shown.empty()) {
      description.add_options()(option.name.c_str(), "");
    } else {
      description.add_options()(option.name.c_str(), po::value<std::string>(), "");
    }
  }
  std::vector<std::string> words, seen;
  try {
    const auto parsed =
        po::command_line_parser(arguments).options(description).style(kStyle).allow_unregistered().run();
    for (const po::option& item : parsed.options) {
      if (item.string_key == "help" || (item.position_key >= 0 && item.value.front() == "-h")) {
        print(help());
        return false;
      }
      if (item.unregistered) fail_unknown(item.original_tokens.front());
      if (item.position_key >= 0) {
        words.push_back(item.value.front());
      } else {
        store_option(item.string_key, item.value.empty() ? "" : item.value.front(), seen);
      }
    }
  } catch (const po::error& error) {  // Boost's own words name the option
    fail(ExitCode::kUsage, error.what(), Hint{"`graft " + usage_.verb + " --help` lists the options"});
  }
  for (const Option& option : options_) {
    const bool given = std::find(seen.begin(), seen.end(), option.name) != seen.end();
    check(given || option.need == Need::kOptional, ExitCode::kUsage, usage_.verb, ": --", option.name, " ",
          option.shown, " is missing", Hint{"usage: graft " + usage_.verb + " " + usage_.synopsis});
  }
  store_operands(words);
  return true;
}

void Arguments::store_option(const std::string& name, const std::string& value,
                             std::vector<std::string>& seen) const {
  const bool again = std::find(seen.begin(), seen.end(), name) != seen.end();
  seen.push_back(name);
  for (const Option& option : options_) {
    if (option.name != name) continue;
    check(!again || option.many, ExitCode::kUsage, "--", name, ": given twice");
    option.store(value);
  }
}

void Arguments::store_operands(const std::vector<std::string>& words) const {
  std::size_t next = 0;
  for (const std::string& word : words) {
    if (word.size() > 1 && word.front() == '-') fail_unknown(word);
    check(next < operands_.size(), ExitCode::kUsage, usage_.verb, ": one argument too many: \"",
          printable(word), "\"", Hint{"usage: graft " + usage_.verb + " " + usage_.synopsis});
    operands_[next].store(word);
    if (!operands_[next].many) ++next;
  }
  check(next >= operands_.size() || operands_[next].need == Need::kOptional, ExitCode::kUsage, usage_.verb,
        ": ", next < operands_.size() ? operands_[next].shown : "", " is missing",
        Hint{"usage: graft " + usage_.verb + " " + usage_.synopsis});
}

void Arguments::fail_unknown(const std::string& word) const {
  std::vector<std::string> names = {"--help"};
  for (const Option& option : options_) names.push_back("--" + option.name);
  const std::string name = word.substr(0, word.find('='));
  const auto near = nearest(name, names);
  fail(ExitCode::kUsage, usage_.verb, ": ", printable(name), ": unknown option",
       Hint{near ? "did you mean " + *near + "?" : "`graft " + usage_.verb + " --help` lists the options"});
}

std::string Arguments::help() const {
  constexpr unsigned kLineLength = 110;
  po::options_description description("options", kLineLength);
  for (const Option& option : options_) {
    if (option.shown.empty()) {
      description.add_options()(option.name.c_str(), option.doc.c_str());
    } else {
      description.add_options()(option.name.c_str(), po::value<std::string>()->value_name(option.shown),
                                option.doc.c_str());
    }
  }
  description.add_options()("help", "this text");
  std::ostringstream text;
  text << "usage: graft " << usage_.verb << (usage_.synopsis.empty() ? "" : " ") << usage_.synopsis << "\n\n"
       << usage_.about << "\n\n"
       << description << "\nexample:\n  " << usage_.example << "\n";
  return text.str();
}

}  // namespace graft
