// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/event_view.hpp"

#include "host/cli/control.hpp"
#include "host/cli/terminal.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <sstream>

namespace scxhost {
namespace {

std::string duration(const nlohmann::json& event, const char* key) {
    return human_duration(duration_in(event, key, std::chrono::milliseconds(1)));
}

bool is_of_branch(const nlohmann::json& event) {
    const std::string seat = text_in(event, "seat");
    return !seat.empty() && seat != "machine";
}

std::string or_other(const nlohmann::json& event, const std::string& title) {
    if (!title.empty())
        return title;
    return is_of_branch(event) ? "the scheduler above" : "the kernel's own scheduler";
}

std::string describe_enabled(const nlohmann::json& event, bool colour) {
    std::string result = fmt::format("{} {} on kernel {}: the kernel confirms {}\n", paint("enabled:", kGreen, colour),
                                     text_in(event, "title"), text_in(event, "kernel"), text_in(event, "ops"));
    result += fmt::format("  prepared and verified in {}, attached in {}, confirmed in {}\n",
                          duration(event, "prepare_ms"), duration(event, "attach_ms"), duration(event, "confirm_ms"));
    if (const std::string from = text_in(event, "from"); !from.empty())
        result += fmt::format("  in the place of {}: gap {} (detach {}), {} tasks moved{}\n", from,
                              duration(event, "gap_ms"), duration(event, "detach_ms"), integer_in(event, "tasks"),
                              number_in(event, "probation_ms") > 0
                                  ? fmt::format("; on probation for {}", duration(event, "probation_ms"))
                                  : "");
    else if (is_of_branch(event) && event.contains("away_ms"))
        result += fmt::format("  its tasks were with the scheduler above for {}\n", duration(event, "away_ms"));
    return result;
}

std::string describe_settled(const nlohmann::json& event, bool colour) {
    const std::string outcome = text_in(event, "outcome");
    const std::string to = text_in(event, "to");
    const std::string running = or_other(event, text_in(event, "running"));
    if (outcome == "good")
        return fmt::format("{} {}\n", paint("good:", kGreen, colour), to);
    if (outcome == "unchanged")
        return fmt::format("{} {} runs already, with the same options\n", paint("unchanged:", kGreen, colour), to);
    if (outcome == "rolled-back")
        return fmt::format("{} {} failed, {} runs again\n", paint("rolled back:", kYellow, colour), to, running);
    if (outcome == "refused")
        return fmt::format("{} {}; {} goes on\n", paint("refused:", kYellow, colour), to, running);
    if (outcome == "failed")
        return fmt::format("{} {}; {} runs\n", paint("failed:", kRed, colour), to, running);
    return fmt::format("{} {}: {}\n", paint("superseded:", kYellow, colour), to,
                       text_in(member(event, "error"), "message"));
}

// A program's own lines, each with its name in front.
std::string describe_output(const nlohmann::json& event, bool colour) {
    const std::string title = paint(text_in(event, "title") + ":", kDim, colour);
    std::istringstream text(text_in(event, "text"));
    std::string result;
    for (std::string line; std::getline(text, line);)
        result += fmt::format("{} {}\n", title, printable(line));
    return result;
}

std::string describe(const nlohmann::json& event, bool colour) {
    const std::string name = text_in(event, "event");
    if (name == "enabled")
        return describe_enabled(event, colour);
    if (name == "settled")
        return describe_settled(event, colour);
    if (name == "preparing")
        return fmt::format("{} {}\n", paint("preparing:", kDim, colour), text_in(event, "scheduler"));
    if (name == "waiting")
        return fmt::format("waiting {} before the next attempt\n", duration(event, "delay_ms"));
    if (name == "quarantined")
        return fmt::format("{} {} (build {}) is not tried again with these options until its file changes\n",
                           paint("quarantined:", kYellow, colour), text_in(event, "title"), text_in(event, "build_id"));
    if (name == "stood-down")
        return fmt::format("{} {}\n", paint("stood down:", kRed, colour), text_in(event, "message"));
    if (name == "starving")
        return fmt::format("{} {}: {}\n", paint("starving:", kYellow, colour), text_in(event, "title"),
                           text_in(event, "message"));
    if (name == "waiting-for-cgroup" || name == "suspended")
        return fmt::format("{} {}\n", paint("waiting:", kYellow, colour), text_in(event, "message"));
    if (name == "removed")
        return fmt::format("removed: {}\n", text_in(event, "message"));
    if (name == "stopped" || name == "resumed")
        return text_in(event, "message") + "\n";
    if (name == "rcu-restored")
        return fmt::format("{} {}\n", paint("put right:", kYellow, colour), text_in(event, "message"));
    if (name == "config-changed")
        return fmt::format("configuration changed: {}\n", text_in(event, "file"));
    if (name == "build-changed")
        return fmt::format("a new build: {}\n", text_in(event, "file"));
    if (name == "config-refused")
        return fmt::format("{} the changed configuration; {} goes on\n", paint("refused:", kYellow, colour),
                           or_other(event, text_in(event, "running")));
    if (name == "plugin-returned")
        return fmt::format("returned: the plugin of {} hangs no longer\n", text_in(event, "title"));
    if (name == "output")
        return describe_output(event, colour);
    if (name == "program-ended")
        return fmt::format("{} its process {}\n", paint(text_in(event, "title") + ":", kDim, colour),
                           text_in(event, "how"));
    if (name == "incident")
        return fmt::format("incident recorded: {}\n", text_in(event, "path"));
    return {};
}

} // namespace

std::string describe_event(const nlohmann::json& event, bool colour) {
    std::string text = describe(event, colour);
    if (!text.empty() && is_of_branch(event))
        text.insert(0, text_in(event, "seat") + ": ");
    return text;
}

std::string describe_any_event(const nlohmann::json& event, bool colour) {
    std::string text = describe_event(event, colour);
    if (!text.empty())
        return text;
    const std::string error = text_in(member(event, "error"), "message");
    return fmt::format("{}: {}\n", text_in(event, "event"), error.empty() ? text_in(event, "title") : error);
}

std::string describe_swap(const nlohmann::json& swap) {
    const std::string from = text_in(swap, "from");
    std::string line = fmt::format("{} -> {}: {}", from.empty() ? "(kernel's own)" : from, text_in(swap, "to"),
                                   text_in(swap, "outcome"));
    if (swap.contains("gap_ms") && !from.empty())
        line += fmt::format(", gap {}, {} tasks moved", duration(swap, "gap_ms"), integer_in(swap, "tasks"));
    return line;
}

} // namespace scxhost
