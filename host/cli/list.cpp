// SPDX-License-Identifier: GPL-2.0-only
//
// `scxhost list`: the plugins that are installed, read from their files.
#include "host/base/error_json.hpp"
#include "host/cli/command.hpp"
#include "host/cli/diagnostic.hpp"
#include "host/cli/standard_output.hpp"
#include "host/cli/terminal.hpp"
#include "host/plugins/plugin_directory.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace scxhost {
namespace {

struct ListArguments {
    std::vector<std::string> plugin_dirs;
    bool json = false;
};

nlohmann::json to_json(const ListedPlugin& plugin) {
    nlohmann::json entry = {{"path", plugin.path.string()}, {"usable", plugin.file.has_value()}};
    if (!plugin.file) {
        entry["error"] = scxhost::to_json(plugin.file.error());
        return entry;
    }
    entry["name"] = plugin.file->info.name;
    entry["version"] = plugin.file->info.version;
    entry["summary"] = plugin.file->info.summary;
    entry["contract"] = to_string(plugin.file->info.contract);
    return entry;
}

CommandResult list(const ListArguments& arguments) {
    const std::vector<std::filesystem::path> folders = SCXHOST_TRY(plugin_folders(arguments.plugin_dirs));
    const std::vector<ListedPlugin> plugins = list_plugins(folders);
    if (arguments.json) {
        nlohmann::json entries = nlohmann::json::array();
        for (const ListedPlugin& plugin : plugins)
            entries.push_back(to_json(plugin));
        print_json({{"schema", kJsonSchema}, {"plugins", std::move(entries)}});
        return ExitStatus::kDone;
    }
    std::vector<std::vector<std::string>> rows = {{"NAME", "VERSION", "SUMMARY"}};
    for (const ListedPlugin& plugin : plugins)
        if (plugin.file)
            rows.push_back({plugin.file->info.name, plugin.file->info.version, plugin.file->info.summary});
    if (rows.size() > 1)
        print(printable(format_table(rows)));
    for (const ListedPlugin& plugin : plugins)
        if (!plugin.file)
            print_diagnostic(Severity::kWarning, plugin.file.error());
    if (plugins.empty())
        for (const std::filesystem::path& folder : folders)
            print_note(fmt::format("there are no plugins in {}", folder.string()));
    return ExitStatus::kDone;
}

} // namespace

void add_list(CommandLine line) {
    CLI::App* command = line.app.add_subcommand("list", "Show the installed plugins");
    const auto arguments = std::make_shared<ListArguments>();
    add_plugin_dirs(*command, arguments->plugin_dirs);
    command->add_flag("--json", arguments->json, "JSON in place of text");
    command->footer("\nReads the files only; no plugin's code runs.\n\nExamples:\n  scxhost list\n"
                    "  scxhost list --plugin-dir build/dev/lib/scxhost/plugins --json");
    command->callback([arguments, &chosen = line.chosen] { chosen = [arguments] { return list(*arguments); }; });
}

} // namespace scxhost
