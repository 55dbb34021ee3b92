#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace graft {

/// What `graft VERB --help` says beside the options.
struct Usage {
  std::string verb;      ///< "score"
  std::string synopsis;  ///< "--model M [--adapter A] ROWS.jsonl"
  std::string about;     ///< a sentence or two
  std::string example;   ///< a command line that works
};

/// Whether the verb can do without it.
enum class Need { kOptional, kRequired };

/// The options and operands of one verb: declared, each bound to the variable that receives it, then parsed
/// (Boost.Program_options underneath). The variables keep their values where an option is not given.
class Arguments {
 public:
  explicit Arguments(Usage usage) : usage_(std::move(usage)) {}

  /// `--name`: sets `value` to true.
  void flag(const std::string& name, bool& value, const std::string& doc);
  /// `--name VALUE` or `--name=VALUE`. Numbers are whole words; anything else is an error that names the
  /// option.
  void option(const std::string& name, const std::string& shown, std::string& value, const std::string& doc,
              Need need = Need::kOptional);
  void option(const std::string& name, const std::string& shown, std::optional<std::string>& value,
              const std::string& doc);
  void option(const std::string& name, const std::string& shown, std::int64_t& value, const std::string& doc);
  void option(const std::string& name, const std::string& shown, std::uint64_t& value,
              const std::string& doc);
  void option(const std::string& name, const std::string& shown, double& value, const std::string& doc);
  /// A number that may be left unsaid.
  void option(const std::string& name, const std::string& shown, std::optional<std::int64_t>& value,
              const std::string& doc);
  void option(const std::string& name, const std::string& shown, std::optional<std::uint64_t>& value,
              const std::string& doc);
  void option(const std::string& name, const std::string& shown, std::optional<double>& value,
              const std::string& doc);
  /// One that may be given several times; all are kept, in order.
  void option(const std::string& name, const std::string& shown, std::vector<std::string>& values,
              const std::string& doc);
  /// An operand, in order of declaration.
  void operand(const std::string& shown, std::string& value, Need need = Need::kRequired);
  /// All operands that are left.
  void operands(const std::string& shown, std::vector<std::string>& values);

  /// Fills the variables. False where --help was asked for and printed: the verb is done.
  /// Errors (kUsage): an unknown option (with a did-you-mean), one given twice, a missing or malformed value,
  /// a missing or superfluous operand.
  bool parse(const std::vector<std::string>& arguments);

 private:
  struct Option {
    std::string name, shown, doc;  ///< shown empty: a flag
    Need need;
    std::function<void(const std::string&)> store;
    bool many = false;  ///< may be given several times
  };
  struct Operand {
    std::string shown;
    Need need;
    bool many;
    std::function<void(const std::string&)> store;
  };
  /// Declares an option whose `value` (a number, or an optional one) `parse` makes of the word.
  template <class Value, class Parse>
  void add_number(const std::string& name, const std::string& shown, Value& value, const std::string& doc,
                  Parse parse);
  std::string help() const;
  [[noreturn]] void fail_unknown(const std::string& word) const;
  void store_option(const std::string& name, const std::string& value, std::vector<std::string>& seen) const;
  void store_operands(const std::vector<std::string>& words) const;

  Usage usage_;
  std::vector<Option> options_;
  std::vector<Operand> operands_;
};

}  // namespace graft
