// SPDX-License-Identifier: GPL-2.0-only
//
// From a command line to an exit status: what every program of ours does with it. It knows no command.
#pragma once

#include "host/base/result.hpp"
#include "host/cli/command.hpp"

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {

// Runs it; what is thrown all the same is an error too.
CommandResult run_chosen(const std::function<CommandResult()>& chosen);
// Prints the error; returns the process's exit status. An answer that could not be written was not given.
int end_command(const CommandResult& result);
// Parses, runs and ends. `words` are what `argv` holds, as they are to be read.
int run_program(CLI::App& app, std::vector<std::string> words, int argc, const char* const* argv,
                const std::function<CommandResult()>& chosen);

// The time that was given with an option, such as "--interval". kUsage: it is none, or less than `least`.
[[nodiscard]] Result<std::chrono::nanoseconds> duration_option(std::string_view option, const std::string& text,
                                                               std::chrono::nanoseconds least);

} // namespace scxhost
