// SPDX-License-Identifier: GPL-2.0-only
//
// `scxhost compare`: a workload under several schedulers in turn, and what differs.
#include "host/cli/compare.hpp"

#include "host/base/event_fd.hpp"
#include "host/base/unique_fd.hpp"
#include "host/base/units.hpp"
#include "host/base/write_all.hpp"
#include "host/cli/control.hpp"
#include "host/cli/diagnostic.hpp"
#include "host/cli/live_table.hpp"
#include "host/cli/program.hpp"
#include "host/cli/standard_output.hpp"
#include "host/cli/terminal.hpp"
#include "host/measure/builtin_workloads.hpp"
#include "host/measure/command_words.hpp"

#include <CLI/CLI.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <utility>

namespace scxhost {
namespace {

// So many that the test can tell something (docs/compare.md), and each of two or three schedulers has had each place.
constexpr std::size_t kRounds = 5;
constexpr std::size_t kMostRounds = 50; // what mann_whitney_p() has ready in a moment

struct CompareArguments {
    ControlArguments control;
    std::vector<std::string> what;
    std::string workload;
    std::vector<std::string> command; // after "--"
    std::size_t rounds = kRounds;
    std::string time = "5s";
    std::string metric;
    std::vector<std::string> plugin_dirs;
    bool no_trace = false;
    std::string html;
};

// The first SIGINT, SIGTERM or SIGHUP asks the comparison to end; a second one of the same ends the process at once.
// Then the kernel and the host see to it that the machine is as it was found.
class Interruption {
public:
    static Result<std::unique_ptr<Interruption>> catch_signals() {
        std::unique_ptr<Interruption> made(new Interruption);
        if (!made->stop_)
            return EventFd::no_descriptor();
        stop_to_signal = &made->stop_;
        struct sigaction action{};
        action.sa_handler = [](int number) {
            signal_that_came = number;
            stop_to_signal->signal();
        };
        action.sa_flags = static_cast<int>(SA_RESETHAND);
        for (const int number : kSignals) {
            struct sigaction old{};
            ::sigaction(number, nullptr, &old);
            if (old.sa_handler != SIG_IGN) // nohup
                ::sigaction(number, &action, nullptr);
        }
        return made;
    }
    Interruption(const Interruption&) = delete;
    Interruption& operator=(const Interruption&) = delete;
    ~Interruption() {
        for (const int number : kSignals) {
            struct sigaction now{};
            ::sigaction(number, nullptr, &now);
            if (now.sa_handler != SIG_IGN)
                ::signal(number, SIG_DFL);
        }
        stop_to_signal = nullptr;
    }

    [[nodiscard]] const EventFd& stop() const { return stop_; }
    // 0: none came.
    [[nodiscard]] static int signal_number() { return signal_that_came; }

private:
    Interruption() = default;
    static constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP};
    static inline const EventFd* stop_to_signal = nullptr;
    static inline volatile sig_atomic_t signal_that_came = 0;
    EventFd stop_;
};

// On stderr, so that a table or JSON on stdout stays whole.
class Progress : public ComparisonListener {
public:
    explicit Progress(const ComparisonPlan& plan)
        : plan_(plan) {}
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;
    ~Progress() override { write(line_.erase()); }

    void on_run(std::size_t round, const Contender& contender, std::size_t done, std::size_t runs,
                std::optional<std::chrono::nanoseconds> left) override {
        const std::string time = left ? fmt::format(", about {} left", human_duration(*left)) : std::string();
        write(line_.draw(fmt::format("round {} of {}: {} (run {} of {}{})\n", round + 1, plan_.rounds,
                                     printable(contender.label), done + 1, runs, time)));
    }
    void on_void(std::size_t round, const Contender& contender, const Error& why) override {
        write(line_.erase());
        Error shown = why;
        shown.what = fmt::format("round {} of {} does not count: {}", round + 1, contender.label, why.what);
        print_diagnostic(Severity::kWarning, shown);
    }

private:
    void write(const std::string& text) const {
        if (terminal_)
            (void)std::fputs(text.c_str(), stderr);
    }
    const ComparisonPlan& plan_;
    bool terminal_ = ::isatty(STDERR_FILENO) == 1;
    LiveTable line_{STDERR_FILENO};
};

Result<ComparisonPlan> plan_of(const CompareArguments& arguments) {
    ComparisonPlan plan;
    plan.contenders = SCXHOST_TRY(parse_contenders(arguments.what));
    plan.rounds = arguments.rounds;
    if (arguments.rounds < 1 || arguments.rounds > kMostRounds)
        return fail(ErrorKind::kUsage, fmt::format("--rounds: expected a number {}", describe_range(1, kMostRounds)));
    if (arguments.workload.empty() == arguments.command.empty())
        return fail(ErrorKind::kUsage, "expected one workload, by --workload or after --",
                    "--workload builtin:periodic, --workload \"make -j8\", or -- make -j8");
    const auto time = SCXHOST_TRY(duration_option("--time", arguments.time, std::chrono::nanoseconds(1)));
    if (arguments.workload.starts_with(kBuiltinWorkload)) {
        const BuiltinWorkload* found =
            SCXHOST_TRY(find_builtin_workload(std::string_view(arguments.workload).substr(kBuiltinWorkload.size())));
        plan.command = {"/proc/self/exe", std::string(kWorkloadCommand), std::string(found->name),
                        std::to_string(time.count())};
        plan.prints_figures = true;
        plan.workload = fmt::format("{} for {}", arguments.workload, format_duration(time));
    } else if (arguments.command.empty()) {
        plan.command = SCXHOST_TRY(split_command(arguments.workload));
        plan.workload = arguments.workload;
    } else {
        plan.command = arguments.command;
        plan.workload = fmt::format("{}", fmt::join(arguments.command, " "));
    }
    if (arguments.metric.empty())
        return plan;
    try {
        plan.metric.emplace(arguments.metric);
        plan.metric_text = arguments.metric;
    } catch (const std::regex_error& error) {
        return fail(ErrorKind::kUsage,
                    fmt::format("--metric: {} is no regular expression: {}", arguments.metric, error.what()));
    }
    return plan;
}

void print_results(const CompareArguments& arguments, const ComparisonPlan& plan, const Comparison& comparison,
                   const std::string& kernel_release) {
    const std::vector<ComparedFigure> figures = sum_up(comparison, plan.contenders.size());
    if (arguments.control.json) {
        nlohmann::json document = to_json(plan, comparison, figures, kernel_release);
        document["schema"] = kJsonSchema;
        return print_json(document);
    }
    if (!figures.empty())
        print(comparison_table(plan, figures, wants_colour(STDOUT_FILENO)));
    print(
        fmt::format("\n{}, Linux {}: medians of {} rounds, ± half of the distance between the quartiles, ratio to {}\n",
                    printable(plan.workload), kernel_release, plan.rounds, printable(plan.contenders[0].label)));
    const double least = least_mann_whitney_p(plan.rounds, plan.rounds);
    if (least >= kSignificance)
        print(fmt::format("With so few rounds no difference can be told from chance (p is {:.2g} at least); "
                          "--rounds 4 is the least that can\n",
                          least));
}

Result<> write_page(const CompareArguments& arguments, const ComparisonPlan& plan, const Comparison& comparison,
                    const std::string& kernel_release) {
    if (arguments.html.empty())
        return {};
    const std::string page = comparison_page(plan, comparison, sum_up(comparison, plan.contenders.size()),
                                             kernel_release, utc_time(std::chrono::system_clock::now()));
    const UniqueFd file(::open(arguments.html.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!file)
        return fail_errno(ErrorKind::kIo, "cannot write " + arguments.html, errno);
    if (const int error = write_all(file.get(), page); error != 0)
        return fail_errno(ErrorKind::kIo, "cannot write " + arguments.html, error);
    return {};
}

// Without it there are the other figures.
std::optional<WakeupTracer> start_tracer(const CompareArguments& arguments) {
    if (arguments.no_trace)
        return std::nullopt;
    Result<WakeupTracer> tracer = WakeupTracer::start();
    if (tracer)
        return *std::move(tracer);
    Error error = std::move(tracer).error();
    error.what += ", so that there are no wake-up delays, queue lengths and migrations, ignoring";
    print_diagnostic(Severity::kWarning, error);
    return std::nullopt;
}

// Whoever waits for this process learns what ended it.
CommandResult end_by_signal() {
    print_diagnostic(Severity::kNote, {.what = "interrupted; the machine is as it was found"});
    (void)flush_stdout();
    ::signal(Interruption::signal_number(), SIG_DFL);
    ::raise(Interruption::signal_number());
    return ExitStatus::kSchedulerFailed;
}

CommandResult compare_schedulers(const CompareArguments& arguments) {
    const ComparisonPlan plan = SCXHOST_TRY(plan_of(arguments));
    ::signal(SIGPIPE, SIG_IGN); // a reader of our output that goes away must not leave the machine as it is
    const auto interruption = SCXHOST_TRY(Interruption::catch_signals());
    const EventFd& stop = interruption->stop();
    if (!SCXHOST_TRY(try_workload(plan, stop)))
        return end_by_signal();
    ComparedHost host = SCXHOST_TRY(ComparedHost::join({.socket = arguments.control.socket.empty()
                                                                      ? Config::Control{}.socket
                                                                      : std::filesystem::path(arguments.control.socket),
                                                        .plugin_dirs = arguments.plugin_dirs},
                                                       plan.contenders, stop));
    for (const Contender& contender : plan.contenders)
        SCXHOST_TRY(host.check(contender));
    Comparison comparison;
    {
        const std::optional<WakeupTracer> tracer = start_tracer(arguments);
        Progress progress(plan);
        comparison = SCXHOST_TRY(compare(plan, host, tracer ? &*tracer : nullptr, stop, progress));
    }
    Result<> written;
    if (!comparison.runs.empty()) {
        print_results(arguments, plan, comparison, host.kernel_release());
        (void)flush_stdout(); // what ran before comes back only after its probation
        written = write_page(arguments, plan, comparison, host.kernel_release());
    }
    SCXHOST_TRY(host.leave());
    SCXHOST_TRY(std::move(written));
    if (comparison.interrupted)
        return end_by_signal();
    const bool all_ran =
        std::ranges::none_of(comparison.runs, [](const ComparisonRun& run) { return run.failure.has_value(); });
    return all_ran ? ExitStatus::kDone : ExitStatus::kSchedulerFailed;
}

std::string workload_list() {
    std::string text = "Built-in workloads:\n";
    for (const BuiltinWorkload& workload : builtin_workloads())
        text += fmt::format("  {:<18} {}\n", fmt::format("{}{}", kBuiltinWorkload, workload.name), workload.summary);
    return text;
}

} // namespace

CommandResult run_workload_command(std::span<const std::string> arguments) {
    if (arguments.size() != 2)
        return fail(ErrorKind::kUsage, "expected a built-in workload and nanoseconds");
    const BuiltinWorkload* workload = SCXHOST_TRY(find_builtin_workload(arguments[0]));
    const std::int64_t time = SCXHOST_TRY(parse_integer(arguments[1], 1));
    print(format_figures(SCXHOST_TRY(run_builtin_workload(*workload, std::chrono::nanoseconds(time)))));
    return ExitStatus::kDone;
}

void add_compare(CommandLine line) {
    CLI::App* command =
        line.app.add_subcommand("compare", "Run a workload under several schedulers in turn and say what differs");
    const auto arguments = std::make_shared<CompareArguments>();
    command
        ->add_option("WHAT", arguments->what,
                     "\"kernel\" for the kernel's own scheduler, a plugin's name, a configuration (x.toml), an object\n"
                     "(x.bpf.o), a library (x.so), the absolute path of a scheduler program; or NAME@CONFIG, the\n"
                     "scheduler NAME as the configuration has it. The others are compared with the first")
        ->type_name("")
        ->required();
    command
        ->add_option("--workload", arguments->workload,
                     "What is run: builtin:NAME, or a command in one word; or the command stands behind \"--\"")
        ->type_name("WORKLOAD");
    command->add_option("--workload-word", arguments->command)
        ->group("")
        ->allow_extra_args(false)
        ->delimiter('\0')
        ->transform([](const std::string& marked) { return marked.substr(1); }, "");
    command
        ->add_option("--rounds", arguments->rounds,
                     fmt::format("How often each scheduler has its turn (default: {})", kRounds))
        ->type_name("N");
    command->add_option("--time", arguments->time, "How long a built-in workload runs each time (default: 5s)")
        ->type_name("TIME");
    command
        ->add_option("--metric", arguments->metric,
                     "A figure that the workload prints: the number that the expression's first group matches,\n"
                     "in the last line that has one")
        ->type_name("REGEX");
    command
        ->add_option("--html", arguments->html,
                     "Write the comparison as a page, too: one file, to look at without a network")
        ->type_name("FILE");
    command->add_flag("--no-trace", arguments->no_trace,
                      "Leave out the BPF program that counts wake-up delays, queue lengths and migrations");
    add_plugin_dirs(*command, arguments->plugin_dirs);
    add_control(*command, arguments->control);
    command->footer(fmt::format(R"(
Inside a running host the schedulers take turns in its place, and what ran before comes back at the end, also after
Ctrl-C; without one, a host is started for the comparison. A run during which the kernel ended its scheduler does not
count, and the exit status is then 1. docs/compare.md says what the figures and verdicts mean.

{}
Examples:
  scxhost compare kernel simple interactive --workload builtin:periodic
  scxhost compare kernel qmap --workload "make -j8 clean all" --rounds 10
  scxhost compare kernel interactive --workload builtin:mix --html mix.html
  scxhost compare kernel qmap --metric 'score: ([0-9.]+)' -- ./my-benchmark --quick
  scxhost compare kernel simple@fast.toml --workload builtin:mix --json | jq .figures)",
                                workload_list()));
    command->callback(
        [arguments, &chosen = line.chosen] { chosen = [arguments] { return compare_schedulers(*arguments); }; });
}

} // namespace scxhost
