// SPDX-License-Identifier: GPL-2.0-only
//
// `scxhost check`: everything that can be known without attaching. Works without root and without sched_ext; then it
// says what it could not check and why.
#include "host/base/error_json.hpp"
#include "host/base/suggest.hpp"
#include "host/bpf/machine_facts.hpp"
#include "host/cli/command.hpp"
#include "host/cli/control.hpp"
#include "host/cli/diagnostic.hpp"
#include "host/cli/log.hpp"
#include "host/cli/standard_output.hpp"
#include "host/cli/terminal.hpp"
#include "host/control/delegation.hpp"
#include "host/control/server.hpp"
#include "host/kernel/cgroup.hpp"
#include "host/kernel/kernel_release.hpp"
#include "host/kernel/preflight.hpp"
#include "host/plugins/plugin_directory.hpp"
#include "host/programs/program_rights.hpp"
#include "host/supervisor/prepared_scheduler.hpp"
#include "host/supervisor/scheduler_pool.hpp"
#include "host/supervisor/tree_check.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <optional>

namespace scxhost {
namespace {

using Outcome = PreflightItem::Outcome;

constexpr std::chrono::seconds kAnswerTime{2}; // of a host that runs

struct CheckArguments {
    Selection selection;
    bool json = false;
};

struct Item {
    std::string name;
    Outcome outcome = Outcome::kPassed;
    std::string text; // what was found, or why it was not checked
    std::optional<Error> error;
};

class Report {
public:
    // What comes now is about this branch.
    void speak_of(const std::string& branch) { prefix_ = branch + ": "; }
    void passed(const std::string& name, std::string text) {
        items_.push_back({prefix_ + name, Outcome::kPassed, std::move(text), {}});
    }
    void skipped(const std::string& name, std::string why) {
        items_.push_back({prefix_ + name, Outcome::kNotChecked, std::move(why), {}});
    }
    void failed(const std::string& name, Error error) {
        items_.push_back({prefix_ + name, Outcome::kFailed, error.what, std::move(error)});
    }
    // Adds the outcome of one step; true when it passed.
    template <typename T>
    bool step(const std::string& name, const Result<T>& result, std::string text) {
        if (result)
            passed(name, std::move(text));
        else
            failed(name, result.error());
        return result.has_value();
    }

    // The status of the first failure.
    [[nodiscard]] ExitStatus status() const {
        for (const Item& item : items_)
            if (item.error)
                return exit_status(item.error->kind);
        return ExitStatus::kDone;
    }

    void print_text() const {
        const bool colour = wants_colour(STDOUT_FILENO);
        std::vector<std::vector<std::string>> rows;
        for (const Item& item : items_) {
            switch (item.outcome) {
            case Outcome::kPassed:
                rows.push_back({paint("ok         ", kGreen, colour), item.name, printable(item.text)});
                break;
            case Outcome::kFailed:
                rows.push_back({paint("FAILED     ", kRed, colour), item.name, "see below"});
                break;
            case Outcome::kNotChecked:
                rows.push_back({paint("not checked", kYellow, colour), item.name, printable(item.text)});
                break;
            }
        }
        print(format_table(rows));
        (void)flush_stdout();
        for (const Item& item : items_)
            if (item.error)
                print_diagnostic(Severity::kError, *item.error);
    }

    void print_as_json() const {
        nlohmann::json items = nlohmann::json::array();
        for (const Item& item : items_) {
            nlohmann::json entry = {{"name", item.name}, {"outcome", to_string(item.outcome)}, {"text", item.text}};
            if (item.error)
                entry["error"] = to_json(*item.error);
            items.push_back(std::move(entry));
        }
        print_json({{"schema", kJsonSchema},
                    {"ok", status() == ExitStatus::kDone},
                    {"exit_status", static_cast<int>(status())},
                    {"items", std::move(items)}});
    }

private:
    std::string prefix_;
    std::vector<Item> items_;
};

// Adds what preflight found; returns the kernel's BTF if a scheduler can be measured against it.
const KernelBtf* add_preflight(Report& report, const PreflightReport& preflight) {
    bool has_sched_ext = true;
    for (const PreflightItem& item : preflight.items) {
        switch (item.outcome) {
        case Outcome::kPassed:
            report.passed(std::string(item.name), "");
            break;
        case Outcome::kFailed:
            // Not attached, so a scheduler that runs now or a missing right is no failure of what was asked.
            if (item.error->kind == ErrorKind::kBusy || item.error->kind == ErrorKind::kPermission)
                report.skipped(std::string(item.name), item.error->what);
            else
                report.skipped(std::string(item.name), item.error->what + " (not needed for checking)");
            has_sched_ext = has_sched_ext && item.error->kind != ErrorKind::kUnsupported;
            break;
        case Outcome::kNotChecked:
            report.skipped(std::string(item.name), item.reason);
            break;
        }
    }
    return has_sched_ext && preflight.btf ? &*preflight.btf : nullptr;
}

// The kernel runs such programs only when it is asked to, which an object's own loading program did.
void add_programs_for_nobody(Report& report, const PreparedScheduler& scheduler) {
    std::vector<std::string> names;
    for (const OtherPrograms::Program& program : scheduler.object().other_programs())
        if (program.section.starts_with("syscall") && !scheduler.setup().runs(program.name))
            names.push_back(program.name);
    if (!names.empty())
        report.passed("note",
                      fmt::format("nobody runs the syscall {} {}; what its loading program did with {} is not done",
                                  names.size() == 1 ? "program" : "programs", list_words(names, "and"),
                                  names.size() == 1 ? "it" : "them"));
}

// One element is what an array has whose number of them is its loading program's to say.
void add_unsized_arrays(Report& report, const PreparedScheduler& scheduler, const std::vector<Setting>& sizes) {
    std::vector<std::string> names = scheduler.object().growing_arrays();
    std::erase_if(names, [&](const std::string& name) {
        return std::ranges::any_of(
            sizes, [&](const Setting& size) { return machine_target(size.key).value_or(size.key) == name; });
    });
    if (!names.empty())
        report.passed("note", fmt::format("{} {} one element; its loading program may have given {} more, as "
                                          "[scheduler.sizes] can",
                                          list_words(names, "and"), names.size() == 1 ? "has" : "have",
                                          names.size() == 1 ? "it" : "them"));
}

// Where a branch would be, and whether it could be there now.
std::string describe_place(const Config& root, std::size_t branch) {
    const Config::Branch& place = root.below[branch].branch;
    const std::optional<std::size_t> above = find_branch_above(root.below, branch);
    std::string text =
        fmt::format("{}, below {}", place.cgroup, above ? root.below[*above].branch.name : "the machine's");
    if (!find_cgroup(place.cgroup))
        text += place.create ? "; the host makes this cgroup" : "; there is no such cgroup yet: it is waited for";
    return text;
}

// One of root.below, or the machine's scheduler.
void check_scheduler(Report& report, const Config& root, std::optional<std::size_t> branch,
                     const PreflightReport& preflight, const KernelBtf* kernel) {
    const Config config = branch ? branch_config(root, root.below[*branch]) : root;
    Result<std::unique_ptr<PreparedScheduler>> scheduler = PreparedScheduler::open(config);
    if (!report.step("plugin or object", scheduler, scheduler ? (*scheduler)->path().string() : ""))
        return;
    const Result<> bound = (*scheduler)->bind_options(config, kernel);
    if (!report.step("options", bound,
                     fmt::format("{} set, {} known", config.scheduler.options.size(),
                                 (*scheduler)->object().declarations().options.size())))
        return;
    if (branch && !report.step("place", (*scheduler)->check_branch(config, kernel), describe_place(root, *branch)))
        return;
    for (const auto& [key, value] : (*scheduler)->setup_texts())
        report.passed("setup", fmt::format("{} = {}", key, value));
    if (const auto late = note_late_watchdog((*scheduler)->facts(), config.swap.probation))
        report.passed("note", *late);
    if (kernel == nullptr) {
        report.skipped("fit to this kernel", "this machine's kernel cannot run sched_ext schedulers");
    } else {
        const Result<> fitted = (*scheduler)->fit(*kernel);
        if (!report.step("fit to this kernel", fitted, kernel_release()))
            return;
        for (const std::string& note : (*scheduler)->notes())
            report.passed("note", note);
        if (!root.below.empty() && !report.step("what is below it", check_above(**scheduler, root, branch), ""))
            return;
    }
    if (!(*scheduler)->plugin_info()) { // a plugin's user-space half may see to both
        add_programs_for_nobody(report, **scheduler);
        add_unsized_arrays(report, **scheduler, config.scheduler.sizes);
    }
    const Result<> configured = (*scheduler)->configure(Log(config.log.level).plugin_sink());
    if (!report.step("plugin's own checks", configured, (*scheduler)->plugin_info() ? "" : "none: a bare object"))
        return;
    if (kernel == nullptr || preflight.first_failure() != nullptr) {
        const PreflightItem* failure = preflight.first_failure();
        if (failure == nullptr || failure->error->kind != ErrorKind::kBusy) {
            report.skipped("verifier", failure == nullptr ? "this kernel cannot" : failure->error->what);
            return;
        }
    }
    report.step("verifier", (*scheduler)->load(), "loaded and verified, not attached");
}

// Starts it, has it wait where it asks to attach, and ends it again.
Result<std::vector<std::string>> hold_program(const Config& config, const KernelBtf& kernel) {
    EventLoop loop = SCXHOST_TRY(EventLoop::make());
    const SchedExtProbe probe = SCXHOST_TRY(SchedExtProbe::open());
    const std::unique_ptr<BackgroundWorker> worker = SCXHOST_TRY(BackgroundWorker::start(loop));
    SchedulerPool pool(loop, *worker, kernel, probe, {});
    std::optional<Result<std::vector<std::string>>> answer;
    pool.check(config, [&answer](Result<std::vector<std::string>> notes) { answer = std::move(notes); });
    while (!answer || pool.is_ending())
        SCXHOST_TRY(loop.turn(std::chrono::seconds(1)));
    return *std::move(answer);
}

// Who may host programs differs: a service has other rights than the shell of its administrator. A host that runs says
// what it may.
void add_running_host(Report& report, const Config& config) {
    Result<ControlClient> client = ControlClient::connect(config.control.socket);
    const Result<nlohmann::json> status =
        client ? client->call("status", nlohmann::json::object(), std::chrono::steady_clock::now() + kAnswerTime)
               : fail(client.error());
    if (!status)
        return; // there is none, or none that answers this user
    const nlohmann::json& programs = member(*status, "programs");
    const nlohmann::json& lacking = member(programs, "error");
    constexpr const char* kItem = "rights of the running host";
    if (!programs.is_object())
        report.skipped(kItem, "its version does not tell");
    else if (lacking.is_object())
        report.failed(kItem, error_from_json(lacking));
    else
        report.passed(kItem, fmt::format("process {}", integer_in(*status, "pid")));
}

void check_program(Report& report, const Config& config, const PreflightReport& preflight, const KernelBtf* kernel) {
    const auto found = ExecutableFile::open(config.scheduler.program);
    if (!report.step("program", found, found ? (*found)->path().string() : ""))
        return;
    add_running_host(report, config);
    const PreflightItem* failure = preflight.first_failure();
    constexpr const char* kStart = "start, up to its attach";
    if (kernel == nullptr || (failure != nullptr && failure->error->kind != ErrorKind::kBusy)) {
        report.skipped(kStart, failure == nullptr ? "this kernel cannot" : failure->error->what);
        return;
    }
    if (const Result<> rights = check_program_rights(); !rights) {
        report.skipped(kStart, rights.error().what);
        return;
    }
    const Result<std::vector<std::string>> notes = hold_program(config, *kernel);
    if (!report.step(kStart, notes, "it loaded its scheduler, was held, and has ended"))
        return;
    for (const std::string& note : *notes)
        report.passed("note", note);
}

// Whether there are the users and the plugins that the rules name.
Result<> check_delegates(const Config& config) {
    SCXHOST_TRY(Delegation::make(config));
    for (const Config::Delegate& delegate : config.delegates)
        for (const std::string& plugin : delegate.plugins)
            if (Result<PluginFile> found = find_plugin(config.host.plugin_dirs, plugin); !found) {
                found.error().what = "[[delegate]]: " + found.error().what;
                found.error().where = delegate.where;
                return fail(std::move(found).error());
            }
    return {};
}

std::string describe_groups(const Config& config) {
    std::string text;
    for (const auto& [key, name] :
         {std::pair("control.group", &config.control.group), std::pair("control.readers", &config.control.readers)})
        if (!name->empty())
            text += fmt::format("{}{} = {}", text.empty() ? "" : ", ", key, *name);
    return text;
}

// From the top down.
void check_tree(Report& report, const Config& config, const PreflightReport& preflight, const KernelBtf* kernel) {
    if (!config.scheduler.program.empty())
        check_program(report, config, preflight, kernel);
    else
        check_scheduler(report, config, std::nullopt, preflight, kernel);
    if (config.below.empty())
        return;
    report.step("tree", check_shape(config, kernel), fmt::format("{} branches", config.below.size()));
    if (!config.delegates.empty())
        report.step("delegates", check_delegates(config), fmt::format("{} rules", config.delegates.size()));
    for (std::size_t i = 0; i < config.below.size(); ++i) {
        report.speak_of(config.below[i].branch.name);
        const Config branch = branch_config(config, config.below[i]);
        if (!branch.scheduler.program.empty())
            check_program(report, branch, preflight, kernel);
        else
            check_scheduler(report, config, i, preflight, kernel);
    }
}

CommandResult check(const CheckArguments& arguments) {
    Report report;
    const Result<Config> config = select_config(arguments.selection);
    const bool has_config = report.step(
        "configuration", config, arguments.selection.what + arguments.selection.object + arguments.selection.program);
    const PreflightReport preflight = preflight_report();
    const KernelBtf* kernel = add_preflight(report, preflight);
    if (const std::string groups = has_config ? describe_groups(*config) : ""; !groups.empty())
        report.step("groups", find_control_groups(*config), groups);
    if (has_config)
        check_tree(report, *config, preflight, kernel);
    if (arguments.json)
        report.print_as_json();
    else
        report.print_text();
    return report.status();
}

} // namespace

void add_check(CommandLine line) {
    CLI::App* command = line.app.add_subcommand("check", "Check a scheduler and its configuration without attaching");
    const auto arguments = std::make_shared<CheckArguments>();
    add_selection(*command, arguments->selection,
                  "Configuration (x.toml), compiled sched_ext object (x.bpf.o), plugin library (x.so)\n"
                  "or the name of an installed plugin",
                  /*required=*/true, /*with_program=*/true);
    command->add_flag("--json", arguments->json, "JSON in place of text");
    command->footer("\nWorks without root and on any kernel; what could not be checked is listed with the reason. The "
                    "exit status is\nthat of the first failure.\n\nExamples:\n  scxhost check my.toml\n"
                    "  scxhost check --object ./mine.bpf.o --set slice_ns=5000000");
    command->callback([arguments, &chosen = line.chosen] { chosen = [arguments] { return check(*arguments); }; });
}

} // namespace scxhost
