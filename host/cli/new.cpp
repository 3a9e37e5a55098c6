// SPDX-License-Identifier: GPL-2.0-only
//
// `scxhost new`: a folder to start a plugin from, and what to do with it.
#include "host/cli/command.hpp"
#include "host/cli/plugin_template.hpp"
#include "host/cli/standard_output.hpp"
#include "host/config/config.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace scxhost {
namespace {

struct NewArguments {
    std::string name;
    std::string folder = ".";
    bool cpp = false;
    bool json = false;
};

CommandResult make_new(const NewArguments& arguments) {
    const std::filesystem::path prefix = installation_prefix();
    const PluginTemplate plugin{
        .templates = prefix / "share/scxhost/template", .name = arguments.name, .with_cpp = arguments.cpp};
    const std::vector<std::filesystem::path> files = SCXHOST_TRY(write_plugin(plugin, arguments.folder));
    const std::filesystem::path folder = (std::filesystem::path(arguments.folder) / arguments.name).lexically_normal();

    // CMake looks into the standard prefixes by itself.
    const bool standard = prefix == "/usr" || prefix == "/usr/local";
    const std::vector<std::string> commands = {
        fmt::format("cd {}", folder.string()),
        fmt::format("cmake -B build{}", standard ? "" : fmt::format(" -DCMAKE_PREFIX_PATH={}", prefix.string())),
        "cmake --build build",
        "ctest --test-dir build --output-on-failure",
    };
    if (arguments.json) {
        nlohmann::json names = nlohmann::json::array();
        for (const std::filesystem::path& file : files)
            names.push_back(file.string());
        print_json({{"schema", kJsonSchema},
                    {"name", arguments.name},
                    {"folder", folder.string()},
                    {"files", std::move(names)},
                    {"next", commands}});
        return ExitStatus::kDone;
    }
    print(fmt::format("made {}:\n", folder.string()));
    for (const std::filesystem::path& file : files)
        print(fmt::format("  {}\n", file.string()));
    print("\nnext:\n");
    for (const std::string& command : commands)
        print(fmt::format("  {}\n", command));
    return ExitStatus::kDone;
}

} // namespace

void add_new(CommandLine line) {
    CLI::App* command = line.app.add_subcommand("new", "Write a plugin to start from, which builds and runs as it is");
    const auto arguments = std::make_shared<NewArguments>();
    command->add_option("NAME", arguments->name, "The plugin's name: letters, digits and '_'")
        ->required()
        ->type_name("");
    command->add_option("--dir", arguments->folder, "Make the folder NAME in DIR (default: here)")->type_name("DIR");
    command->add_flag("--cpp", arguments->cpp, "With a user-space half in C++");
    command->add_flag("--json", arguments->json, "JSON in place of text");
    command->footer(R"(
A BPF policy with two options and two statistics, its CMake files, a configuration, a README, and tests that need no
kernel and that run it in a guest. A folder that exists is left as it is.

Examples:
  scxhost new my_sched
  scxhost new my_sched --cpp --dir ~/src)");
    command->callback([arguments, &chosen = line.chosen] { chosen = [arguments] { return make_new(*arguments); }; });
}

} // namespace scxhost
