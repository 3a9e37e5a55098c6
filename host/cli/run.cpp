// SPDX-License-Identifier: GPL-2.0-only
//
// `scxhost run`: the host in the foreground, from its configuration to its end.
#include "host/base/error_json.hpp"
#include "host/base/event_loop.hpp"
#include "host/base/real_time_limit.hpp"
#include "host/base/units.hpp"
#include "host/cli/control.hpp"
#include "host/cli/diagnostic.hpp"
#include "host/cli/event_view.hpp"
#include "host/cli/live_table.hpp"
#include "host/cli/log.hpp"
#include "host/cli/output.hpp"
#include "host/cli/program.hpp"
#include "host/cli/statistics_view.hpp"
#include "host/cli/terminal.hpp"
#include "host/control/host_service.hpp"
#include "host/kernel/preflight.hpp"
#include "host/supervisor/prepared_scheduler.hpp"
#include "host/supervisor/supervisor.hpp"
#include "host/supervisor/tree_check.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <list>

namespace scxhost {
namespace {

struct RunArguments {
    Selection selection;
    std::string duration;
    bool json = false;
    bool quiet = false;
    bool stay = false;
    bool watch = false;
};

// Prints what the supervisor tells, as text or as JSON lines. The supervisor never waits for a reader of it.
class Printer : public SupervisorListener {
public:
    Printer(const RunArguments& arguments, Output& output, Log& log)
        : arguments_(arguments)
        , output_(output)
        , log_(log) {}

    // nullptr: nobody listens.
    void publish_to(ControlServer* server) { server_ = server; }

    void on_event(const nlohmann::json& event) override {
        if (server_ != nullptr)
            server_->publish(event);
        if (arguments_.json)
            return print(event);
        // What runs no more has no numbers.
        if (const std::string name = event.at("event"); name == "left" || name == "suspended" || name == "removed")
            std::erase_if(tables_, [&](const Table& table) { return table.seat == event.value("seat", ""); });
        // The first preparation is what `run` is expected to do.
        const bool expected = event.at("event") == "preparing" && !std::exchange(started_, true);
        if (expected)
            return;
        if (const std::string text = describe_event(event, wants_colour(STDOUT_FILENO)); !text.empty())
            output_.put(STDOUT_FILENO, table_.erase() + text); // the next table stands below it
    }

    void on_error(const Error& error) override { diagnose(Severity::kError, error); }

    void on_warning(const Error& error) override {
        Error tolerated = error;
        tolerated.what += ", ignoring";
        diagnose(Severity::kWarning, tolerated);
    }

    void on_note(std::string_view scheduler, std::string_view note) override {
        diagnose(Severity::kNote, {.what = fmt::format("{}: {}", scheduler, note)});
    }

    void on_config(const Config& config) override {
        log_.set_level(config.log.level);
        if (!rules_)
            rules_ = config.delegates; // those that hold
        const bool differ = !std::ranges::equal(*rules_, config.delegates, is_same_rule);
        if (differ && !std::exchange(rules_differ_, differ))
            on_warning({.kind = ErrorKind::kConfig,
                        .what = "the rules of [[delegate]] are not those that the host was started with",
                        .hint = "to change who may choose at which branch, start the host anew"});
        rules_differ_ = differ;
    }

    bool on_sample(std::string_view seat, const StatisticsSample& taken) override {
        if (arguments_.quiet)
            return true;
        const auto& declared = *taken.declared;
        const Sample& sample = taken.sample;
        Table& table = table_of(seat);
        // The view refers to the declarations, which a program may change while it runs. Rates need a base of the same.
        if (!table.view || table.previous.run != taken.run || table.previous.declared != taken.declared)
            table.view.emplace(declared, terminal_);
        if (arguments_.json) {
            nlohmann::json values = nlohmann::json::object();
            const std::vector<double> rates = table.view->rates(sample);
            for (std::size_t i = 0; i < declared.size(); ++i) {
                nlohmann::json& entry = values[declared[i].name];
                entry["value"] = sample.values[i];
                if (declared[i].kind == StatisticKind::kCounter)
                    entry["rate"] = rates[i];
            }
            print({{"event", "statistics"},
                   {"seat", seat},
                   {"seconds", seconds(sample.since_start)},
                   {"statistics", std::move(values)}},
                  Output::Worth::kSample);
        } else {
            table.text =
                (tables_.size() > 1 ? fmt::format("{}: {}{}", seat, taken.title, terminal_ ? "\n" : "  ") : "") +
                table.view->render(sample);
            output_.put(STDOUT_FILENO, terminal_ ? table_.draw(all_tables()) : table.text, Output::Worth::kSample);
        }
        table.view->remember(sample);
        table.previous = taken; // with the declarations that the view refers to
        return !output_.reader_gone(STDOUT_FILENO);
    }

    void finished(const RunOutcome& outcome) {
        if (arguments_.json) {
            if (outcome.end == RunEnd::kFailed)
                return print({{"event", "failed"}, {"error", to_json(outcome.failure.value_or(Error{}))}});
            return print({{"event", "ended"},
                          {"end", end_word(outcome.end)},
                          {"title", outcome.title},
                          {"seconds", seconds(outcome.duration)},
                          {"replaced_by", outcome.other_name},
                          {"exit", to_json(outcome.exit)}});
        }
        if (outcome.end == RunEnd::kRequested || outcome.end == RunEnd::kTimeUp)
            output_.put(STDOUT_FILENO,
                        table_.erase() + fmt::format("{} after {}; the kernel's own scheduler runs\n",
                                                     outcome.title.empty() ? "ended:" : "detached: " + outcome.title,
                                                     human_duration(outcome.duration)));
    }

private:
    struct Table {
        std::string seat;
        StatisticsSample previous;
        std::optional<StatisticsView> view;
        std::string text;
    };

    // In the order in which their schedulers have come.
    Table& table_of(std::string_view seat) {
        const auto found = std::ranges::find(tables_, seat, &Table::seat);
        if (found != tables_.end())
            return *found;
        return tables_.emplace_back(Table{.seat = std::string(seat), .previous = {}, .view = {}, .text = {}});
    }

    [[nodiscard]] std::string all_tables() const {
        std::string all;
        for (const Table& table : tables_)
            all += table.text;
        return all;
    }

    // Wherever it stands.
    static bool is_same_rule(const Config::Delegate& one, const Config::Delegate& other) {
        return one.user == other.user && one.cgroup == other.cgroup && one.plugins == other.plugins;
    }

    static std::string_view end_word(RunEnd end) {
        switch (end) {
        case RunEnd::kRequested:
            return "requested";
        case RunEnd::kTimeUp:
            return "time-up";
        case RunEnd::kLeft:
            return "left";
        case RunEnd::kReplaced:
            return "replaced";
        case RunEnd::kFailed:
            break;
        }
        return "failed";
    }

    void print(nlohmann::json event, Output::Worth worth = Output::Worth::kMessage) const {
        event["schema"] = kJsonSchema;
        output_.put(STDOUT_FILENO, json_line(event), worth);
    }
    void diagnose(Severity severity, const Error& error) {
        if (std::string erased = table_.erase(); !erased.empty())
            output_.put(STDOUT_FILENO, std::move(erased));
        log_.diagnostic(severity, error);
    }

    const RunArguments& arguments_;
    Output& output_;
    Log& log_;
    bool terminal_ = ::isatty(STDOUT_FILENO) == 1;
    LiveTable table_{STDOUT_FILENO};
    ControlServer* server_ = nullptr;
    bool started_ = false;
    std::optional<std::vector<Config::Delegate>> rules_; // of the start
    bool rules_differ_ = false;
    std::list<Table> tables_; // a view cannot be moved
};

// When the scheduler that is in the way is a host's, the way out is another one than for a stranger's.
Error name_the_host(Error error, const Config& config) {
    if (error.kind != ErrorKind::kBusy)
        return error;
    const ControlArguments arguments{.socket = config.control.socket.string()};
    const Result<nlohmann::json> status = ask_host(arguments, "status");
    if (status)
        error.hint = fmt::format("the host of process {} runs it: 'scxhost swap' changes what it runs",
                                 integer_in(*status, "pid"));
    return error;
}

Result<bool> wants_sub_cgroup(const Config& config) {
    if (!config.scheduler.program.empty()) // which only says so when it is started
        return false;
    const auto scheduler = SCXHOST_TRY(PreparedScheduler::open(config));
    SCXHOST_TRY(scheduler->bind_options(config, nullptr));
    return scheduler->facts().sub_cgroup != 0;
}

CommandResult run(const RunArguments& arguments) {
    SupervisorSettings settings;
    if (!arguments.duration.empty())
        settings.duration = SCXHOST_TRY(duration_option("--for", arguments.duration, std::chrono::nanoseconds(0)));
    // A reader of our output that goes away ends the run like a signal, with a clean detach.
    ::signal(SIGPIPE, SIG_IGN);

    const Config config = SCXHOST_TRY(select_config(arguments.selection));
    // What can be said before anything is touched is said first.
    const bool is_sub_scheduler = SCXHOST_TRY(wants_sub_cgroup(config));
    Result<KernelBtf> checked = preflight({}, is_sub_scheduler);
    if (!checked)
        return fail(name_the_host(std::move(checked).error(), config));
    const KernelBtf kernel = *std::move(checked);
    SCXHOST_TRY(check_tree(config, kernel));
    Delegation delegation = SCXHOST_TRY(Delegation::make(config));

    settings.stay = arguments.stay;
    settings.watch = arguments.watch;
    const std::unique_ptr<Output> output = SCXHOST_TRY(Output::start());
    Log log(config.log.level, output.get());
    settings.plugin_log = log.plugin_sink();
    if (!config.name.empty()) {
        settings.config_file = config.name;
        settings.reload = [selection = arguments.selection] { return select_config(selection); };
    }
    settings.runtime_dir = config.control.socket.parent_path();
    settings.samples_wanted = !arguments.quiet;

    EventLoop loop = SCXHOST_TRY(EventLoop::make());
    Printer printer(arguments, *output, log);
    const auto limit = SCXHOST_TRY(RealTimeLimit::start(loop, [&printer] {
        printer.on_warning({.kind = ErrorKind::kInternal,
                            .what = fmt::format("the event loop used a CPU for {} s without a pause and has ordinary "
                                                "priority for the next {} s",
                                                RealTimeLimit::kLimit.count(), RealTimeLimit::kPause.count()),
                            .hint = "this is a mistake in scxhost, or a machine that is far too slow"});
    }));
    Supervisor supervisor(loop, kernel, std::move(settings), printer);
    const std::vector<uid_t> users = delegation.users();
    HostService service(supervisor, std::move(delegation));
    Result<std::unique_ptr<ControlServer>> server = ControlServer::open(loop, config, service, users);
    if (server)
        printer.publish_to(server->get());
    else if (server.error().kind == ErrorKind::kPermission && !config.places.contains("control.socket"))
        printer.on_warning(server.error()); // without root it is a host that nobody can talk to
    else
        return fail(std::move(server).error());
    const RunOutcome outcome = SCXHOST_TRY(supervisor.run(config));
    printer.publish_to(nullptr);
    printer.finished(outcome);
    switch (outcome.end) {
    case RunEnd::kRequested:
    case RunEnd::kTimeUp:
        SCXHOST_TRY(output->finish());
        return ExitStatus::kDone;
    case RunEnd::kLeft:
    case RunEnd::kReplaced:
        return ExitStatus::kSchedulerFailed;
    case RunEnd::kFailed:
        break;
    }
    return outcome.failure ? exit_status(outcome.failure->kind) : ExitStatus::kSchedulerFailed;
}

} // namespace

void add_run(CommandLine line) {
    CLI::App* command =
        line.app.add_subcommand("run", "Attach a scheduler, keep a good one running, detach at the end");
    const auto arguments = std::make_shared<RunArguments>();
    add_selection(*command, arguments->selection,
                  "Configuration (x.toml), compiled sched_ext object (x.bpf.o), plugin library (x.so)\n"
                  "or the name of an installed plugin",
                  /*required=*/true, /*with_program=*/true);
    command->add_option("--for", arguments->duration, "Detach after this time")->type_name("TIME");
    command->add_flag("--json", arguments->json, "JSON lines in place of text");
    command->add_flag("-q,--quiet", arguments->quiet, "No statistics");
    command->add_flag("--stay", arguments->stay,
                      "When no scheduler is left to run, stay and wait for scxhost resume or swap");
    command->add_flag("--watch", arguments->watch,
                      "Swap to each new build of the plugin or object when its file changes;\n"
                      "when the new build fails, the old one runs on");
    command->footer(R"(
Says "enabled" only when the kernel has confirmed it. A scheduler that fails is replaced by the last good one, else by
the fallbacks of the configuration; without any of them, or after SysRq-S, the kernel's own scheduler runs and scxhost
ends with status 1. On a terminal all statistics are shown, elsewhere the few that the scheduler declares to say most;
scxhost stats has all. Ctrl-C detaches; a second one ends the process at once, and the kernel detaches by itself.

Examples:
  scxhost run /usr/share/scxhost/configs/simple.toml --for 10s
  scxhost run qmap --set slice=5ms --set max_tasks=100000
  scxhost run ./mine.bpf.o --watch
  scxhost run --program /usr/bin/scx_bpfland -- -m performance
  scxhost run --object ./mine.bpf.o --set stats.variables=nr_queued --json | jq .)");
    command->callback([arguments, &chosen = line.chosen] { chosen = [arguments] { return run(*arguments); }; });
}

} // namespace scxhost
