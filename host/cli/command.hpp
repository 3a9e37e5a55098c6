// SPDX-License-Identifier: GPL-2.0-only
//
// What the subcommands share: how one is added to the program, and how a user names the scheduler that is meant.
#pragma once

#include "host/base/result.hpp"
#include "host/cli/exit_status.hpp"
#include "host/config/config.hpp"

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
void add_list(CommandLine line);
void add_inspect(CommandLine line);
void add_options(CommandLine line);
void add_info(CommandLine line);

// Parses the command line and runs the subcommand; returns the process's exit status.
int run_command_line(int argc, const char* const* argv);

// The scheduler that the user named on the command line.
struct Selection {
    std::string what;                     // CONFIG.toml | OBJECT.bpf.o | LIBRARY.so | PLUGIN
    std::vector<std::string> assignments; // --set KEY=VALUE
    std::vector<std::string> plugin_dirs; // --plugin-dir, before those of the configuration
};

void add_selection(CLI::App& command, Selection& selection, std::string_view what_help);
void add_plugin_dirs(CLI::App& command, std::vector<std::string>& plugin_dirs);

// The folders to look for plugins in: those given, or the default.
Result<std::vector<std::filesystem::path>> plugin_folders(const std::vector<std::string>& given);

// Reads the configuration, or makes one for a bare object or a plugin's name, and applies the overrides.
Result<Config> select_config(const Selection& selection);

// A file that is named by a path ("x.so", "./x.bpf.o"), as opposed to a plugin's name.
bool names_a_file(std::string_view what);

// Writes one JSON document and a newline to stdout.
void print_json(const nlohmann::json& document);

} // namespace scxhost
