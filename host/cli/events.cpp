// SPDX-License-Identifier: GPL-2.0-only
//
// `scxhost events`: what happened in the running host, and what happens.
#include "host/cli/control.hpp"
#include "host/cli/event_view.hpp"
#include "host/cli/standard_output.hpp"
#include "host/cli/terminal.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

namespace scxhost {
namespace {

struct EventsArguments {
    ControlArguments control;
    bool follow = false;
};

void print_event(const nlohmann::json& event, bool as_json) {
    if (as_json) {
        nlohmann::json document = event;
        document["schema"] = kJsonSchema;
        return print_json(document);
    }
    print(fmt::format("{}  {}", text_in(event, "time"), describe_any_event(event, wants_colour(STDOUT_FILENO))));
    (void)flush_stdout();
}

CommandResult events(const EventsArguments& arguments) {
    ControlClient client = SCXHOST_TRY(connect_to_host(arguments.control));
    const auto soon = ControlClient::Clock::now() + std::chrono::seconds(10);
    if (arguments.follow)
        SCXHOST_TRY(client.call("subscribe", nlohmann::json::object(), soon));
    // What happened between the two calls is among the kept ones.
    const auto ignore = [](const nlohmann::json&) {};
    const nlohmann::json answer = SCXHOST_TRY(client.call("events", nlohmann::json::object(), soon, ignore));
    if (const nlohmann::json& recent = member(answer, "events"); recent.is_array())
        for (const nlohmann::json& event : recent)
            print_event(event, arguments.control.json);
    while (arguments.follow && flush_stdout())
        print_event(SCXHOST_TRY(client.next_event()), arguments.control.json);
    return ExitStatus::kDone;
}

} // namespace

void add_events(CommandLine line) {
    CLI::App* command = line.app.add_subcommand("events", "Show what happened in the running host");
    const auto arguments = std::make_shared<EventsArguments>();
    add_control(*command, arguments->control);
    command->add_flag("-f,--follow", arguments->follow, "And what happens from now on, until Ctrl-C");
    command->footer("\nThe host keeps the latest hundred.\n\nExamples:\n  scxhost events --follow\n"
                    "  scxhost events --json | jq 'select(.event == \"left\")'");
    command->callback([arguments, &chosen = line.chosen] { chosen = [arguments] { return events(*arguments); }; });
}

} // namespace scxhost
