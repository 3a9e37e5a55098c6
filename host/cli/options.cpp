// SPDX-License-Identifier: GPL-2.0-only
//
// `scxhost options`: what a scheduler's options are, read from its BPF object.
#include "host/bpf/options.hpp"

#include "host/base/suggest.hpp"
#include "host/cli/command.hpp"
#include "host/cli/object_view.hpp"
#include "host/cli/standard_output.hpp"
#include "host/cli/terminal.hpp"
#include "host/kernel/kernel_btf.hpp"
#include "host/supervisor/prepared_scheduler.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace scxhost {
namespace {

struct OptionsArguments {
    Selection selection;
    bool json = false;
    bool toml = false;
};

std::string sample_toml(const PreparedScheduler& scheduler) {
    std::string text = "[scheduler]\n";
    if (scheduler.plugin_info())
        text += fmt::format("plugin = \"{}\"\n", scheduler.plugin_info()->name);
    else
        text += fmt::format("object = {}\nstruct_ops = {}\n", quote_text(scheduler.path().string()),
                            quote_text(scheduler.object().struct_ops_name()));
    text += "\n[scheduler.options]\n";
    const std::vector<OptionDeclaration>& options = scheduler.object().declarations().options;
    for (std::size_t i = 0; i < options.size(); ++i) {
        if (!options[i].help.empty())
            text += fmt::format("# {}\n", options[i].help);
        text += fmt::format("# {} = {}\n", options[i].key, scheduler.binding().values[i].text);
    }
    return text;
}

CommandResult options(const OptionsArguments& arguments) {
    const Config config = SCXHOST_TRY(select_config(arguments.selection));
    const std::unique_ptr<PreparedScheduler> scheduler = SCXHOST_TRY(PreparedScheduler::open(config));
    // Some defaults are the running kernel's; where it cannot be asked, the object's own stand in.
    const Result<KernelBtf> kernel = KernelBtf::load();
    SCXHOST_TRY(scheduler->bind_options(config, kernel ? &*kernel : nullptr));
    if (arguments.json) {
        print_json({{"schema", kJsonSchema},
                    {"scheduler", scheduler->object().name()},
                    {"options", SCXHOST_TRY(options_json(*scheduler))}});
        return ExitStatus::kDone;
    }
    if (arguments.toml) {
        print(printable(sample_toml(*scheduler)));
        return ExitStatus::kDone;
    }
    print(SCXHOST_TRY(options_text(*scheduler, wants_colour(STDOUT_FILENO))));
    return ExitStatus::kDone;
}

} // namespace

void add_options(CommandLine line) {
    CLI::App* command = line.app.add_subcommand("options", "Show a scheduler's options");
    const auto arguments = std::make_shared<OptionsArguments>();
    add_selection(*command, arguments->selection, "Name of a plugin, or a file as for 'run'");
    CLI::Option* json = command->add_flag("--json", arguments->json, "JSON in place of text");
    command->add_flag("--toml", arguments->toml, "A configuration to start from, with every option")->excludes(json);
    command->footer("\nExamples:\n  scxhost options qmap\n  scxhost options simple --toml > simple.toml");
    command->callback([arguments, &chosen = line.chosen] { chosen = [arguments] { return options(*arguments); }; });
}

} // namespace scxhost
