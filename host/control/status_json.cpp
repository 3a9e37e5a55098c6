// SPDX-License-Identifier: GPL-2.0-only
#include "host/control/status_json.hpp"

#include "host/control/protocol.hpp"
#include "host/kernel/kernel_release.hpp"

#include <nlohmann/json.hpp>
#include <unistd.h>

namespace scxhost {
namespace {

nlohmann::json running_json(const SeatStatus::Running& running) {
    nlohmann::json options = nlohmann::json::object();
    for (const auto& [key, text] : running.options)
        options[key] = text;
    return {{"name", running.name},
            {"title", running.title},
            {"ops", running.ops_name},
            {"build_id", running.build_id},
            {"enable_seq", running.enable_seq},
            {"running_seconds", seconds(running.since_start)},
            {"plugin_hangs", running.hang ? to_json(*running.hang) : nlohmann::json(nullptr)},
            {"config", or_null(running.config)},
            {"object", or_null(running.object)},
            {"options", std::move(options)},
            {"process", running.process ? to_json(*running.process) : nlohmann::json(nullptr)}};
}

} // namespace

nlohmann::json status_json(const SeatStatus& status) {
    nlohmann::json quarantine = nlohmann::json::array();
    for (const Quarantined& entry : status.quarantine)
        quarantine.push_back({{"build_id", entry.identity.build},
                              {"title", entry.identity.title},
                              {"options", entry.identity.options},
                              {"reason", entry.reason}});
    nlohmann::json stood_down = nullptr;
    if (status.stood_down)
        stood_down = {{"reason", to_string(status.stood_down->reason)}, {"message", status.stood_down->message}};
    return {{"protocol", kProtocolVersion},
            {"pid", ::getpid()},
            {"version", SCXHOST_VERSION},
            {"seat", status.seat},
            {"phase", to_string(status.phase)},
            {"scheduler", status.running ? running_json(*status.running) : nlohmann::json(nullptr)},
            {"kernel",
             {{"release", kernel_release()},
              {"state", to_string(status.kernel.state)},
              {"ops", or_null(std::string(status.kernel.ops_name()))},
              {"enable_seq", status.kernel.enable_seq}}},
            {"agrees", status.agrees},
            {"kept", or_null(status.kept)},
            {"last_good", or_null(status.last_good)},
            {"fallback", status.fallback},
            {"quarantine", std::move(quarantine)},
            {"stood_down", std::move(stood_down)},
            {"preparing", or_null(status.preparing)},
            {"last_swap", status.last_swap ? to_json(*status.last_swap) : nlohmann::json(nullptr)},
            {"recent_failures", status.recent_failures},
            {"away",
             {{"count", status.away.count},
              {"seconds", seconds(status.away.total)},
              {"longest_seconds", seconds(status.away.longest)}}}};
}

nlohmann::json branch_json(const SeatStatus& status) {
    nlohmann::json result = status_json(status);
    for (const char* of_host : {"protocol", "pid", "version"})
        result.erase(of_host);
    result.update({{"above", status.above},
                   {"cgroup", status.cgroup},
                   {"tasks", status.tasks ? nlohmann::json(*status.tasks) : nlohmann::json(nullptr)},
                   {"cpus", status.cpus ? nlohmann::json(*status.cpus) : nlohmann::json(nullptr)},
                   {"caps", status.caps},
                   {"waits_for", or_null(status.waits_for)}});
    return result;
}

nlohmann::json statistics_json(const StatisticsReport& report) {
    const StatisticsSample& now = report.now;
    nlohmann::json entries = nlohmann::json::array();
    for (std::size_t i = 0; i < now.declared->size(); ++i) {
        const StatisticDeclaration& declared = (*now.declared)[i];
        nlohmann::json entry = {{"name", declared.name},
                                {"value", now.sample.values[i]},
                                {"kind", declared.kind == StatisticKind::kCounter ? "counter" : "gauge"},
                                {"unit", declared.unit},
                                {"group", declared.group},
                                {"help", declared.help}};
        if (const auto rate = rate_since(now, report.earlier ? &*report.earlier : nullptr, i))
            entry["rate"] = *rate;
        entries.push_back(std::move(entry));
    }
    return {{"seat", report.seat},
            {"scheduler", now.title},
            {"seconds", seconds(now.sample.since_start)},
            {"statistics", std::move(entries)}};
}

nlohmann::json totals_json(const SeatTotals& totals) {
    nlohmann::json swaps = nlohmann::json::object();
    for (std::size_t i = 0; i < totals.swaps.size(); ++i)
        swaps[to_string(static_cast<SwapOutcome>(i))] = totals.swaps[i];
    return {{"swaps", std::move(swaps)},
            {"gaps", {{"count", totals.gaps}, {"seconds", seconds(totals.gap_time)}}},
            {"failures", totals.failures}};
}

} // namespace scxhost
