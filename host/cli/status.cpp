// SPDX-License-Identifier: GPL-2.0-only
//
// `scxhost status`: what the running host believes, and what the kernel says.
#include "host/cli/control.hpp"
#include "host/cli/event_view.hpp"
#include "host/cli/standard_output.hpp"
#include "host/cli/terminal.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

namespace scxhost {
namespace {

struct StatusArguments {
    ControlArguments control;
    bool ready = false;
};

using Rows = std::vector<std::vector<std::string>>;

void add_swap(Rows& rows, const nlohmann::json& swap) {
    if (!swap.is_object())
        return;
    rows.push_back({"last swap", describe_swap(swap)});
    if (const std::string error = text_in(member(swap, "error"), "message"); !error.empty())
        rows.push_back({"", error});
}

std::string describe_scheduler(const nlohmann::json& seat) {
    const nlohmann::json& scheduler = member(seat, "scheduler");
    const std::string phase = text_in(seat, "phase");
    if (!scheduler.is_object())
        return fmt::format("none of this host's ({})", phase);
    return fmt::format("{} ({}), for {}", text_in(scheduler, "title"), phase,
                       human_duration(duration_in(scheduler, "running_seconds", std::chrono::seconds(1))));
}

// Nothing where it never was.
void add_away(Rows& rows, const std::string& title, const nlohmann::json& seat) {
    const nlohmann::json& away = member(seat, "away");
    const auto time = [&](const char* key) { return duration_in(away, key, std::chrono::seconds(1)); };
    if (integer_in(away, "count") > 0)
        rows.push_back({title, fmt::format("without a scheduler of its own {} times, for {} in all, {} at the longest",
                                           integer_in(away, "count"), human_duration(time("seconds")),
                                           human_duration(time("longest_seconds")))});
}

// The tree, each branch below what it is below: one row for each.
void add_branches(Rows& rows, const nlohmann::json& below, const std::string& above, std::size_t depth) {
    for (const nlohmann::json& branch : below) {
        if (text_in(branch, "above") != above || depth > below.size()) // it may come from anybody
            continue;
        const std::string name = text_in(branch, "seat");
        std::string line = describe_scheduler(branch) + ", " + text_in(branch, "cgroup");
        if (const nlohmann::json& tasks = member(branch, "tasks"); tasks.is_number_unsigned())
            line += fmt::format(", {} tasks", tasks.get<std::uint64_t>());
        if (const nlohmann::json& cpus = member(branch, "cpus"); cpus.is_number_unsigned())
            line += fmt::format(", {} CPUs", cpus.get<std::uint64_t>());
        rows.push_back({std::string(2 * depth, ' ') + name, line});
        for (const std::string& why : {text_in(branch, "waits_for"), text_in(member(branch, "stood_down"), "message")})
            if (!why.empty())
                rows.push_back({"", why});
        if (const nlohmann::json& quarantine = member(branch, "quarantine"); quarantine.is_array())
            for (const nlohmann::json& build : quarantine)
                rows.push_back(
                    {"", fmt::format("quarantined: {}: {}", text_in(build, "title"), text_in(build, "reason"))});
        add_away(rows, "", branch);
        add_branches(rows, below, name, depth + 1);
    }
}

bool is_good(const nlohmann::json& seat) {
    return text_in(seat, "phase") == "good" && member(seat, "agrees") == true;
}

// All seats are. Of what a branch waits for, somebody else decides.
bool is_ready(const nlohmann::json& answer) {
    const nlohmann::json& below = member(answer, "below");
    return is_good(answer) && (!below.is_array() || std::ranges::all_of(below, [](const nlohmann::json& branch) {
               return is_good(branch) || text_in(branch, "phase") == "waiting";
           }));
}

CommandResult status(const StatusArguments& arguments) {
    nlohmann::json answer = SCXHOST_TRY(ask_host(arguments.control, "status"));
    const ExitStatus end = !arguments.ready || is_ready(answer) ? ExitStatus::kDone : ExitStatus::kSchedulerFailed;
    if (arguments.control.json) {
        answer["schema"] = kJsonSchema;
        print_json(answer);
        return end;
    }
    const bool colour = wants_colour(STDOUT_FILENO);
    const nlohmann::json& scheduler = member(answer, "scheduler");
    const nlohmann::json& kernel = member(answer, "kernel");
    Rows rows;
    rows.push_back({"scheduler", describe_scheduler(answer)});
    if (const nlohmann::json& below = member(answer, "below"); below.is_array())
        add_branches(rows, below, text_in(answer, "seat"), 1);
    rows.push_back({"kernel", fmt::format("{}{}, Linux {}", text_in(kernel, "state"),
                                          text_in(kernel, "ops").empty() ? "" : ": " + text_in(kernel, "ops"),
                                          text_in(kernel, "release"))});
    if (const nlohmann::json& process = member(scheduler, "process"); process.is_object()) {
        std::string command = text_in(process, "program");
        for (const nlohmann::json& argument : member(process, "args"))
            command += " " + (argument.is_string() ? printable(argument.get<std::string>()) : "");
        rows.push_back({"program", fmt::format("process {}: {}", integer_in(process, "pid"), command)});
    }
    if (const nlohmann::json& agrees = member(answer, "agrees"); agrees.is_boolean() && !agrees.get<bool>())
        rows.push_back(
            {paint("they differ", kRed, colour), "the host has not yet seen what the kernel says, or cannot"});
    if (const nlohmann::json& hang = member(scheduler, "plugin_hangs"); hang.is_object())
        rows.push_back({paint("plugin hangs", kRed, colour),
                        fmt::format("in {}, for {}, {} of them on a CPU; the scheduler in the kernel goes on",
                                    text_in(hang, "callback"),
                                    human_duration(duration_in(hang, "seconds", std::chrono::seconds(1))),
                                    human_duration(duration_in(hang, "cpu_seconds", std::chrono::seconds(1))))});
    for (const auto& [key, title] :
         {std::pair("preparing", "preparing"), std::pair("kept", "kept loaded"), std::pair("last_good", "last good")})
        if (const std::string value = text_in(answer, key); !value.empty())
            rows.push_back({title, value});
    if (const nlohmann::json& fallback = member(answer, "fallback"); fallback.is_array() && !fallback.empty()) {
        std::string names;
        for (const nlohmann::json& name : fallback)
            names += (names.empty() ? "" : ", ") + (name.is_string() ? printable(name.get<std::string>()) : "");
        rows.push_back({"fallback", names});
    }
    if (const nlohmann::json& down = member(answer, "stood_down"); down.is_object())
        rows.push_back({paint("stood down", kRed, colour), text_in(down, "message") + "; scxhost resume, or swap"});
    if (const nlohmann::json& quarantine = member(answer, "quarantine"); quarantine.is_array())
        for (const nlohmann::json& build : quarantine)
            rows.push_back({paint("quarantined", kYellow, colour),
                            fmt::format("{} (build {}): {}", text_in(build, "title"), text_in(build, "build_id"),
                                        text_in(build, "reason"))});
    add_swap(rows, member(answer, "last_swap"));
    add_away(rows, "away", answer);
    rows.push_back(
        {"host", fmt::format("process {}, scxhost {}", integer_in(answer, "pid"), text_in(answer, "version"))});
    print(format_table(rows));
    return end;
}

} // namespace

void add_status(CommandLine line) {
    CLI::App* command = line.app.add_subcommand("status", "Show what the running host does, and what the kernel says");
    const auto arguments = std::make_shared<StatusArguments>();
    command->add_flag(
        "--ready", arguments->ready,
        "End with status 1 unless the machine's scheduler and those of all branches that do not wait for\n"
        "their cgroup are good: the kernel has each, and probation is over");
    add_control(*command, arguments->control);
    command->footer("\nThe exit status is 5 when no host is running.\n\nExamples:\n  scxhost status\n"
                    "  scxhost status --ready && echo the new scheduler is good\n"
                    "  scxhost status --json | jq .scheduler.title");
    command->callback([arguments, &chosen = line.chosen] { chosen = [arguments] { return status(*arguments); }; });
}

} // namespace scxhost
