// SPDX-License-Identifier: GPL-2.0-only
//
// What a host answers to `scxhost top`, for its tests.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <utility>

namespace scxhost {

// Texts of somebody who would like to have the terminal: sequences of either form, lines, a tab, no UTF-8 at all, and
// characters that take two columns or none.
inline const std::string kHostile =
    "\033[2J\033]0;mine\007 a\nb\tc \302\2332J \377\376 \344\275\240\345\245\275 e\314\201";

inline nlohmann::json top_status(const std::string& seat, const std::string& title, const std::string& phase) {
    nlohmann::json status = {
        {"seat", seat},
        {"phase", phase},
        {"pid", 812},
        {"version", "0.1.0"},
        {"scheduler", nullptr},
        {"agrees", true},
        {"kernel", {{"release", "7.3.4"}, {"state", "enabled"}, {"ops", title.substr(0, 4) + "_2f6d1c0a9be45d77"}}},
        {"last_swap", nullptr}};
    if (!title.empty())
        status["scheduler"] = {{"title", title}, {"enable_seq", 7}, {"running_seconds", 125.5}};
    else
        status["kernel"]["ops"] = nullptr;
    return status;
}

inline nlohmann::json top_counter(const std::string& name, int value, double rate) {
    return {{"name", name},    {"value", value}, {"kind", "counter"},
            {"unit", "tasks"}, {"rate", rate},   {"help", "what " + name + " counts"}};
}

// A branch, below `above`.
inline nlohmann::json top_branch(const std::string& seat, const std::string& above, const std::string& title,
                                 const std::string& phase) {
    nlohmann::json status = top_status(seat, title, phase);
    status.update({{"above", above}, {"cgroup", "/" + seat}, {"tasks", 12U}, {"cpus", 4U}});
    nlohmann::json stats = nullptr;
    if (!title.empty())
        stats = {{"statistics", {top_counter("local", 3, 1)}}};
    return {{"status", std::move(status)}, {"stats", std::move(stats)}, {"kernel_events", nullptr}};
}

// A tree: the machine's, games below it and shooters, which waits, below games.
inline nlohmann::json top_tree() {
    return {{"status", top_status("machine", "trunk 0.1.0", "good")},
            {"stats",
             {{"statistics",
               {top_counter("never", 0, 0),
                top_counter("queued", 26066, 1000),
                {{"name", "depth"}, {"value", 6}, {"kind", "gauge"}, {"unit", ""}, {"help", "how many wait"}}}}}},
            {"kernel_events", {{"SCX_EV_ENQ_SKIP_EXITING", 5}, {"SCX_EV_REFILL_SLICE_DFL", 100}}},
            {"below",
             {top_branch("shooters", "games", "", "waiting"), top_branch("games", "machine", "qmap 0.1.0", "good")}}};
}

inline nlohmann::json top_settled(const std::string& time, const std::string& to, const std::string& outcome) {
    return {{"event", "settled"}, {"time", "2026-11-24T" + time + ".123Z"},
            {"seat", "machine"},  {"from", "simple 0.1.0"},
            {"to", to},           {"outcome", outcome},
            {"gap_ms", 4.21},     {"tasks", 153}};
}

} // namespace scxhost
