// SPDX-License-Identifier: GPL-2.0-only
//
// `scxhost run`: one scheduler in the foreground, from its configuration to its end.
#include "host/base/error_json.hpp"
#include "host/base/units.hpp"
#include "host/cli/command.hpp"
#include "host/cli/diagnostic.hpp"
#include "host/cli/log.hpp"
#include "host/cli/statistics_view.hpp"
#include "host/cli/terminal.hpp"
#include "host/kernel/preflight.hpp"
#include "host/supervisor/prepared_scheduler.hpp"
#include "host/supervisor/session.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>

namespace scxhost {
namespace {

using Clock = std::chrono::steady_clock;

struct RunArguments {
    Selection selection;
    std::string duration;
    bool json = false;
    bool quiet = false;
};

double milliseconds(std::chrono::nanoseconds duration) {
    return static_cast<double>(duration.count()) / 1e6;
}
double seconds(std::chrono::nanoseconds duration) {
    return static_cast<double>(duration.count()) / 1e9;
}

nlohmann::json to_json(const ExitReport& exit) {
    return {{"kind", exit.kind_name()}, {"kind_number", exit.kind}, {"code", exit.exit_code},
            {"reason", exit.reason},    {"message", exit.message},  {"dump", exit.dump}};
}

// Prints what a session tells, as text or as JSON lines.
class Printer : public SessionListener {
public:
    Printer(const PreparedScheduler& scheduler, const RunArguments& arguments, std::chrono::nanoseconds prepare_time)
        : scheduler_(scheduler)
        , arguments_(arguments)
        , prepare_time_(prepare_time)
        , view_(scheduler.object().declarations().statistics, ::isatty(STDOUT_FILENO) == 1) {}

    void on_enabled(const Attached& attached) override {
        const SchedulerObject& object = scheduler_.object();
        if (arguments_.json) {
            nlohmann::json options = nlohmann::json::object();
            for (const OptionValue& value : scheduler_.binding().values)
                options[value.key] = value.text;
            event("enabled", {{"scheduler", object.name()},
                              {"title", scheduler_.title()},
                              {"ops", object.ops_name()},
                              {"build_id", object.build_id()},
                              {"kernel", kernel_release()},
                              {"enable_seq", attached.enable_seq},
                              {"prepare_ms", milliseconds(prepare_time_)},
                              {"attach_ms", milliseconds(attached.attach_time)},
                              {"confirm_ms", milliseconds(attached.confirm_time)},
                              {"options", std::move(options)},
                              {"notes", scheduler_.notes()}});
            return;
        }
        const bool colour = wants_colour(STDOUT_FILENO);
        fmt::print("{} {} on kernel {}: the kernel confirms {}\n", paint("enabled:", kGreen, colour),
                   scheduler_.title(), kernel_release(), object.ops_name());
        fmt::print("  prepared and verified in {}, attached in {}, confirmed in {}\n", human_duration(prepare_time_),
                   human_duration(attached.attach_time), human_duration(attached.confirm_time));
        std::fflush(stdout);
    }

    bool on_sample(const Sample& sample) override {
        if (arguments_.json) {
            nlohmann::json values = nlohmann::json::object();
            const auto& statistics = scheduler_.object().declarations().statistics;
            const std::vector<double> rates = view_.rates(sample);
            for (std::size_t i = 0; i < statistics.size(); ++i) {
                nlohmann::json& entry = values[statistics[i].name];
                entry["value"] = sample.values[i];
                if (statistics[i].kind == StatisticKind::kCounter)
                    entry["rate"] = rates[i];
            }
            event("statistics", {{"seconds", seconds(sample.since_start)}, {"statistics", std::move(values)}});
        } else if (!arguments_.quiet) {
            std::fputs(view_.render(sample).c_str(), stdout);
            std::fflush(stdout);
        }
        view_.remember(sample);
        return std::ferror(stdout) == 0;
    }

    void on_warning(const Error& error) override {
        Error tolerated = error;
        tolerated.what += ", ignoring";
        print_diagnostic(Severity::kWarning, tolerated);
    }

    void finished(const SessionOutcome& outcome) const {
        if (arguments_.json)
            return event("ended", {{"end", end_word(outcome.end)},
                                   {"seconds", seconds(outcome.duration)},
                                   {"replaced_by", outcome.other_name},
                                   {"exit", to_json(outcome.exit)}});
        const std::string after = human_duration(outcome.duration);
        switch (outcome.end) {
        case SessionEnd::kRequested:
        case SessionEnd::kTimeUp:
            fmt::print("detached: {} after {}; the kernel's own scheduler runs\n", scheduler_.title(), after);
            break;
        case SessionEnd::kLeft:
        case SessionEnd::kReplaced:
            break; // the error that follows says it
        }
        std::fflush(stdout);
    }

    void failed(const Error& error) const {
        if (arguments_.json)
            event("failed", {{"error", to_json_error(error)}});
    }

private:
    static std::string_view end_word(SessionEnd end) {
        switch (end) {
        case SessionEnd::kRequested:
            return "requested";
        case SessionEnd::kTimeUp:
            return "time-up";
        case SessionEnd::kLeft:
            return "left";
        case SessionEnd::kReplaced:
            break;
        }
        return "replaced";
    }
    static nlohmann::json to_json_error(const Error& error) { return scxhost::to_json(error); }

    static void event(std::string_view name, nlohmann::json fields) {
        fields["schema"] = kJsonSchema;
        fields["event"] = name;
        print_json(fields);
    }

    const PreparedScheduler& scheduler_;
    const RunArguments& arguments_;
    std::chrono::nanoseconds prepare_time_;
    StatisticsView view_;
};

// How an ejection is told: kind, code, reason, message, dump.
Error ejection(const PreparedScheduler& scheduler, const SessionOutcome& outcome) {
    const std::string after = human_duration(outcome.duration);
    if (outcome.end == SessionEnd::kReplaced)
        return {.kind = ErrorKind::kEjected,
                .what = fmt::format("{} was replaced after {} by another scheduler: {}", scheduler.title(), after,
                                    outcome.other_name.empty() ? "(gone already)" : outcome.other_name),
                .hint = "somebody else attached it; only one root scheduler can run at a time"};
    const ExitReport& exit = outcome.exit;
    if (!exit.left())
        return {.kind = ErrorKind::kEjected,
                .what = fmt::format("the kernel ended {} after {}, and the object keeps no record of why",
                                    scheduler.title(), after),
                .hint = "the kernel's log (dmesg) says more"};
    Error error{.kind = ErrorKind::kEjected,
                .what = fmt::format("{} left after {}: {} (code {:#x}): {}{}{}", scheduler.title(), after,
                                    exit.kind_name(), static_cast<std::uint64_t>(exit.exit_code), exit.reason,
                                    exit.message.empty() ? "" : ": ", exit.message),
                .hint = "the kernel's own scheduler runs",
                .detail = exit.dump};
    if (exit.asks_for_restart())
        error.hint += exit.is_hotplug() ? "; a CPU came or went: run it again for the new topology"
                                        : "; the scheduler asks to be started again";
    return error;
}

CommandResult run(const RunArguments& arguments) {
    SessionLimits limits;
    if (!arguments.duration.empty()) {
        Result<std::chrono::nanoseconds> duration = parse_duration(arguments.duration);
        if (!duration) {
            duration.error().kind = ErrorKind::kUsage;
            duration.error().what = "--for: " + duration.error().what;
            return fail(std::move(duration).error());
        }
        limits.duration = *duration;
    }
    // A reader of our output that goes away ends the session like a signal, with a clean detach.
    ::signal(SIGPIPE, SIG_IGN);

    const Clock::time_point start = Clock::now();
    const Config config = SCXHOST_TRY(select_config(arguments.selection));
    set_log_level(config.log.level);
    limits.statistics_interval = config.stats.interval;
    const std::unique_ptr<PreparedScheduler> scheduler = SCXHOST_TRY(PreparedScheduler::open(config));
    const KernelBtf kernel = SCXHOST_TRY(preflight());
    SCXHOST_TRY(scheduler->bind_options(config, &kernel));
    SCXHOST_TRY(scheduler->fit(kernel));
    SCXHOST_TRY(scheduler->configure(plugin_log_sink()));
    for (const std::string& note : scheduler->notes())
        print_note(fmt::format("{}: {}", scheduler->object().name(), note));
    SCXHOST_TRY(scheduler->load());

    Printer printer(*scheduler, arguments, Clock::now() - start);
    const Result<SessionOutcome> outcome = run_session(*scheduler, limits, printer);
    if (!outcome) {
        printer.failed(outcome.error());
        return fail(outcome.error());
    }
    printer.finished(*outcome);
    if (outcome->end == SessionEnd::kLeft || outcome->end == SessionEnd::kReplaced)
        return fail(ejection(*scheduler, *outcome));
    return ExitStatus::kDone;
}

} // namespace

void add_run(CommandLine line) {
    CLI::App* command = line.app.add_subcommand("run", "Attach a scheduler, show its statistics, detach at the end");
    const auto arguments = std::make_shared<RunArguments>();
    add_selection(*command, arguments->selection,
                  "Configuration (x.toml), compiled sched_ext object (x.bpf.o), plugin library (x.so)\n"
                  "or the name of an installed plugin");
    command->add_option("--for", arguments->duration, "Detach after this time")->type_name("TIME");
    command->add_flag("--json", arguments->json, "JSON lines in place of text");
    command->add_flag("-q,--quiet", arguments->quiet, "No statistics");
    command->footer(R"(
Says "enabled" only when the kernel has confirmed it. Ctrl-C detaches; a second one ends the process at once, and
the kernel detaches by itself.

Examples:
  scxhost run /usr/share/scxhost/configs/simple.toml --for 10s
  scxhost run qmap --set slice=5ms --set max_tasks=100000
  scxhost run ./mine.bpf.o --json | jq .)");
    command->callback([arguments, &chosen = line.chosen] { chosen = [arguments] { return run(*arguments); }; });
}

} // namespace scxhost
