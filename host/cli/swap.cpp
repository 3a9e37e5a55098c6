// SPDX-License-Identifier: GPL-2.0-only
//
// `scxhost swap`: asks the running host for another scheduler, and says what became of it.
#include "host/base/error_json.hpp"
#include "host/cli/control.hpp"
#include "host/cli/diagnostic.hpp"
#include "host/cli/event_view.hpp"
#include "host/cli/standard_output.hpp"
#include "host/cli/terminal.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <utility>

namespace scxhost {
namespace {

struct SwapArguments {
    ControlArguments control;
    Selection selection;
    std::string at;
    bool no_wait = false;
    bool force = false;
    bool again = false;
};

// What a failed swap is in an exit status: a refusal has its own cause, anything else is the scheduler's failure.
ExitStatus status_of(const nlohmann::json& report) {
    const std::string outcome = text_in(report, "outcome");
    if (outcome == "good" || outcome == "unchanged" || outcome == "accepted")
        return ExitStatus::kDone;
    if (outcome == "refused")
        if (const auto kind = error_kind(text_in(member(report, "error"), "kind")))
            return exit_status(*kind);
    return ExitStatus::kSchedulerFailed;
}

void print_error_of(const nlohmann::json& report) {
    const nlohmann::json& error = member(report, "error");
    if (!error.is_object())
        return;
    Error shown = error_from_json(error);
    // The kernel's dump is more than the one line that is asked for here; but where no record keeps it, it is shown.
    if ((shown.kind == ErrorKind::kAttach || shown.kind == ErrorKind::kEjected) && !text_in(report, "incident").empty())
        if (!std::exchange(shown.detail, {}).empty() && shown.hint.empty())
            shown.hint = "scxhost incidents show has the kernel's dump";
    print_diagnostic(Severity::kError, shown);
}

CommandResult swap(const SwapArguments& arguments) {
    nlohmann::json params = {{"wait", !arguments.no_wait}, {"force", arguments.force}};
    if (arguments.again)
        params["again"] = true;
    if (!arguments.at.empty())
        params["at"] = arguments.at;
    if (!arguments.selection.what.empty() || !arguments.selection.object.empty() ||
        !arguments.selection.program.empty()) {
        if (!arguments.selection.program.empty()) {
            params["program"] = absolute_path(arguments.selection.program);
            params["args"] = arguments.selection.args;
        } else if (!arguments.selection.object.empty())
            params["object"] = absolute_path(arguments.selection.object);
        else
            params["what"] = what_for_host(arguments.selection.what);
        params["set"] = arguments.selection.assignments;
        std::vector<std::string> folders;
        for (const std::string& folder : arguments.selection.plugin_dirs)
            folders.push_back(absolute_path(folder));
        params["plugin_dirs"] = folders;
    } else if (!arguments.selection.assignments.empty() || !arguments.selection.plugin_dirs.empty()) {
        return fail(ErrorKind::kUsage, "--set and --plugin-dir need a scheduler to swap to",
                    "name it: scxhost swap CONFIG|PLUGIN --set KEY=VALUE");
    }
    ControlClient client = SCXHOST_TRY(connect_to_host(arguments.control));
    const bool progress = !arguments.control.json && !arguments.no_wait;
    const auto answer_time = ControlClient::Clock::now() + std::chrono::seconds(10);
    if (progress)
        SCXHOST_TRY(client.call("subscribe", nlohmann::json::object(), answer_time));
    const nlohmann::json report = SCXHOST_TRY(client.call("swap", std::move(params),
                                                          arguments.no_wait ? std::optional(answer_time) : std::nullopt,
                                                          [progress](const nlohmann::json& event) {
                                                              if (!progress)
                                                                  return;
                                                              print(describe_event(event, wants_colour(STDOUT_FILENO)));
                                                              (void)flush_stdout();
                                                          }));
    if (arguments.control.json) {
        nlohmann::json document = report;
        document["schema"] = kJsonSchema;
        print_json(document);
    } else if (arguments.no_wait) {
        print("accepted; scxhost status shows what becomes of it\n");
    } else {
        print_error_of(report);
    }
    return status_of(report);
}

} // namespace

void add_swap(CommandLine line) {
    CLI::App* command = line.app.add_subcommand("swap", "Replace the running scheduler while the machine works");
    const auto arguments = std::make_shared<SwapArguments>();
    add_selection(*command, arguments->selection,
                  "Configuration (x.toml), compiled sched_ext object (x.bpf.o), plugin library (x.so)\n"
                  "or the name of an installed plugin; without it the host reads its configuration again",
                  /*required=*/false, /*with_program=*/true);
    command->add_option("--at", arguments->at, "The branch to swap at; without it the scheduler above all")
        ->type_name("BRANCH");
    command->add_flag("--no-wait", arguments->no_wait, "Do not wait for the outcome");
    command->add_flag("--force", arguments->force, "Even if this build failed before and is quarantined");
    CLI::Option* again = command->add_flag("--again", arguments->again,
                                           "What runs, prepared anew from its files with all that it was started with");
    for (const char* choice : {"WHAT", "--object", "--program"})
        again->excludes(choice);
    add_control(*command, arguments->control);
    command->footer(R"(
The new scheduler is prepared and verified while the old one runs; only then it takes its place. If it fails to start, or
errs on probation, the old one comes back. Returns when the outcome is known, which is when probation is over:
status 0 for good, 1 when it failed, that of its cause when it was refused before anything was touched.

Examples:
  scxhost swap qmap
  scxhost swap qmap --set slice=5ms
  scxhost swap qmap --at games --set slice=1ms
  scxhost swap --program /usr/bin/scx_lavd -- --performance
  scxhost swap /etc/scxhost/night.toml --no-wait
  scxhost swap --again
  scxhost swap)");
    command->callback([arguments, &chosen = line.chosen] { chosen = [arguments] { return swap(*arguments); }; });
}

} // namespace scxhost
