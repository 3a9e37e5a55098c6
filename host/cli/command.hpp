// SPDX-License-Identifier: GPL-2.0-only
//
// What the subcommands share: how one is added to the program, and how a user names the scheduler that is meant.
#pragma once

#include "host/base/result.hpp"
#include "host/cli/exit_status.hpp"
#include "host/config/selection.hpp"

#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace scxhost {

// Version of the JSON that the commands print. Grows when a field changes its meaning or goes, not when one is added.
inline constexpr int kJsonSchema = 1;

// What a subcommand's work returns: a status, or an error that main prints and maps to one.
using CommandResult = Result<ExitStatus>;

// Adds a subcommand; `run` is called after parsing, with the chosen subcommand only.
struct CommandLine {
    CLI::App& app;
    std::function<CommandResult()>& chosen;
};

void add_run(CommandLine line);
void add_check(CommandLine line);
void add_compare(CommandLine line);
void add_list(CommandLine line);
void add_inspect(CommandLine line);
void add_options(CommandLine line);
void add_info(CommandLine line);
void add_new(CommandLine line);
void add_status(CommandLine line);
void add_stats(CommandLine line);
void add_top(CommandLine line);
void add_metrics(CommandLine line);
void add_swap(CommandLine line);
void add_stop(CommandLine line);
void add_resume(CommandLine line);
void add_events(CommandLine line);
void add_incidents(CommandLine line);
void add_dbus(CommandLine line);
void add_completion(CommandLine line);

// All of them, and what the program says about itself.
void add_commands(CommandLine line);

// Parses the command line and runs the subcommand; returns the process's exit status.
int run_command_line(int argc, const char* const* argv);

// `with_program`: a scheduler program can be named too, with its arguments.
void add_selection(CLI::App& command, Selection& selection, std::string_view what_help, bool required = true,
                   bool with_program = false);
void add_plugin_dirs(CLI::App& command, std::vector<std::string>& plugin_dirs);

// One JSON document on one line, with its newline.
[[nodiscard]] std::string json_line(const nlohmann::json& document);
// Writes it to stdout.
void print_json(const nlohmann::json& document);

} // namespace scxhost
