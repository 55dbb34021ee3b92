#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace graft {

/// A verb's work, given what stands after the verb. Each verb is one file and one row of commands(): declare
/// the options (arguments.h), then a straight-line flow; results through output.h, messages through
/// base/console.h.
using CommandFunction = ExitCode(const std::vector<std::string>& arguments);

/// What the first SIGINT or SIGTERM does to a verb.
enum class OnSignal {
  kEnds,   ///< ends the process
  kAsked,  ///< the verb looks out for it (base/signals.h), and saves or clears up
};

/// One row of the table of verbs.
struct Command {
  std::string name;     ///< as typed; "data preview" is two words
  std::string summary;  ///< one line of `graft --help`
  CommandFunction* run;
  OnSignal on_signal = OnSignal::kEnds;
};

/// All verbs, in the order in which `graft --help` lists them.
const std::vector<Command>& commands();

/// Finds the verb and runs it. `arguments` is argv without the program's name.
/// Errors: kUsage for no verb or an unknown one (with a did-you-mean); whatever the verb throws.
ExitCode run_command_line(const std::vector<std::string>& arguments);

CommandFunction run_adapter_cast;
CommandFunction run_adapter_check;
CommandFunction run_adapter_combine;
CommandFunction run_adapter_diff;
CommandFunction run_adapter_inspect;
CommandFunction run_adapter_rename;
CommandFunction run_adapter_resize;
CommandFunction run_chat;
CommandFunction run_convert;
CommandFunction run_cp;
CommandFunction run_data_preview;
CommandFunction run_data_stats;
CommandFunction run_doctor;
CommandFunction run_export;
CommandFunction run_generate;
CommandFunction run_ls;
CommandFunction run_merge;
CommandFunction run_plan;
CommandFunction run_schema;
CommandFunction run_score;
CommandFunction run_show;
CommandFunction run_tokenize;
CommandFunction run_train;
CommandFunction run_validate;
CommandFunction run_version;

}  // namespace graft
