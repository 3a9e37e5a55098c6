// SPDX-License-Identifier: GPL-2.0-only
#include "host/supervisor/reports.hpp"

#include "host/base/error_json.hpp"

#include <nlohmann/json.hpp>

namespace scxhost {
namespace {

std::string_view outcome_word(const SwapReport& report) {
    if (report.outcome)
        return to_string(*report.outcome);
    return report.switched ? "on-probation" : "preparing";
}

} // namespace

nlohmann::json to_json(const PluginHang& hang) {
    return {{"callback", hang.callback}, {"seconds", seconds(hang.since)}, {"cpu_seconds", seconds(hang.cpu)}};
}

nlohmann::json or_null(const std::string& text) {
    return text.empty() ? nlohmann::json(nullptr) : nlohmann::json(text);
}

double milliseconds(std::chrono::nanoseconds duration) {
    return static_cast<double>(duration.count()) / 1e6;
}

double seconds(std::chrono::nanoseconds duration) {
    return static_cast<double>(duration.count()) / 1e9;
}

nlohmann::json to_json(const SwapReport& report) {
    nlohmann::json result = {{"from", or_null(report.from)},
                             {"to", report.to},
                             {"outcome", outcome_word(report)},
                             {"prepare_ms", milliseconds(report.prepare)},
                             {"running", or_null(report.running)},
                             {"error", report.error ? to_json(*report.error) : nlohmann::json(nullptr)},
                             {"incident", report.incident ? or_null(*report.incident) : nlohmann::json(nullptr)}};
    if (report.window.attach.count() > 0 || report.window.gap.count() > 0)
        result.update({{"gap_ms", milliseconds(report.window.gap)},
                       {"gap_how", "host's monotonic clock, from the detach call to the kernel's confirmation"},
                       {"detach_ms", milliseconds(report.window.detach)},
                       {"attach_ms", milliseconds(report.window.attach)},
                       {"confirm_ms", milliseconds(report.window.confirm)},
                       {"tasks", report.tasks},
                       {"rcu_expedited", report.window.rcu_expedited}});
    if (report.away.count() > 0)
        result["away_ms"] = milliseconds(report.away);
    return result;
}

nlohmann::json to_json(const SchedulerProcess& process) {
    return {{"pid", process.pid}, {"program", process.program.string()}, {"args", process.args}};
}

nlohmann::json options_json(const SchedulerFacts& facts) {
    nlohmann::json options = nlohmann::json::object();
    for (const auto& [key, text] : facts.options)
        options[key] = text;
    return options;
}

nlohmann::json to_json(const ExitReport& exit) {
    return {{"kind", exit.kind_name()}, {"kind_number", exit.kind}, {"code", exit.exit_code},
            {"reason", exit.reason},    {"message", exit.message},  {"dump", exit.dump}};
}

} // namespace scxhost
