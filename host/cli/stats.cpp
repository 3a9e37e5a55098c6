// SPDX-License-Identifier: GPL-2.0-only
//
// `scxhost stats`: the running scheduler's statistics, from the host.
#include "host/base/units.hpp"
#include "host/cli/control.hpp"
#include "host/cli/live_table.hpp"
#include "host/cli/program.hpp"
#include "host/cli/standard_output.hpp"
#include "host/cli/terminal.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <thread>

namespace scxhost {
namespace {

struct StatsArguments {
    ControlArguments control;
    std::string at;
    bool watch = false;
    std::string interval = "1s";
};

std::string table(const nlohmann::json& answer) {
    std::vector<std::vector<std::string>> rows = {
        {text_in(answer, "scheduler"), "", fmt::format("{:.1f} s", number_in(answer, "seconds")), ""},
        {"NAME", "VALUE", "RATE", "MEANING"}};
    if (const nlohmann::json& statistics = member(answer, "statistics"); statistics.is_array())
        for (const nlohmann::json& entry : statistics) {
            const std::string unit = text_in(entry, "unit");
            rows.push_back(
                {text_in(entry, "name"), group_digits(integer_in(entry, "value")) + (unit.empty() ? "" : " " + unit),
                 entry.contains("rate") ? format_rate(number_in(entry, "rate")) : "", text_in(entry, "help")});
        }
    return format_table(rows, {false, true, true, false});
}

CommandResult stats(const StatsArguments& arguments) {
    const auto interval = SCXHOST_TRY(duration_option("--interval", arguments.interval, std::chrono::nanoseconds(1)));
    ControlClient client = SCXHOST_TRY(connect_to_host(arguments.control));
    const bool in_place = arguments.watch && ::isatty(STDOUT_FILENO) == 1;
    LiveTable live(STDOUT_FILENO);
    nlohmann::json params = nlohmann::json::object();
    if (!arguments.at.empty())
        params["at"] = arguments.at;
    for (;;) {
        nlohmann::json answer =
            SCXHOST_TRY(client.call("stats", params, ControlClient::Clock::now() + std::chrono::seconds(10)));
        if (arguments.control.json) {
            answer["schema"] = kJsonSchema;
            print_json(answer);
        } else {
            print(in_place ? live.draw(table(answer)) : table(answer));
        }
        if (!flush_stdout() || !arguments.watch)
            return ExitStatus::kDone;
        std::this_thread::sleep_for(interval);
    }
}

} // namespace

void add_stats(CommandLine line) {
    CLI::App* command = line.app.add_subcommand("stats", "Show the running scheduler's statistics");
    const auto arguments = std::make_shared<StatsArguments>();
    add_control(*command, arguments->control);
    command->add_option("--at", arguments->at, "Of a branch; without it the scheduler above all")->type_name("BRANCH");
    command->add_flag("-w,--watch", arguments->watch, "Again and again, until Ctrl-C");
    command->add_option("--interval", arguments->interval, "Pause between two readings with --watch (default: 1s)")
        ->type_name("TIME");
    command->footer("\nExamples:\n  scxhost stats\n  scxhost stats --watch --interval 200ms\n"
                    "  scxhost stats --json | jq '.statistics[] | {name, rate}'");
    command->callback([arguments, &chosen = line.chosen] { chosen = [arguments] { return stats(*arguments); }; });
}

} // namespace scxhost
