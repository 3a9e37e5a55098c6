// SPDX-License-Identifier: GPL-2.0-only
#include "host/supervisor/supervisor.hpp"

#include "host/base/error_json.hpp"
#include "host/base/suggest.hpp"
#include "host/base/units.hpp"
#include "host/programs/program_cgroup.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <utility>

namespace scxhost {
namespace {

constexpr std::array kEndSignals = {SIGINT, SIGTERM};
// Without uevents an ejection is noticed by looking.
constexpr auto kPollInterval = std::chrono::milliseconds(100);
// How long a host that ends waits for a program that has failed. It has two seconds to say why before it is told to
// end.
constexpr auto kLastWords = std::chrono::seconds(3);

// After the first signal the next one takes its default action: the process ends and the kernel detaches.
void restore_default_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : kEndSignals) {
        if (is_ignored(signal))
            continue;
        ::signal(signal, SIG_DFL);
        sigaddset(&set, signal);
    }
    ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

// The scheduler that is watched also schedules the watcher: one that starves tasks must not keep the supervisor from
// replacing it. Real-time tasks are above sched_ext. Without the right to it things go on as they are.
void rise_above_sched_ext() {
    sched_param parameter{};
    parameter.sched_priority = ::sched_get_priority_min(SCHED_RR);
    (void)::sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &parameter);
}

bool is_machine(std::string_view seat) {
    return seat.empty() || seat == kMachineSeat;
}

Result<> stopped_in_between() {
    return fail(ErrorKind::kBusy, "stop came in between", "scxhost resume goes on");
}

} // namespace

Supervisor::Supervisor(EventLoop& loop, const KernelBtf& kernel, SupervisorSettings settings,
                       SupervisorListener& listener)
    : loop_(loop)
    , kernel_(kernel)
    , settings_(std::move(settings))
    , listener_(listener)
    , reader_(loop) {}

Supervisor::~Supervisor() = default;

Result<RunOutcome> Supervisor::run(const Config& config) {
    start_ = Clock::now();
    SCXHOST_TRY(start(config));
    Result<> ran;
    if (!ended_)
        ran = loop_.run();
    branches_->detach();
    seat_->detach();
    notifier_.stopping();
    worker_->drain(); // incident records are still to be written
    if (!ran)
        return fail(std::move(ran).error());
    const Seat::Outcome& last = seat_->outcome();
    return RunOutcome{.end = end_,
                      .exit = last.exit,
                      .title = last.title,
                      .other_name = last.other_name,
                      .failure = failure_,
                      .duration = Clock::now() - start_};
}

Result<> Supervisor::start(const Config& config) {
    probe_ = SCXHOST_TRY(SchedExtProbe::open());
    SCXHOST_TRY(watch_kernel());
    SCXHOST_TRY(take_signals());
    SCXHOST_TRY(loop_.keep_service_alive());
    if (!settings_.runtime_dir.empty())
        open_rcu(config.swap.expedite_rcu);
    worker_ = SCXHOST_TRY(BackgroundWorker::start(loop_));
    if (!settings_.config_file.empty())
        config_watcher_ = follow(settings_.config_file, FileWatcher::kMaxBytes, [this] { config_changed(); });
    ProgramCgroup::remove_left_behind();
    canary_ = SCXHOST_TRY(Canary::start(loop_));
    pool_.emplace(loop_, *worker_, kernel_, *probe_, settings_.plugin_log,
                  [this](Scheduler& ended) { program_ended(ended); });
    recorder_.emplace(*worker_, [this](const Result<std::string>& path) {
        if (path)
            emit("incident", {{"path", *path}});
        else
            listener_.on_warning(path.error());
    });
    if (Result<KernelLogMark> log = KernelLogMark::open())
        kernel_log_ = *std::move(log);
    rise_above_sched_ext();

    SeatListener& listener = *this; // a private base, which make_unique could not name
    const SeatServices services{.loop = loop_,
                                .probe = *probe_,
                                .pool = *pool_,
                                .recorder = *recorder_,
                                .canary = *canary_,
                                .kernel = kernel_,
                                .rcu = rcu_ ? &*rcu_ : nullptr,
                                .kernel_log = kernel_log_ ? &*kernel_log_ : nullptr,
                                .samples_wanted = settings_.samples_wanted,
                                .events_come = events_come_};
    seat_ = std::make_unique<Seat>(SeatPlace{.name = kMachineSeat}, services, listener);
    branches_.emplace(services, listener, *seat_);
    seat_->start(config);
    return {};
}

// Before the first attach: an ejection right after it must not be missed.
Result<> Supervisor::watch_kernel() {
    Result<UeventMonitor> uevents = UeventMonitor::open();
    if (!uevents) {
        listener_.on_warning(uevents.error());
        return loop_.every(kPollInterval, [this] { check_kernel(); });
    }
    uevents_ = *std::move(uevents);
    return loop_.on_readable(uevents_->fd(), [this] {
        const Result<UeventMonitor::Batch> batch = uevents_->drain();
        // Whatever it was, sysfs and the exit record know: events only say when to look.
        events_come_ = events_come_ || (batch && !batch->events.empty());
        if (!batch || batch->lost || batch->cpus_changed || !batch->events.empty())
            check_kernel();
    });
}

// As often as a callback may take, while something runs that has some.
void Supervisor::look_for_hangs() {
    if (ended_ || !(seat_->can_hang() || branches_->can_hang()))
        return hang_timer_.reset();
    Result<EventLoop::Watch> timer = loop_.timer(PluginAllowances::of_contract().running, [this] {
        if (ended_)
            return;
        seat_->check_hang();
        branches_->check_hang();
        look_for_hangs();
    });
    if (timer)
        hang_timer_ = *std::move(timer);
    else
        listener_.on_warning(timer.error());
}

Result<> Supervisor::take_signals() {
    for (const int signal : kEndSignals)
        SCXHOST_TRY(loop_.on_signal(signal, [this] { finish(RunEnd::kRequested); }));
    // Once a terminal has hung up, it is none any more.
    hangup_ends_ = ::isatty(STDIN_FILENO) == 1 || !settings_.reload;
    return loop_.on_signal(SIGHUP, [this] { on_hangup(); });
}

void Supervisor::open_rcu(bool wanted) {
    Result<RcuExpediting> rcu = RcuExpediting::open(settings_.runtime_dir);
    if (!rcu) {
        if (wanted)
            listener_.on_warning(rcu.error());
        return;
    }
    rcu_ = *std::move(rcu);
    const Result<std::optional<std::string>> old = rcu_->recover();
    if (!old)
        listener_.on_warning(old.error());
    else if (*old)
        emit("rcu-restored",
             {{"value", **old},
              {"message", "a host that died in its swap window had left RCU expedited; it is put back"}});
}

// nullptr: there is none of this name.
Seat* Supervisor::find_seat(const std::string& name) const {
    if (is_machine(name))
        return seat_.get();
    return branches_ ? branches_->find(name) : nullptr;
}

std::uint64_t Supervisor::stops_of(const std::string& seat) const {
    const auto of = [this](std::string_view name) {
        const auto found = stops_.find(name);
        return found == stops_.end() ? 0 : found->second;
    };
    return of(kMachineSeat) + (is_machine(seat) ? 0 : of(seat));
}

Result<> Supervisor::check_seat(const std::string& seat) const {
    if (is_machine(seat) || find_seat(seat) != nullptr)
        return {};
    std::vector<std::string> names = {kMachineSeat};
    if (branches_)
        for (const Seat* branch : branches_->seats())
            names.push_back(branch->name());
    return fail(ErrorKind::kUsage, fmt::format("there is no branch {}", quote_text(seat)),
                suggest_word(seat, names, "branches"));
}

const Config& Supervisor::base_config(const std::string& seat) const {
    static const Config none;
    const Seat* found = find_seat(seat);
    return found != nullptr ? found->base_config() : none;
}

void Supervisor::request(const std::string& seat, ConfigReader::Read read, bool force, AskedCallback asked,
                         OutcomeCallback done) {
    const auto shared_asked = std::make_shared<AskedCallback>(std::move(asked));
    const Result<> reading = reader_.read(std::move(read), [this, seat, force, shared_asked, done = std::move(done),
                                                            stops = stops_of(seat)](Result<Config> config) {
        const auto submit_there = [&]() -> Result<> {
            Config wanted = SCXHOST_TRY(std::move(config));
            SCXHOST_TRY(check_seat(seat)); // it may have gone meanwhile
            return submit(*find_seat(seat), std::move(wanted), force, done);
        };
        (*shared_asked)(stops == stops_of(seat) ? submit_there() : stopped_in_between());
    });
    if (!reading)
        (*shared_asked)(reading);
}

Result<> Supervisor::submit(Seat& seat, Result<Config> config, bool force, OutcomeCallback done,
                            std::shared_ptr<const Config> base) {
    Config wanted = SCXHOST_TRY(std::move(config));
    // Who asked for it meant that cgroup, and may have a say in no other.
    if (wanted.branch.cgroup != seat.place().cgroup)
        return fail(ErrorKind::kBusy, fmt::format("the branch \"{}\" is for another cgroup now", seat.name()),
                    "look at scxhost status, and ask again");
    if (seat.phase() == Phase::kWaiting)
        return fail(ErrorKind::kUsage, fmt::format("the branch \"{}\" waits: {}", seat.name(), seat.missing_place()),
                    "ask again when it is there; scxhost status shows that");
    return seat.request(std::move(wanted), force, std::move(done), std::move(base));
}

void Supervisor::restart(const std::string& seat, AskedCallback asked, OutcomeCallback done) {
    Seat* there = find_seat(seat);
    if (there == nullptr)
        return asked(check_seat(seat));
    std::optional<Config> running = there->running_config();
    if (!running)
        return asked(fail(ErrorKind::kUsage, "there is nothing to start again: no scheduler of the host's runs",
                          "name what to swap to: scxhost swap CONFIG|PLUGIN"));
    asked(submit(*there, *std::move(running), /*force=*/true, std::move(done), there->base()));
}

void Supervisor::reload(const std::string& seat, bool force, AskedCallback asked, OutcomeCallback done) {
    if (Seat* branch = find_seat(seat); branch != nullptr && branch->is_branch())
        return asked(submit(*branch, *branches_->configured(seat), force, std::move(done)));
    if (!settings_.reload)
        return asked(fail(ErrorKind::kUsage, "this host was not started from a configuration file",
                          "name what to swap to: scxhost swap CONFIG|PLUGIN"));
    // For the service manager a reload lasts until what was read runs, or is known not to.
    notifier_.reloading();
    ++reloads_being_read_;
    // Written by the thread that reads, which may go on after it was given up.
    struct Content {
        std::optional<FileVersion> version;
        std::atomic<bool> is_whole = false;
    };
    const auto content = std::make_shared<Content>();
    const auto ended = [this, asked = std::move(asked)](const Result<>& result) {
        --reloads_being_read_;
        end_reload();
        asked(result);
    };
    const Result<> reading = reader_.read(
        [read = settings_.reload, file = settings_.config_file, content] {
            content->version = read_file_version(file, FileWatcher::kMaxBytes).version;
            content->is_whole = true;
            return read();
        },
        [this, force, content, done = std::move(done), ended, stops = stops_of({})](Result<Config> config) {
            ended(stops == stops_of({})
                      ? submit_reload(std::move(config), content->is_whole ? &content->version : nullptr, force, done)
                      : stopped_in_between());
        });
    if (!reading)
        ended(reading);
}

Result<> Supervisor::submit_reload(Result<Config> config, const std::optional<FileVersion>* content, bool force,
                                   const OutcomeCallback& done) {
    // What is asked for is on its way already: the watcher, or somebody else, was a little faster.
    if (content != nullptr && *content && *content == reloading_content_ && reloading_ != 0 && !force &&
        seat_->join(reloading_, done))
        return {};
    Result<> asked = submit(*seat_, std::move(config), force, done);
    // Whoever asked has the answer; what the watcher is about to notice is the same file.
    if (config_watcher_ && content != nullptr && (asked || asked.error().kind != ErrorKind::kBusy))
        config_watcher_->known(*content);
    if (asked) {
        reloading_ = seat_->pending().value_or(0);
        reloading_content_ = content != nullptr ? *content : std::nullopt;
    }
    return asked;
}

void Supervisor::check(ConfigReader::Read read, std::function<void(Result<std::vector<std::string>>)> done) {
    const auto shared_done = std::make_shared<decltype(done)>(std::move(done));
    const Result<> reading = reader_.read(std::move(read), [this, shared_done](Result<Config> config) {
        if (config)
            pool_->check(*std::move(config), std::move(*shared_done));
        else
            (*shared_done)(fail(std::move(config).error()));
    });
    if (!reading)
        (*shared_done)(fail(reading.error()));
}

Result<> Supervisor::stop(const std::string& seat) {
    SCXHOST_TRY(check_seat(seat));
    ++stops_[is_machine(seat) ? std::string(kMachineSeat) : seat];
    find_seat(seat)->stop();
    return {};
}

Result<> Supervisor::resume(const std::string& seat) {
    SCXHOST_TRY(check_seat(seat));
    find_seat(seat)->resume();
    return {};
}

Result<Supervisor::Remembered> Supervisor::remember() const {
    // Whatever ran there instead would have to do without their tasks, or with them, and they without a scheduler.
    if (branches_ && !branches_->seats().empty())
        return fail(ErrorKind::kUsage, "the host runs a tree of schedulers, and only one alone can be set aside",
                    "swap to a configuration without [[below]] first");
    const Phase now = phase();
    const bool runs = now == Phase::kProbation || now == Phase::kGood;
    if (seat_ && !seat_->pending() && (runs || now == Phase::kStopped || now == Phase::kStoodDown))
        return Remembered{.running = seat_->running_config(), .base = seat_->base()};
    return fail(ErrorKind::kBusy,
                fmt::format("what is to run is not decided: the host is in the state {}{}", to_string(now),
                            seat_ && seat_->pending() ? " and prepares" : ""),
                "ask again when scxhost status says good");
}

void Supervisor::restore(const Remembered& remembered, std::function<void(const SwapReport*)> done) {
    if (!remembered.running || seat_->pending())
        (void)stop();
    if (!remembered.running)
        return done(nullptr);
    // Also when it failed meanwhile, and is in quarantine: somebody wanted it, and it ran.
    const auto ended = [this, done](const SwapReport& report) {
        if (!report.outcome)
            return; // nothing is certain yet
        if (report.outcome == SwapOutcome::kRefused || report.outcome == SwapOutcome::kRolledBack)
            (void)stop();
        done(&report);
    };
    if (const Result<> asked = seat_->request(*remembered.running, true, ended, remembered.base); !asked) {
        report(asked.error());
        (void)stop();
        done(nullptr);
    }
}

SeatStatus Supervisor::status() const {
    return seat_->status();
}

std::vector<SeatStatus> Supervisor::branches() const {
    std::vector<SeatStatus> result;
    for (const Seat* seat : branches_->seats())
        result.push_back(seat->status());
    return result;
}

std::vector<Config::Branch> Supervisor::places() const {
    std::vector<Config::Branch> result;
    if (branches_)
        for (const Seat* seat : branches_->seats())
            result.push_back({.name = seat->name(), .cgroup = seat->place().cgroup});
    return result;
}

SeatTotals Supervisor::totals(const std::string& seat) const {
    const Seat* found = find_seat(seat);
    return found != nullptr ? found->totals() : SeatTotals();
}

Result<StatisticsReport> Supervisor::statistics(const std::string& seat) {
    if (!seat_)
        return fail(ErrorKind::kUsage, "no scheduler of this host runs", "scxhost status says why");
    SCXHOST_TRY(check_seat(seat));
    return find_seat(seat)->statistics();
}

Phase Supervisor::phase(const std::string& seat) const {
    const Seat* found = find_seat(seat);
    return found != nullptr ? found->phase() : Phase::kEmpty;
}

// From the top down: what leaves with the one above it has not failed by itself.
void Supervisor::check_kernel() {
    if (ended_ || !branches_)
        return;
    seat_->check_kernel();
    branches_->check_kernel();
}

void Supervisor::on_hangup() {
    if (hangup_ends_)
        return finish(RunEnd::kRequested);
    config_changed();
}

void Supervisor::config_changed() {
    emit("config-changed", {{"file", settings_.config_file.string()}});
    const auto asked = [this, stops = stops_of({})](const Result<>& accepted) {
        if (accepted || stops != stops_of({}))
            return;
        // Once what is under way is through. Where nothing is, too many configurations are being read.
        if (accepted.error().kind == ErrorKind::kBusy && seat_->pending()) {
            reload_due_ = true;
            return;
        }
        emit("config-refused", {{"error", to_json(accepted.error())}, {"running", or_null(seat_->running_title())}});
        report(accepted.error());
    };
    reload({}, false, asked, {});
}

void Supervisor::watch_build(const Seat& seat, const Config& config) {
    Build& build = builds_[seat.name()];
    build.config = config;
    SourceFile source = source_file(config);
    if (source.path == build.file)
        return;
    build.file = std::move(source.path);
    build.watcher = follow(build.file, source.limit, [this, name = seat.name()] { build_changed(name); });
}

std::unique_ptr<FileWatcher> Supervisor::follow(const std::filesystem::path& file, std::size_t limit,
                                                std::function<void()> on_change) {
    Result<std::unique_ptr<FileWatcher>> watcher = FileWatcher::start(
        loop_, *worker_, file,
        {.on_change = std::move(on_change), .on_error = [this](const Error& error) { listener_.on_warning(error); }},
        limit);
    if (watcher)
        return *std::move(watcher);
    listener_.on_warning(watcher.error());
    return nullptr;
}

// A file that is gone is on its way, in a build or an installation that has just begun.
void Supervisor::build_changed(const std::string& name) {
    Build& build = builds_.at(name);
    Seat* seat = find_seat(name);
    std::error_code ignored;
    if (seat == nullptr || !std::filesystem::exists(build.file, ignored))
        return;
    if (seat->phase() == Phase::kWaiting) {
        build.due = true;
        return;
    }
    emit("build-changed", {{"file", build.file.string()}, {"seat", name}});
    const Result<> asked = submit(*seat, build.config, false, {});
    if (!asked && asked.error().kind == ErrorKind::kBusy)
        build.due = true;
    else if (!asked)
        on_seat_error(*seat, asked.error());
}

void Supervisor::program_ended(Scheduler& ended) {
    const std::string& title = ended.facts().title;
    for (const SchedulerNews& news : ended.news())
        if (!news.output.empty())
            emit("output", {{"title", title}, {"text", news.output}});
    const SchedulerProcess process = ended.process().value_or(SchedulerProcess{});
    const ProcessEnd end = ended.wait_for_process_end({}).value_or(ProcessEnd{});
    recorder_->add_end(ended, end);
    emit(
        "program-ended",
        {{"title", title}, {"pid", process.pid}, {"how", end.how}, {"failed", end.failed}, {"output", process.output}});
    if (ended_ && !recorder_->awaits_an_end())
        loop_.stop();
}

void Supervisor::finish(RunEnd end) {
    if (std::exchange(ended_, true))
        return;
    end_ = end;
    pool_->end();
    restore_default_signals();
    // Nothing is detached here: the call may come from within a seat.
    if (!recorder_->awaits_an_end() || !loop_.after({}, [this] { wait_for_last_words(); }))
        loop_.stop();
}

// A failed program tells why when its scheduler has gone already, and its record is to have that. The machine does not
// wait for it: all is detached before.
void Supervisor::wait_for_last_words() {
    branches_->detach();
    seat_->detach();
    if (!recorder_->awaits_an_end() || !loop_.after(kLastWords, [this] { loop_.stop(); }))
        loop_.stop();
}

void Supervisor::end_reload() {
    if (reloads_being_read_ != 0 || (reloading_ != 0 && seat_->pending() == reloading_))
        return;
    reloading_ = 0;
    notifier_.reloaded();
}

void Supervisor::emit(std::string_view name, nlohmann::json fields) {
    fields["event"] = name;
    fields["time"] = utc_time(std::chrono::system_clock::now());
    listener_.on_event(fields);
}

void Supervisor::report(const Error& error) {
    failure_ = error;
    listener_.on_error(error);
}

void Supervisor::on_seat_event(std::string_view event, nlohmann::json fields) {
    emit(event, std::move(fields));
}

void Supervisor::on_seat_error(const Seat& seat, const Error& error) {
    if (!seat.is_branch())
        return report(error);
    Error named = error;
    named.what = fmt::format("{}: {}", seat.name(), error.what);
    listener_.on_error(named);
}

void Supervisor::on_seat_warning(const Error& error) {
    listener_.on_warning(error);
}

void Supervisor::on_seat_note(std::string_view scheduler, std::string_view note) {
    listener_.on_note(scheduler, note);
}

void Supervisor::on_seat_sample(const Seat& seat, const StatisticsSample& sample) {
    if (!listener_.on_sample(seat.name(), sample))
        finish(RunEnd::kRequested);
}

void Supervisor::on_seat_enabled(const Seat& seat) {
    look_for_hangs();
    if (seat.is_branch() || std::exchange(ever_enabled_, true))
        return;
    start_ = Clock::now();
    notifier_.ready();
    if (!settings_.duration)
        return;
    if (const Result<> timer = loop_.after(*settings_.duration, [this] { finish(RunEnd::kTimeUp); }); !timer)
        listener_.on_warning(timer.error());
}

void Supervisor::on_seat_adopted(const Seat& seat, const Config& config) {
    if (settings_.watch)
        watch_build(seat, config);
    if (seat.is_branch())
        return;
    listener_.on_config(config);
    branches_->follow(config);
}

// Each detach waits for a grace period, as in the window.
void Supervisor::on_seat_leaving(const Seat& seat) {
    if (!branches_->run_below(seat))
        return branches_->lose_places_below(seat);
    const bool raised = rcu_ && seat.base_config().swap.expedite_rcu && rcu_->raise();
    branches_->lose_places_below(seat);
    if (raised)
        rcu_->restore();
}

// Who watches a build waits for the next one, also when the first did not even start. Without a branch, the scheduler
// above it has its tasks.
bool Supervisor::stays_after(const Seat& seat, StandDownReason reason) {
    if (seat.is_branch() || (settings_.watch && (ever_enabled_ || reason != StandDownReason::kForeign)))
        return true;
    return settings_.stay && ever_enabled_;
}

void Supervisor::on_seat_stood_down(const Seat& seat, StandDownReason reason) {
    if (stays_after(seat, reason))
        return;
    if (!ever_enabled_)
        return finish(RunEnd::kFailed);
    finish(reason == StandDownReason::kForeign ? RunEnd::kReplaced : RunEnd::kLeft);
}

void Supervisor::on_seat_settled(const Seat& seat) {
    if (reloading_ != 0)
        end_reload();
    branches_->look_at_places();
    if (const auto build = builds_.find(seat.name());
        build != builds_.end() && build->second.due && !ended_ && !seat.pending()) {
        build->second.due = false;
        build_changed(seat.name());
    }
    if (seat.is_branch())
        return;
    // For the service manager's own status display.
    const std::string title = seat_->running_title();
    notifier_.status(fmt::format("{}{}{}", to_string(seat_->phase()), title.empty() ? "" : ": ", title));
    if (!ended_ && !seat_->pending() && std::exchange(reload_due_, false))
        config_changed();
}

} // namespace scxhost
