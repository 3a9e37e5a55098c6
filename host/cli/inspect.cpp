// SPDX-License-Identifier: GPL-2.0-only
//
// `scxhost inspect`: all that a plugin library or a BPF object says about itself, without running or loading it.
#include "host/base/suggest.hpp"
#include "host/bpf/object_setup.hpp"
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

struct InspectArguments {
    Selection selection;
    bool json = false;
};

nlohmann::json programs_json(const SchedulerObject& object) {
    nlohmann::json result = nlohmann::json::array();
    for (const OtherPrograms::Program& program : object.other_programs())
        result.push_back(
            {{"name", program.name}, {"section", program.section}, {"context", context_members(object, program)}});
    return result;
}

// What a loading program would do something with: those that it runs, and what it gives a size.
void add_setup(std::vector<std::vector<std::string>>& rows, const SchedulerObject& object) {
    for (const OtherPrograms::Program& program : object.other_programs()) {
        const std::vector<std::string> members = context_members(object, program);
        rows.push_back({"program", fmt::format("{} ({}{})", program.name, program.section,
                                               members.empty() ? "" : ", context: " + list_words(members, "and"))});
    }
    for (const std::string& map : object.unsized_maps())
        rows.push_back({"to be sized", fmt::format("map {}: without a number of entries it is not loaded", map)});
    for (const std::string& array : object.growing_arrays())
        rows.push_back({"to be sized", fmt::format("array {}: it has one element", array)});
}

CommandResult inspect(const InspectArguments& arguments) {
    const std::string& what = arguments.selection.what;
    const Config config = SCXHOST_TRY(select_config(arguments.selection));
    // A file is read where it lies; who owns it matters only when it is to be run.
    const bool is_library = names_a_file(what) && what.ends_with(".so");
    const std::unique_ptr<PreparedScheduler> scheduler = SCXHOST_TRY(
        is_library ? PreparedScheduler::open_file(what, config.scheduler.struct_ops) : PreparedScheduler::open(config));
    const SchedulerObject& object = scheduler->object();
    const std::optional<PluginInfo>& info = scheduler->plugin_info();
    const Result<KernelBtf> kernel_btf = KernelBtf::load();
    const KernelBtf* kernel = kernel_btf && kernel_btf->has_struct("sched_ext_ops") ? &*kernel_btf : nullptr;
    const std::vector<std::string> members = object.ops_members_set();
    // The object's own values and those that are set; a kernel's would be another one's elsewhere.
    SCXHOST_TRY(scheduler->bind_options(config, nullptr));

    if (arguments.json) {
        nlohmann::json document = {{"schema", kJsonSchema},
                                   {"path", scheduler->path().string()},
                                   {"name", object.name()},
                                   {"build_id", object.build_id()},
                                   {"ops_name", object.ops_name()},
                                   {"struct_ops", object.struct_ops_name()},
                                   {"ops_members", members},
                                   {"programs", programs_json(object)},
                                   {"unsized_maps", object.unsized_maps()},
                                   {"growing_arrays", object.growing_arrays()},
                                   {"exit_record", object.declarations().exit_record.has_value()},
                                   {"options", SCXHOST_TRY(options_json(*scheduler))},
                                   {"statistics", statistics_json(*scheduler)},
                                   {"kfuncs", kfuncs_json(*scheduler, kernel)}};
        if (info)
            document["plugin"] = {
                {"version", info->version}, {"summary", info->summary}, {"contract", to_string(info->contract)}};
        print_json(document);
        return ExitStatus::kDone;
    }
    std::vector<std::vector<std::string>> rows = {{"file", scheduler->path().string()}};
    if (info) {
        rows.push_back({"plugin", fmt::format("{} {}: {}", info->name, info->version, info->summary)});
        rows.push_back({"contract", to_string(info->contract)});
    } else {
        rows.push_back({"plugin", "none: a bare sched_ext object"});
    }
    rows.push_back({"build id", object.build_id()});
    rows.push_back({"struct_ops", fmt::format("{}, attached as {}", object.struct_ops_name(), object.ops_name())});
    rows.push_back({"sets", list_words(members, "and")});
    add_setup(rows, object);
    rows.push_back({"exit record", object.declarations().exit_record ? object.declarations().exit_record->variable.name
                                                                     : "none: the host cannot say why it was ejected"});
    const bool colour = wants_colour(STDOUT_FILENO);
    print(fmt::format("{}\n{}\n{}\n{}", printable(format_table(rows)), SCXHOST_TRY(options_text(*scheduler, colour)),
                      statistics_text(*scheduler, colour), kfuncs_text(*scheduler, kernel)));
    return ExitStatus::kDone;
}

} // namespace

void add_inspect(CommandLine line) {
    CLI::App* command = line.app.add_subcommand("inspect", "Show what a plugin or BPF object says about itself");
    const auto arguments = std::make_shared<InspectArguments>();
    add_selection(*command, arguments->selection, "Plugin library, BPF object, configuration, or name of a plugin");
    command->add_flag("--json", arguments->json, "JSON in place of text");
    command->footer("\nReads the file only: nothing of it runs.\n\nExamples:\n  scxhost inspect qmap\n"
                    "  scxhost inspect ./mine.bpf.o --json\n"
                    "  scxhost inspect ./two.bpf.o --set scheduler.struct_ops=second_ops");
    command->callback([arguments, &chosen = line.chosen] { chosen = [arguments] { return inspect(*arguments); }; });
}

} // namespace scxhost
