// SPDX-License-Identifier: GPL-2.0-only
#include "host/supervisor/supervisor.hpp"

#include "host/base/error_json.hpp"
#include "host/kernel/kernel_log.hpp"
#include "host/kernel/preflight.hpp"
#include "host/supervisor/incidents.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sched.h>
#include <signal.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <random>
#include <utility>

namespace scxhost {
namespace {

constexpr std::array kEndSignals = {SIGINT, SIGTERM};
// Without uevents an ejection is noticed by looking.
constexpr auto kPollInterval = std::chrono::milliseconds(100);
// With the worker, of which all but one were superseded.
constexpr std::ptrdiff_t kMaxPreparing = 4;

// The end of the kernel's log that goes into an incident record.
constexpr std::size_t kIncidentLogBytes = 64U << 10U;

// After the first signal the next one takes its default action: the process ends and the kernel detaches.
void restore_default_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
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

// Whether a sub-scheduler failed for its place and not by itself: the system call failed, or the kernel ended it on its
// parent's account (7.3.4: "parent bypassing", "parent disabled", "parent rejected").
bool lost_its_place(const Error& error, const ExitReport& exit) {
    return exit.left()
               ? exit.kind == static_cast<std::uint32_t>(ExitKind::kError) && exit.message.starts_with("parent ")
               : error.sys_errno != 0;
}

// Threads on the machine: /proc/loadavg holds "0.00 0.01 0.05 1/123 4567".
std::size_t count_tasks() {
    std::ifstream file("/proc/loadavg");
    std::string ignored;
    std::size_t runnable = 0;
    std::size_t all = 0;
    char slash = 0;
    file >> ignored >> ignored >> ignored >> runnable >> slash >> all;
    return file ? all : 0;
}

LifecycleSettings lifecycle_settings(const Config& config) {
    return {.probation = config.swap.probation,
            .failure_limit = static_cast<std::size_t>(config.restart.limit),
            .failure_window = config.restart.window,
            .delay = config.restart.delay,
            .max_delay = config.restart.max_delay};
}

std::function<double()> random_source() {
    return [engine = std::minstd_rand(std::random_device{}()),
            distribution = std::uniform_real_distribution<double>(0.0, 1.0)]() mutable { return distribution(engine); };
}

std::string label_of(const Config& config) {
    return config.scheduler.object.empty() ? config.scheduler.plugin : config.scheduler.object.filename().string();
}

std::optional<PluginHang> hang_of(const PreparedScheduler& scheduler) {
    return scheduler.plugin() == nullptr ? std::nullopt : scheduler.plugin()->hang();
}

std::string_view stand_down_text(StandDownReason reason) {
    switch (reason) {
    case StandDownReason::kOperator:
        return "SysRq-S ended it";
    case StandDownReason::kForeign:
        return "somebody else's scheduler runs";
    case StandDownReason::kNothingLeft:
        return "no good scheduler and no fallback is left to try";
    case StandDownReason::kTooManyFailures:
        break;
    }
    return "too many failures in a short time (restart.limit)";
}

} // namespace

struct Supervisor::Loaded {
    Result<std::unique_ptr<PreparedScheduler>> scheduler;
    std::optional<StatisticsReader> statistics;
    std::uint64_t hotplug_seq = 0;
    std::chrono::nanoseconds time{};
};

Supervisor::Supervisor(EventLoop& loop, const KernelBtf& kernel, SupervisorSettings settings,
                       SupervisorListener& listener)
    : loop_(loop)
    , kernel_(kernel)
    , settings_(std::move(settings))
    , listener_(listener)
    , lifecycle_({}, random_source()) {}

Supervisor::~Supervisor() = default;

Result<RunOutcome> Supervisor::run(const Config& config) {
    start_ = Clock::now();
    SCXHOST_TRY(start(config));
    if (!ended_)
        SCXHOST_TRY(loop_.run());
    if (running_)
        detach_running();
    outcome_.duration = Clock::now() - start_;
    (void)::sd_notify(0, "STOPPING=1");
    worker_->drain(); // incident records are still to be written
    return std::move(outcome_);
}

Result<> Supervisor::start(const Config& config) {
    probe_ = SCXHOST_TRY(SchedExtProbe::open());
    hotplug_seq_ = probe_->hotplug_seq();
    // Before the first attach: an ejection right after it must not be missed.
    Result<UeventMonitor> uevents = UeventMonitor::open();
    if (uevents) {
        uevents_ = *std::move(uevents);
        SCXHOST_TRY(loop_.on_readable(uevents_->fd(), [this] { on_uevents(); }));
    } else {
        listener_.on_warning(uevents.error());
        SCXHOST_TRY(loop_.every(kPollInterval, [this] { look(); }));
    }
    for (const int signal : kEndSignals)
        SCXHOST_TRY(loop_.on_signal(signal, [this] { finish(RunEnd::kRequested); }));
    SCXHOST_TRY(loop_.on_signal(SIGHUP, [this] { on_hangup(); }));
    SCXHOST_TRY(loop_.keep_service_alive());
    SCXHOST_TRY(loop_.every(PluginAllowances::of_contract().running, [this] { check_plugin(); }));

    if (!settings_.runtime_dir.empty()) {
        Result<RcuExpediting> rcu = RcuExpediting::open(settings_.runtime_dir);
        if (rcu) {
            rcu_ = *std::move(rcu);
            const Result<std::optional<std::string>> old = rcu_->recover();
            if (!old)
                listener_.on_warning(old.error());
            else if (*old)
                emit("rcu-restored", {{"value", **old},
                                      {"message", "a host that died in its swap window had left RCU expedited; "
                                                  "it is put back"}});
        } else if (config.swap.expedite_rcu) {
            listener_.on_warning(rcu.error());
        }
    }
    worker_ = SCXHOST_TRY(BackgroundWorker::start(loop_));
    if (!settings_.config_file.empty())
        config_watcher_ = follow(settings_.config_file, FileWatcher::kMaxBytes, [this] { config_changed(); });
    rise_above_sched_ext();

    base_ = std::make_shared<Config>(config);
    const SchedulerId id = add_spec(config);
    adopt(id);
    arm_interval();
    specs_[id].waited_for = true;
    tell(event::Requested{id});
    return {};
}

// What the host itself is to do differently from now on.
void Supervisor::adopt(SchedulerId id) {
    const Spec& spec = specs_.at(id);
    const Config config = spec.config;
    base_ = spec.base;
    settings_of_ = spec.settings_of;
    lifecycle_.configure(lifecycle_settings(config));
    expedite_ = config.swap.expedite_rcu;
    interval_ = config.stats.interval;
    fallbacks_.clear();
    for (const std::string& name : config.host.fallback) {
        Config fallback = config.without_scheduler();
        fallback.scheduler.plugin = name;
        fallbacks_.push_back(add_spec(std::move(fallback)));
        specs_.at(fallbacks_.back()).settings_of = settings_of_; // they are the same but for the scheduler
    }
    lifecycle_.set_fallbacks(fallbacks_);
    if (settings_.watch)
        watch_build(config);
}

SchedulerId Supervisor::add_spec(Config config) {
    const SchedulerId id = ++last_id_;
    Spec& spec = specs_[id];
    spec.label = label_of(config);
    // A file says it all; what comes by name, or as a fallback, has the rest from what there was.
    spec.base = config.name.empty() ? base_ : std::make_shared<Config>(config);
    spec.settings_of = id;
    spec.report.to = spec.label;
    spec.config = std::move(config);
    return id;
}

Result<> Supervisor::request(Config config, bool force, OutcomeCallback done) {
    const std::optional<SchedulerId> pending = lifecycle_.pending();
    if (pending && specs_.at(*pending).waited_for)
        return fail(ErrorKind::kBusy, fmt::format("{} is being prepared just now", specs_.at(*pending).label),
                    "ask again when its outcome is known, or stop it first: scxhost stop");
    // Who asks and stops in turn must not fill the memory with what nobody waits for any more.
    const auto under_way = std::ranges::count_if(specs_, [](const auto& entry) { return entry.second.preparing > 0; });
    if (under_way >= kMaxPreparing)
        return fail(ErrorKind::kBusy, fmt::format("{} earlier requests are still being prepared", under_way),
                    "ask again in a moment");
    const SchedulerId id = add_spec(std::move(config));
    Spec& spec = specs_.at(id);
    spec.waited_for = true;
    if (done)
        spec.callbacks.push_back(std::move(done));
    tell(event::Requested{id, force});
    return {};
}

Result<> Supervisor::reload(bool force, OutcomeCallback done) {
    if (!settings_.reload)
        return fail(ErrorKind::kUsage, "this host was not started from a configuration file",
                    "name what to swap to: scxhost swap CONFIG|PLUGIN");
    std::optional<FileVersion> content;
    if (config_watcher_)
        content = config_watcher_->version();
    // What is asked for is on its way already: the watcher, or somebody else, was a little faster.
    if (content && content == reloading_content_ && reloading_ != 0 && lifecycle_.pending() == reloading_ && !force) {
        if (done)
            specs_.at(reloading_).callbacks.push_back(std::move(done));
        return {};
    }
    // For the service manager a reload lasts until what was read runs, or is known not to.
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    if (ever_enabled_)
        (void)::sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", now.tv_sec * 1'000'000LL + now.tv_nsec / 1000);
    Result<Config> config = settings_.reload();
    Result<> asked;
    if (config)
        asked = request(*std::move(config), force, std::move(done));
    else
        asked = fail(std::move(config).error());
    // Whoever asked has the answer; what the watcher is about to notice is the same file.
    if (config_watcher_ && (asked || asked.error().kind != ErrorKind::kBusy))
        config_watcher_->known(content);
    if (asked) {
        reloading_ = lifecycle_.pending().value_or(0);
        reloading_content_ = content;
    }
    end_reload();
    return asked;
}

void Supervisor::check(Config config, std::function<void(Result<std::vector<std::string>>)> done) {
    worker_->submit([this, config = std::move(config), done = std::move(done), log = settings_.plugin_log] {
        const auto scheduler = PreparedScheduler::prepare(config, kernel_, probe_->hotplug_seq(), log);
        Result<std::vector<std::string>> answer = fail(ErrorKind::kInternal, "");
        if (scheduler)
            answer = (*scheduler)->notes();
        else
            answer = fail(scheduler.error());
        return BackgroundWorker::Completion([done, answer = std::move(answer)] { done(answer); });
    });
}

void Supervisor::stop() {
    tell(event::StopRequested{});
    emit("stopped", {{"message", "stopped by the operator; the kernel's own scheduler runs"}});
}

void Supervisor::resume() {
    emit("resumed", {{"message", "resumed by the operator; failures are forgotten"}});
    tell(event::ResumeRequested{});
}

// Events that come up while actions are carried out wait for their turn; the answer to a switch comes first.
void Supervisor::tell(const Event& event) {
    events_.push_back(event);
    if (telling_)
        return;
    telling_ = true;
    while (!events_.empty()) {
        const Event next = std::move(events_.front());
        events_.pop_front();
        for (const Action& action : lifecycle_.handle(next, Clock::now()))
            std::visit([this](const auto& step) { carry_out(step); }, action);
    }
    telling_ = false;
    forget_unused();
    say_state();
    if (lifecycle_.pending())
        return;
    if (std::exchange(reload_wanted_, false))
        config_changed();
    else if (std::exchange(rebuild_wanted_, false))
        build_changed();
}

void Supervisor::forget_unused() {
    std::erase_if(specs_, [this](const auto& entry) {
        const Spec& spec = entry.second;
        return spec.preparing == 0 && !spec.scheduler && !lifecycle_.refers_to(entry.first) &&
               std::ranges::find(fallbacks_, entry.first) == fallbacks_.end();
    });
}

void Supervisor::carry_out(const action::Prepare& step) {
    Spec& spec = specs_.at(step.id);
    unload(spec);
    ++spec.preparing;
    emit("preparing", {{"scheduler", spec.label}});
    // A fallback has all of its owner's settings but the scheduler's own, and so not its cgroup.
    const auto owner = specs_.find(spec.settings_of);
    const bool stands_in_below = owner != specs_.end() && owner->second.sub_cgroup != 0;
    worker_->submit([this, id = step.id, config = spec.config, log = settings_.plugin_log, stands_in_below] {
        const Clock::time_point begin = Clock::now();
        const std::uint64_t hotplug_seq = probe_->hotplug_seq();
        auto loaded = std::make_shared<Loaded>();
        // What is still to be prepared when the host ends would only keep it waiting.
        if (ended_)
            loaded->scheduler = fail(ErrorKind::kInternal, "the host is ending");
        else
            loaded->scheduler = PreparedScheduler::prepare(config, kernel_, hotplug_seq, log);
        loaded->hotplug_seq = hotplug_seq;
        if (loaded->scheduler && stands_in_below && sub_cgroup_of((*loaded->scheduler)->object()) == 0)
            loaded->scheduler =
                fail(ErrorKind::kConfig,
                     fmt::format("'{}' would take the whole machine in place of a sub-scheduler", label_of(config)),
                     "leave host.fallback empty here: the scheduler above takes the cgroup's tasks");
        if (loaded->scheduler) {
            Result<StatisticsReader> statistics = StatisticsReader::make((*loaded->scheduler)->object());
            if (statistics)
                loaded->statistics = *std::move(statistics);
            else
                loaded->scheduler = fail(std::move(statistics).error());
        }
        loaded->time = Clock::now() - begin;
        return BackgroundWorker::Completion([this, id, loaded] { prepared(id, std::move(*loaded)); });
    });
}

void Supervisor::prepared(SchedulerId id, Loaded loaded) {
    Spec& spec = specs_.at(id);
    --spec.preparing;
    spec.report.prepare = loaded.time;
    if (ended_)
        return;
    if (!loaded.scheduler) {
        spec.report.error = std::move(loaded.scheduler).error();
        emit("prepare-failed", {{"scheduler", spec.label}, {"error", to_json(*spec.report.error)}});
        report(*spec.report.error);
        return tell(event::PrepareFailed{id});
    }
    unload(spec);
    spec.scheduler = *std::move(loaded.scheduler);
    spec.sub_cgroup = sub_cgroup_of(spec.scheduler->object());
    spec.statistics = std::move(loaded.statistics);
    spec.hotplug_seq = loaded.hotplug_seq;
    if (const Plugin* plugin = spec.scheduler->plugin()) {
        Result<EventLoop::Watch> watch = loop_.watch(plugin->fd(), {}, [this, id] { plugin_answered(id); });
        if (watch)
            spec.plugin_answers = *std::move(watch);
        else
            listener_.on_warning(watch.error());
    }
    spec.label = spec.report.to = spec.scheduler->title();
    const std::string build = spec.scheduler->object().build_id();
    if (lifecycle_.quarantined_builds().contains(build) && spec.waited_for && !spec.report.error)
        spec.report.error =
            Error{.kind = ErrorKind::kBusy,
                  .what = fmt::format("this build of {} is quarantined: {}", spec.label, quarantine_[build].reason),
                  .hint = "rebuild it, or insist: scxhost swap --force"};
    if (!ever_enabled_)
        for (const std::string& note : spec.scheduler->notes())
            listener_.on_note(spec.scheduler->object().name(), note);
    tell(event::Prepared{id, build});
}

void Supervisor::unload(Spec& spec) {
    spec.statistics.reset();
    spec.plugin_answers.reset();
    if (!spec.scheduler)
        return;
    // Closing programs and maps, and the plugin's end, take their time.
    worker_->submit([scheduler = std::move(spec.scheduler)]() mutable {
        scheduler.reset();
        return BackgroundWorker::Completion();
    });
}

void Supervisor::carry_out(const action::Release& step) {
    if (const auto spec = specs_.find(step.id); spec != specs_.end())
        unload(spec->second);
}

void Supervisor::carry_out(const action::Switch& step) {
    Spec& to = specs_.at(step.to);
    Spec* from = running_ ? &specs_.at(running_->id) : nullptr;
    to.report.from = from != nullptr ? from->label : "";
    // The kernel would refuse it; and nothing need be touched to find out.
    if (to.hotplug_seq != probe_->hotplug_seq()) {
        events_.push_front(event::SwitchFailed{event::SwitchFailed::Cause::kTopology, running_.has_value()});
        return;
    }
    std::optional<Attached> from_attached;
    if (from != nullptr) {
        if (from->scheduler->plugin() != nullptr)
            tolerate(from->scheduler->plugin()->call(PluginCallback::kDetaching));
        from_attached = std::move(running_->attached);
    }
    to.report.tasks = count_tasks();

    WindowResult result = swap_in(to.scheduler->object(), from == nullptr ? nullptr : &from->scheduler->object(),
                                  std::move(from_attached), *probe_, expedite_ && rcu_ ? &*rcu_ : nullptr);

    to.report.window = result.times;
    if (result.error)
        return switch_failed(step.to, result);
    enabled(step.to, *std::move(result.running));
}

void Supervisor::enabled(SchedulerId id, Attached attached) {
    Spec& spec = specs_.at(id);
    running_ =
        Running{.id = id, .attached = std::move(attached), .start = Clock::now(), .sample = {}, .previous_sample = {}};
    spec.report.switched = true;
    spec.report.running = spec.label;
    spec.report.error.reset();
    outcome_.title = spec.label;
    outcome_.exit = {};
    if (spec.settings_of != settings_of_)
        adopt(id);
    if (spec.scheduler->plugin() != nullptr)
        spec.scheduler->plugin()->post(PluginCallback::kAttached);
    const SchedulerObject& object = spec.scheduler->object();
    nlohmann::json options = nlohmann::json::object();
    for (const OptionValue& value : spec.scheduler->binding().values)
        options[value.key] = value.text;
    nlohmann::json fields = to_json(spec.report);
    fields.update({{"scheduler", object.name()},
                   {"title", spec.label},
                   {"ops", object.ops_name()},
                   {"build_id", object.build_id()},
                   {"kernel", kernel_release()},
                   {"enable_seq", running_->attached.enable_seq},
                   {"probation_ms", milliseconds(spec.config.swap.probation)},
                   {"options", std::move(options)},
                   {"notes", spec.scheduler->notes()}});
    emit("enabled", std::move(fields));
    arm_interval();
    if (!std::exchange(ever_enabled_, true)) {
        start_ = Clock::now();
        (void)::sd_notify(0, "READY=1");
        if (settings_.duration)
            tolerate(loop_.after(*settings_.duration, [this] { finish(RunEnd::kTimeUp); }));
    }
    events_.push_front(event::Switched{});
}

void Supervisor::switch_failed(SchedulerId id, WindowResult& result) {
    using Cause = event::SwitchFailed::Cause;
    Spec& to = specs_.at(id);
    const ExitReport exit = to.scheduler->object().read_exit_record().value_or(ExitReport{});
    Cause cause = Cause::kBuild;
    if (result.error->kind == ErrorKind::kBusy)
        cause = Cause::kForeign;
    else if (to.sub_cgroup != 0 && lost_its_place(*result.error, exit))
        cause = Cause::kPlace;
    else if (exit.left() && classify(exit) == LeaveClass::kTopology)
        cause = Cause::kTopology;
    else if (!exit.left() && result.error->sys_errno != 0)
        cause = Cause::kMachine; // the system call failed: no memory, no rights

    const bool restored = result.running.has_value();
    if (restored) {
        Spec& from = specs_.at(running_->id);
        running_->attached = *std::move(result.running);
        if (from.scheduler->plugin() != nullptr)
            from.scheduler->plugin()->post(PluginCallback::kAttached);
    } else {
        running_.reset();
    }
    to.report.error = *std::move(result.error);
    to.report.running = running_title();
    outcome_.exit = exit;
    if (cause == Cause::kForeign)
        outcome_.other_name = probe_->read(to.sub_cgroup).ops_name();
    nlohmann::json fields = to_json(to.report);
    fields.update({{"title", to.label},
                   {"restored", restored},
                   {"exit", to_json(exit)},
                   {"restore_error", result.restore_error ? to_json(*result.restore_error) : nlohmann::json(nullptr)}});
    if (cause == Cause::kBuild || cause == Cause::kMachine || cause == Cause::kPlace)
        record_incident(to, fields);
    emit("switch-failed", std::move(fields));
    report(*to.report.error);
    if (result.restore_error)
        report(*result.restore_error);
    events_.push_front(event::SwitchFailed{cause, restored});
}

void Supervisor::carry_out(const action::Detach&) {
    detach_running();
}

// For the plugin it is the same whether it is detached or has left; but when it has left, its successor comes first.
void Supervisor::end_running(const Spec& spec, bool by_us) {
    if (Plugin* plugin = spec.scheduler->plugin(); plugin != nullptr && by_us)
        tolerate(plugin->call(PluginCallback::kDetaching));
    else if (plugin != nullptr)
        plugin->post(PluginCallback::kDetaching);
    spec.scheduler->object().detach_programs();
    tolerate(running_->attached.link.detach());
}

void Supervisor::detach_running() {
    Spec& spec = specs_.at(running_->id);
    end_running(spec, true);
    outcome_.exit = spec.scheduler->object().read_exit_record().value_or(ExitReport{});
    running_.reset();
}

void Supervisor::carry_out(const action::StartProbation&) {
    Result<EventLoop::Watch> timer =
        loop_.timer(specs_.at(running_->id).config.swap.probation, [this] { tell(event::ProbationOver{}); });
    if (timer)
        probation_timer_ = *std::move(timer);
    else
        listener_.on_warning(timer.error());
}

void Supervisor::carry_out(const action::StartDelay& step) {
    emit("waiting", {{"delay_ms", milliseconds(step.delay)}});
    Result<EventLoop::Watch> timer = loop_.timer(step.delay, [this] { tell(event::DelayOver{}); });
    if (timer)
        delay_timer_ = *std::move(timer);
    else
        listener_.on_warning(timer.error());
}

void Supervisor::carry_out(const action::Quarantine& step) {
    const Spec& spec = specs_.at(step.id);
    const std::string reason = spec.report.error ? spec.report.error->what : "it failed";
    for (const std::string& build : lifecycle_.quarantined_builds()) {
        if (!quarantine_.try_emplace(build, QuarantineNote{spec.label, reason}).second)
            continue;
        emit("quarantined", {{"title", spec.label}, {"build_id", build}, {"reason", reason}});
    }
}

void Supervisor::carry_out(const action::Settle& step) {
    const auto found = specs_.find(step.id);
    if (found == specs_.end())
        return;
    Spec& spec = found->second;
    spec.report.outcome = step.outcome;
    spec.report.running = running_title();
    if (step.outcome == SwapOutcome::kSuperseded && !spec.report.error)
        spec.report.error = Error{.kind = ErrorKind::kBusy, .what = "another request, or stop, came in between"};
    last_swap_ = spec.report;
    spec.waited_for = false;
    emit("settled", to_json(spec.report));
    for (const OutcomeCallback& callback : std::exchange(spec.callbacks, {}))
        callback(spec.report);
}

void Supervisor::carry_out(const action::StandDown& step) {
    stand_down_message_ = stand_down_text(step.reason);
    emit("stood-down",
         {{"reason", to_string(step.reason)},
          {"message", fmt::format("{}: the kernel decides alone until scxhost resume or swap", stand_down_message_)},
          {"running", or_null(step.reason == StandDownReason::kForeign ? outcome_.other_name : "")}});
    // Who watches a build waits for the next one, also when the first did not even start.
    if (settings_.watch && (ever_enabled_ || step.reason != StandDownReason::kForeign))
        return;
    if (settings_.stay && ever_enabled_)
        return;
    RunEnd end = ever_enabled_ ? RunEnd::kLeft : RunEnd::kFailed;
    if (step.reason == StandDownReason::kForeign && ever_enabled_)
        end = RunEnd::kReplaced;
    finish(end);
}

void Supervisor::on_uevents() {
    const Result<UeventMonitor::Batch> batch = uevents_->drain();
    // Whatever it was, sysfs and the exit record know: events only say when to look.
    if (!batch || batch->lost || !batch->events.empty())
        look();
}

void Supervisor::plugin_answered(SchedulerId id) {
    bool ticked = false;
    for (const PluginThread::Outcome& outcome : specs_.at(id).scheduler->plugin()->outcomes()) {
        tolerate(outcome.result);
        ticked = ticked || outcome.callback == std::string_view("tick");
    }
    check_plugin();
    if (ticked && running_ && running_->id == id && running_->sample_due)
        sample();
}

// A plugin that hangs is told of once, and when it is over. What it has in the kernel goes on: whether that is well is
// the kernel's to say.
void Supervisor::check_plugin() {
    if (!running_ || ended_)
        return;
    const Spec& spec = specs_.at(running_->id);
    const std::optional<PluginHang> hang = hang_of(*spec.scheduler);
    if (std::exchange(running_->plugin_hangs, hang.has_value()) == hang.has_value())
        return;
    if (!hang)
        return emit("plugin-returned", {{"title", spec.label}});
    nlohmann::json fields = to_json(*hang);
    fields.update({{"title", spec.label}, {"error", to_json(hang->error)}});
    emit("plugin-hangs", std::move(fields));
    listener_.on_error(hang->error);
}

void Supervisor::on_interval() {
    look();
    if (!ended_ && running_) {
        // What the plugin sets in tick() belongs to this sample. None waits for a plugin that is late.
        Plugin* plugin = specs_.at(running_->id).scheduler->plugin();
        running_->sample_due = plugin != nullptr && plugin->has(PluginCallback::kTick) && !plugin->busy();
        if (running_->sample_due)
            plugin->post(PluginCallback::kTick);
        else
            sample();
    }
    if (!ended_)
        arm_interval();
}

void Supervisor::arm_interval() {
    if (Result<EventLoop::Watch> timer = loop_.timer(interval_, [this] { on_interval(); }))
        interval_timer_ = *std::move(timer);
    else
        listener_.on_warning(timer.error());
}

void Supervisor::on_hangup() {
    if (::isatty(STDIN_FILENO) == 1 || !settings_.reload)
        return finish(RunEnd::kRequested);
    config_changed();
}

void Supervisor::config_changed() {
    emit("config-changed", {{"file", settings_.config_file.string()}});
    Result<> asked = reload(false, {});
    if (asked)
        return;
    if (asked.error().kind == ErrorKind::kBusy) {
        reload_wanted_ = true;
        return;
    }
    emit("config-refused", {{"error", to_json(asked.error())}, {"running", or_null(running_title())}});
    report(asked.error());
}

void Supervisor::watch_build(const Config& config) {
    watched_config_ = config;
    std::filesystem::path path = scheduler_file(config);
    if (path == watched_build_)
        return;
    watched_build_ = std::move(path);
    build_watcher_ = follow(watched_build_, kMaxObjectBytes, [this] { build_changed(); });
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
void Supervisor::build_changed() {
    std::error_code ignored;
    if (!std::filesystem::exists(watched_build_, ignored))
        return;
    emit("build-changed", {{"file", watched_build_.string()}});
    const Result<> asked = request(watched_config_, false, {});
    if (!asked && asked.error().kind == ErrorKind::kBusy)
        rebuild_wanted_ = true;
    else if (!asked)
        report(asked.error());
}

void Supervisor::look() {
    if (ended_)
        return;
    if (const std::uint64_t seq = probe_->hotplug_seq(); seq != std::exchange(hotplug_seq_, seq))
        tell(event::TopologyChanged{});
    if (!running_)
        return;
    const PresenceReport presence =
        check_presence(specs_.at(running_->id).scheduler->object(), *probe_, running_->attached.enable_seq);
    if (presence.presence == Presence::kLeft)
        left(presence.other_name);
    else if (presence.presence == Presence::kReplaced)
        replaced(presence.other_name);
}

void Supervisor::left(const std::string& other) {
    Spec& spec = specs_.at(running_->id);
    const std::chrono::nanoseconds after = Clock::now() - running_->start;
    // The kernel may still be at it; this waits for it, and only then the record is complete.
    end_running(spec, false);
    ExitReport exit = spec.scheduler->object().read_exit_record().value_or(ExitReport{});
    // An object that keeps no record left for a reason that nobody knows: the cautious guess.
    const LeaveClass why = exit.left() ? classify(exit) : LeaveClass::kError;
    const Error error = ejection(spec, exit, after);
    spec.report.error = error;
    nlohmann::json fields = {{"title", spec.label},
                             {"build_id", spec.scheduler->object().build_id()},
                             {"seconds", seconds(after)},
                             {"exit", to_json(exit)},
                             {"error", to_json(error)}};
    // Leaving for another topology, or because the operator says so, is no incident.
    if (why != LeaveClass::kTopology && why != LeaveClass::kOperator)
        record_incident(spec, fields);
    running_.reset();
    outcome_.exit = std::move(exit);
    outcome_.other_name = other;
    emit("left", std::move(fields));
    report(error);
    tell(event::Left{why, !other.empty()});
}

// What is known now is put together here; the disk is waited for elsewhere.
void Supervisor::record_incident(const Spec& spec, nlohmann::json record) {
    nlohmann::json options = nlohmann::json::object();
    for (const OptionValue& value : spec.scheduler->binding().values)
        options[value.key] = value.text;
    nlohmann::json statistics = nlohmann::json::object();
    if (running_ && running_->sample) {
        const auto& declared = spec.scheduler->statistics();
        for (std::size_t i = 0; i < declared.size(); ++i)
            statistics[declared[i].name] = running_->sample->values[i];
    }
    record.update({{"scheduler", spec.scheduler->object().name()},
                   {"file", spec.scheduler->path().string()},
                   {"build_id", spec.scheduler->object().build_id()},
                   {"config", or_null(spec.config.name)},
                   {"options", std::move(options)},
                   {"statistics", std::move(statistics)},
                   {"kernel", kernel_release()},
                   {"version", SCXHOST_VERSION},
                   {"pid", ::getpid()}});
    worker_->submit([this, folder = spec.config.incidents.dir, limit = spec.config.incidents.limit,
                     record = std::move(record)]() mutable {
        if (const Result<std::string> log = kernel_log_tail(kIncidentLogBytes))
            record["kernel_log"] = *log;
        Result<std::string> path = IncidentStore(folder, limit).write(std::move(record));
        return BackgroundWorker::Completion([this, path = std::move(path)] {
            if (path)
                emit("incident", {{"path", *path}});
            else
                listener_.on_warning(path.error());
        });
    });
}

void Supervisor::replaced(const std::string& other) {
    Spec& spec = specs_.at(running_->id);
    end_running(spec, false);
    const Error error{
        .kind = ErrorKind::kEjected,
        .what = fmt::format("{} was replaced after {} s by another scheduler: {}", spec.label,
                            std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - running_->start).count(),
                            other.empty() ? "(gone already)" : other),
        .hint = fmt::format("somebody else attached it; {}", kOneAtATime)};
    spec.report.error = error;
    outcome_.exit = spec.scheduler->object().read_exit_record().value_or(ExitReport{});
    outcome_.other_name = other;
    running_.reset();
    emit("replaced", {{"title", spec.label}, {"by", or_null(other)}, {"error", to_json(error)}});
    report(error);
    tell(event::Replaced{});
}

// How an ejection is told: kind, code, reason, message, dump.
Error Supervisor::ejection(const Spec& spec, const ExitReport& exit, std::chrono::nanoseconds after) const {
    const std::string when = fmt::format("{:.1f} s", seconds(after));
    if (!exit.left())
        return {.kind = ErrorKind::kEjected,
                .what = fmt::format("the kernel ended {} after {}, and the object keeps no record of why", spec.label,
                                    when),
                .hint = "the kernel's log (dmesg) says more"};
    Error error{.kind = ErrorKind::kEjected,
                .what = fmt::format("{} left after {}: {} (code {:#x}): {}{}{}", spec.label, when, exit.kind_name(),
                                    static_cast<std::uint64_t>(exit.exit_code), exit.reason,
                                    exit.message.empty() ? "" : ": ", exit.message),
                .hint = {},
                .detail = exit.dump};
    if (exit.kind == static_cast<std::uint32_t>(ExitKind::kParent))
        error.hint = "the scheduler above it left; the host tries to load it again, below the next one";
    else if (exit.asks_for_restart())
        error.hint = exit.is_hotplug() ? "a CPU came or went: it is loaded again for the new topology"
                                       : "it asks to be started again";
    return error;
}

Result<std::vector<std::int64_t>> Supervisor::read_statistics(Spec& spec) {
    std::vector<std::int64_t> values = SCXHOST_TRY(spec.statistics->read());
    if (spec.scheduler->plugin() != nullptr)
        spec.scheduler->plugin()->append_values(values);
    return values;
}

void Supervisor::sample() {
    Spec& spec = specs_.at(running_->id);
    running_->sample_due = false;
    Result<std::vector<std::int64_t>> values = read_statistics(spec);
    if (!values)
        return listener_.on_warning(values.error());
    running_->previous_sample = std::move(running_->sample);
    running_->sample = Sample{Clock::now() - running_->start, *std::move(values)};
    if (!listener_.on_sample(*spec.scheduler, *running_->sample))
        finish(RunEnd::kRequested);
}

void Supervisor::finish(RunEnd end) {
    if (ended_.exchange(true))
        return;
    outcome_.end = end;
    restore_default_signals();
    loop_.stop();
}

Result<nlohmann::json> Supervisor::statistics() {
    if (!running_)
        return fail(ErrorKind::kUsage, "no scheduler of this host runs", "scxhost status says why");
    Spec& spec = specs_.at(running_->id);
    const std::vector<std::int64_t> values = SCXHOST_TRY(read_statistics(spec));
    const std::chrono::nanoseconds now = Clock::now() - running_->start;
    const std::optional<Sample>& base = running_->previous_sample ? running_->previous_sample : running_->sample;
    const auto& declared = spec.scheduler->statistics();
    nlohmann::json entries = nlohmann::json::array();
    for (std::size_t i = 0; i < declared.size(); ++i) {
        const bool counter = declared[i].kind == StatisticKind::kCounter;
        nlohmann::json entry = {
            {"name", declared[i].name}, {"value", values[i]},         {"kind", counter ? "counter" : "gauge"},
            {"unit", declared[i].unit}, {"group", declared[i].group}, {"help", declared[i].help}};
        if (counter && base && now > base->since_start)
            entry["rate"] = static_cast<double>(values[i] - base->values[i]) / seconds(now - base->since_start);
        entries.push_back(std::move(entry));
    }
    return nlohmann::json{{"scheduler", spec.label}, {"seconds", seconds(now)}, {"statistics", std::move(entries)}};
}

nlohmann::json Supervisor::status() const {
    const SchedExtProbe::Reading kernel = probe_->read();
    const auto label = [this](std::optional<SchedulerId> id) {
        const Spec* spec = id ? find(*id) : nullptr;
        return spec == nullptr ? nlohmann::json(nullptr) : nlohmann::json(spec->label);
    };
    nlohmann::json scheduler = nullptr;
    bool agrees = false;
    const bool enabled = kernel.state == SchedExtState::kEnabled;
    if (running_) {
        const Spec& spec = specs_.at(running_->id);
        const SchedulerObject& object = spec.scheduler->object();
        const std::optional<PluginHang> hang = hang_of(*spec.scheduler);
        nlohmann::json options = nlohmann::json::object();
        for (const OptionValue& value : spec.scheduler->binding().values)
            options[value.key] = value.text;
        scheduler = {{"title", spec.label},
                     {"ops", object.ops_name()},
                     {"build_id", object.build_id()},
                     {"enable_seq", running_->attached.enable_seq},
                     {"running_seconds", seconds(Clock::now() - running_->start)},
                     {"plugin_hangs", hang ? to_json(*hang) : nlohmann::json(nullptr)},
                     {"config", or_null(spec.config.name)},
                     {"options", std::move(options)}};
        agrees = check_presence(object, *probe_, running_->attached.enable_seq).presence == Presence::kRunning;
    } else {
        agrees = !enabled || lifecycle_.stand_down_reason() == StandDownReason::kForeign;
    }
    nlohmann::json quarantine = nlohmann::json::array();
    for (const std::string& build : lifecycle_.quarantined_builds()) {
        const auto note = quarantine_.find(build);
        quarantine.push_back({{"build_id", build},
                              {"title", note == quarantine_.end() ? "" : note->second.title},
                              {"reason", note == quarantine_.end() ? "" : note->second.reason}});
    }
    nlohmann::json fallbacks = nlohmann::json::array();
    for (const SchedulerId id : fallbacks_)
        fallbacks.push_back(label(id));
    nlohmann::json stood_down = nullptr;
    if (const auto reason = lifecycle_.stand_down_reason())
        stood_down = {{"reason", to_string(*reason)}, {"message", stand_down_message_}};
    return {{"pid", ::getpid()},
            {"version", SCXHOST_VERSION},
            {"phase", to_string(lifecycle_.phase())},
            {"scheduler", std::move(scheduler)},
            {"kernel",
             {{"release", kernel_release()},
              {"state", to_string(kernel.state)},
              {"ops", or_null(std::string(kernel.ops_name()))},
              {"enable_seq", kernel.enable_seq}}},
            {"agrees", agrees},
            {"kept", label(lifecycle_.kept())},
            {"last_good", label(lifecycle_.last_good())},
            {"fallback", std::move(fallbacks)},
            {"quarantine", std::move(quarantine)},
            {"stood_down", std::move(stood_down)},
            {"preparing", label(lifecycle_.pending())},
            {"last_swap", last_swap_ ? to_json(*last_swap_) : nlohmann::json(nullptr)},
            {"recent_failures", lifecycle_.recent_failures()}};
}

void Supervisor::emit(std::string_view name, nlohmann::json fields) {
    fields["event"] = name;
    fields["time"] = utc_time(std::chrono::system_clock::now());
    listener_.on_event(fields);
}

void Supervisor::tolerate(const Result<>& result) {
    if (!result)
        listener_.on_warning(result.error());
}

void Supervisor::report(const Error& error) {
    outcome_.failure = error;
    listener_.on_error(error);
}

std::string Supervisor::running_title() const {
    return running_ ? specs_.at(running_->id).label : std::string();
}

const Supervisor::Spec* Supervisor::find(SchedulerId id) const {
    const auto spec = specs_.find(id);
    return spec == specs_.end() ? nullptr : &spec->second;
}

void Supervisor::end_reload() {
    if (!ever_enabled_ || (reloading_ != 0 && lifecycle_.pending() == reloading_))
        return;
    reloading_ = 0;
    (void)::sd_notify(0, "READY=1");
}

// For the service manager's own status display.
void Supervisor::say_state() {
    if (reloading_ != 0)
        end_reload();
    const std::string title = running_title();
    (void)::sd_notifyf(0, "STATUS=%s%s%s", std::string(to_string(lifecycle_.phase())).c_str(),
                       title.empty() ? "" : ": ", title.c_str());
}

} // namespace scxhost
