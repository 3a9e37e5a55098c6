// SPDX-License-Identifier: GPL-2.0-only
#include "host/dbus/desktop_state.hpp"

#include "host/base/json_fields.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <optional>
#include <string_view>
#include <utility>

namespace scxhost {
namespace {

constexpr std::string_view kOptions = "scheduler.options.";

// How many options say that `choice` is what runs; nullopt: something says that it is not.
std::optional<std::size_t> agreeing_options(const DesktopChoice& choice, const nlohmann::json& running) {
    const bool is_file = choice.what.starts_with('/');
    if (choice.what != json_text(running, is_file ? "config" : "name"))
        return std::nullopt;
    if (!is_file && !json_text(running, "object").empty())
        return std::nullopt; // which has a plugin's name and is none
    std::size_t agreeing = 0;
    const nlohmann::json& options = json_member(running, "options");
    for (const std::string& assignment : choice.set) {
        if (!assignment.starts_with(kOptions))
            continue; // arguments of a program, which the status does not tell apart from those of its file
        const std::size_t equals = assignment.find('=');
        const std::string key = assignment.substr(kOptions.size(), equals - kOptions.size());
        if (json_text(options, key.c_str()) != std::string_view(assignment).substr(equals + 1))
            return std::nullopt;
        ++agreeing;
    }
    return agreeing;
}

} // namespace

std::uint64_t running_seq(const nlohmann::json& status) {
    return static_cast<std::uint64_t>(json_integer(json_member(status, "scheduler"), "enable_seq"));
}

DesktopState desktop_state(const nlohmann::json& status, const std::vector<DesktopScheduler>& schedulers,
                           const DesktopRun& chosen) {
    const nlohmann::json& running = json_member(status, "scheduler");
    if (running.is_null()) {
        const std::string foreign = json_text(json_member(status, "kernel"), "ops");
        return foreign.empty() ? DesktopState() : DesktopState{.scheduler = foreign, .mode = 0, .args = {}};
    }
    if (chosen.enable_seq != 0 && chosen.enable_seq == running_seq(status))
        return chosen.state;
    DesktopState state{.scheduler = json_text(running, "name"), .mode = 0, .args = {}};
    // Of those that say as much about it, a scheduler's own choice comes before a mode of another one.
    std::optional<std::pair<std::size_t, bool>> best;
    for (const DesktopScheduler& scheduler : schedulers)
        for (const auto& [mode, choice] : scheduler.modes) {
            const std::optional<std::size_t> options = agreeing_options(choice, running);
            const std::pair found(options.value_or(0), mode == 0);
            if (!options || (best && found <= *best))
                continue;
            best = found;
            state.scheduler = scheduler.name;
            state.mode = static_cast<std::uint32_t>(mode);
        }
    return state;
}

} // namespace scxhost
