// SPDX-License-Identifier: GPL-2.0-only
#include "host/supervisor/seat.hpp"

#include "host/base/error_json.hpp"
#include "host/config/selection.hpp"
#include "host/kernel/cgroup.hpp"
#include "host/kernel/kernel_release.hpp"
#include "host/kernel/machine_topology.hpp"
#include "host/kernel/scheduler_links.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>
#include <random>
#include <set>
#include <utility>

namespace scxhost {
namespace {

// Preparations under way, of which all but one were superseded.
constexpr std::size_t kMaxPreparing = 4;
// How long the canary may take before it is told that it does not run.
// Between two looks at what happens without a word of the kernel, which is nothing that is known of.
constexpr auto kRestingLook = std::chrono::minutes(1);
// Who has not asked for statistics for so many intervals has gone.
constexpr int kReaderIntervals = 5;
constexpr auto kCanaryPatience = std::chrono::seconds(1);
// Between its two answers.
constexpr auto kCanaryPause = std::chrono::milliseconds(100);
// How many descriptors of processes the loop may look at when it asks who holds a link: a tenth of a second, or so.
constexpr std::size_t kDescriptorsInLoop = 10'000;
// How long the process of a scheduler that is unregistered may take to be gone, when its death is the reason.
constexpr auto kProcessPatience = std::chrono::milliseconds(500);
// No cgroup has this id.
constexpr std::uint64_t kNoCgroup = ~0ULL;

// CPUs that a sub-scheduler may put tasks on, if only at once (7.3.4: each capability comes with that one).
std::optional<std::size_t> count_granted(const SchedExtCaps& caps) {
    if (caps.empty())
        return std::nullopt;
    std::set<std::uint32_t> cpus;
    for (const auto& [name, list] : caps)
        for (const std::uint32_t cpu : parse_cpu_list(list).value_or(std::vector<std::uint32_t>()))
            cpus.insert(cpu);
    return cpus.size();
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

std::string join_options(const std::vector<std::pair<std::string, std::string>>& options) {
    std::string text;
    for (const auto& [key, value] : options)
        text += fmt::format("{}{}={}", text.empty() ? "" : " ", key, value);
    return text;
}

std::string reason_text(StandDownReason reason, const std::string& other) {
    switch (reason) {
    case StandDownReason::kOperator:
        return "SysRq-S ended it";
    case StandDownReason::kForeign:
        return fmt::format("somebody else's scheduler runs: {}", other.empty() ? "(gone already)" : other);
    case StandDownReason::kNothingLeft:
        return "no good scheduler and no fallback is left to try";
    case StandDownReason::kTooManyFailures:
        break;
    }
    return "too many failures in a short time (restart.limit)";
}

} // namespace

Seat::Seat(SeatPlace place, SeatServices services, SeatListener& listener)
    : place_(std::move(place))
    , services_(services)
    , listener_(listener)
    , lifecycle_({}, random_source()) {}

Seat::~Seat() = default;

void Seat::start(const Config& config) {
    hotplug_seq_ = services_.probe.hotplug_seq();
    base_ = std::make_shared<Config>(config);
    if (is_branch()) {
        has_place_ = false;
        handle(event::PlaceLost{});
    }
    const SchedulerId id = add_spec(config);
    adopt(id);
    arm_interval();
    specs_.at(id).waited_for = true;
    handle(event::Requested{id});
}

// What the host itself is to do differently from now on.
void Seat::adopt(SchedulerId id) {
    const Spec& spec = specs_.at(id);
    const Config config = spec.config;
    base_ = spec.base;
    settings_of_ = spec.settings_of;
    lifecycle_.configure(lifecycle_settings(config));
    expedite_ = config.swap.expedite_rcu;
    interval_ = config.stats.interval;
    fallbacks_.clear();
    for (const std::string& name : config.host.fallback) {
        Result<Config> fallback = fallback_config(name, config);
        if (!fallback) { // one the less
            listener_.on_seat_warning(fallback.error());
            continue;
        }
        fallbacks_.push_back(add_spec(*std::move(fallback)));
        specs_.at(fallbacks_.back()).settings_of = settings_of_; // they are the same but for the scheduler
    }
    lifecycle_.set_fallbacks(fallbacks_);
    listener_.on_seat_adopted(*this, config);
}

SchedulerId Seat::add_spec(Config config) {
    const SchedulerId id = ++last_id_;
    Spec& spec = specs_[id];
    spec.label = source_name(config);
    // A file says it all; what comes by name, or as a fallback, has the rest from what there was.
    spec.base = config.name.empty() ? base_ : std::make_shared<Config>(config);
    spec.settings_of = id;
    spec.report.to = spec.label;
    spec.config = std::move(config);
    return id;
}

Result<> Seat::request(Config config, bool force, OutcomeCallback done, std::shared_ptr<const Config> base) {
    if (ended_)
        return fail(ErrorKind::kBusy, "the host is ending");
    if (const Spec* pending = find(lifecycle_.pending()); pending != nullptr && pending->waited_for)
        return fail(ErrorKind::kBusy, fmt::format("{} is being prepared just now", pending->label),
                    "ask again when its outcome is known, or stop it first: scxhost stop");
    // Who asks and stops in turn must not fill the memory with what nobody waits for any more.
    if (preparing_ >= kMaxPreparing)
        return fail(ErrorKind::kBusy, fmt::format("{} earlier requests are still being prepared", preparing_),
                    "ask again in a moment");
    const SchedulerId id = add_spec(std::move(config));
    Spec& spec = specs_.at(id);
    if (base)
        spec.base = std::move(base);
    spec.waited_for = true;
    spec.force = force;
    spec.report.from = running_title();
    if (done)
        spec.callbacks.push_back(std::move(done));
    handle(event::Requested{id, force});
    return {};
}

std::optional<Config> Seat::running_config() const {
    return running_ ? std::optional(specs_.at(running_->id).config) : std::nullopt;
}

bool Seat::join(SchedulerId request, OutcomeCallback done) {
    const auto spec = specs_.find(request);
    if (spec == specs_.end() || lifecycle_.pending() != request)
        return false;
    if (done)
        spec->second.callbacks.push_back(std::move(done));
    return true;
}

void Seat::stop() {
    handle(event::StopRequested{});
    emit("stopped", {{"message", fmt::format("stopped by the operator; {}", instead())}});
}

void Seat::resume() {
    emit("resumed", {{"message", "resumed by the operator; failures are forgotten"}});
    handle(event::ResumeRequested{});
}

void Seat::detach() {
    ended_ = true;
    if (!running_)
        return;
    Spec& spec = specs_.at(running_->id);
    end_running(spec, true);
    outcome_.exit = spec.scheduler->read_exit_record().value_or(ExitReport{});
    running_.reset();
}

void Seat::end() {
    emit("removed", {{"message", fmt::format("the configuration names it no longer; {}", instead())}});
    handle(event::StopRequested{});
    ended_ = true;
}

// Events that come up while actions are carried out wait for their turn; the answer to a switch comes first.
void Seat::handle(const Event& event) {
    if (ended_)
        return;
    events_.push_back(event);
    if (handling_)
        return;
    handling_ = true;
    while (!events_.empty()) {
        const Event next = std::move(events_.front());
        events_.pop_front();
        for (const Action& action : lifecycle_.handle(next, Clock::now()))
            std::visit([this](const auto& step) { carry_out(step); }, action);
    }
    handling_ = false;
    forget_unused();
    if (running_ && !waiting_ && !lifecycle_.pending())
        specs_.at(running_->id).scheduler->drop_way_back();
    listener_.on_seat_settled(*this);
    continue_prepared();
}

void Seat::forget_unused() {
    std::erase_if(specs_, [this](const auto& entry) {
        return !entry.second.scheduler && !lifecycle_.refers_to(entry.first) &&
               std::ranges::find(fallbacks_, entry.first) == fallbacks_.end();
    });
}

void Seat::carry_out(const action::Prepare& step) {
    Spec& spec = specs_.at(step.id);
    unload(spec);
    emit("preparing", {{"scheduler", spec.label}});
    order(step.id, step.ticket, spec.waited_for && !spec.force);
}

void Seat::order(SchedulerId id, PreparationTicket ticket, bool may_be_unchanged) {
    const Spec& spec = specs_.at(id);
    // A fallback has all of its owner's settings but the scheduler's own, and so not its cgroup.
    const Spec* owner = find(spec.settings_of);
    SchedulerPool::Order order{.config = spec.config,
                               .unless = may_be_unchanged ? unchanged_would_be(spec) : std::nullopt,
                               .only_below_cgroup = owner != nullptr && owner->below_cgroup};
    ++preparing_;
    services_.pool.prepare(std::move(order),
                           [this, id, ticket, run = running_ ? running_->number : 0](SchedulerPool::Prepared result) {
                               --preparing_;
                               prepared(id, ticket, run, std::move(result));
                           });
}

// What the running scheduler is, where a request for the same would change nothing about it.
std::optional<SchedulerFacts> Seat::unchanged_would_be(const Spec& spec) const {
    if (!running_)
        return std::nullopt;
    const Spec& running = specs_.at(running_->id);
    if (spec.config.stats.variables != running.config.stats.variables)
        return std::nullopt;
    return running.scheduler->facts();
}

void Seat::prepared(SchedulerId id, PreparationTicket ticket, std::uint64_t run, SchedulerPool::Prepared result) {
    // Nobody waits for it any more. It must not touch what was prepared, or runs, for the same request.
    if (ended_ || !lifecycle_.awaits(ticket)) {
        if (result.scheduler)
            services_.pool.dispose(*std::move(result.scheduler));
        return;
    }
    Spec& spec = specs_.at(id);
    // What may have to come back gets ready first. What was prepared waits meanwhile; the loop does not.
    if (result.scheduler && *result.scheduler != nullptr && spec.waited_for && running_ && running_->id != id &&
        !specs_.at(running_->id).scheduler->prepare_way_back()) {
        waiting_.emplace(Waiting{.id = id, .ticket = ticket, .run = run, .result = std::move(result)});
        return;
    }
    spec.report.prepare = result.time;
    if (!result.scheduler)
        look_at_place();
    if (!result.scheduler && !has_place_)
        return handle(event::PrepareFailed{ticket}); // there was no cgroup for it
    if (!result.scheduler) {
        spec.report.error = std::move(result.scheduler).error();
        emit("prepare-failed", {{"scheduler", spec.label}, {"error", to_json(*spec.report.error)}});
        report(*spec.report.error);
        return handle(event::PrepareFailed{ticket});
    }
    if (*result.scheduler == nullptr) {
        if (!running_ || running_->number != run)
            return order(id, ticket, false); // what it is the same as has left meanwhile
        keep_running_as(spec);
        return handle(event::Unchanged{ticket});
    }
    unload(spec);
    spec.scheduler = *std::move(result.scheduler);
    spec.hotplug_seq = result.hotplug_seq;
    const SchedulerFacts& facts = spec.scheduler->facts();
    spec.below_cgroup = facts.sub_cgroup != 0;
    if (const int fd = spec.scheduler->news_fd(); fd >= 0) {
        Result<EventLoop::Watch> watch = services_.loop.watch(fd, {}, [this, id] { read_news(id); });
        if (watch)
            spec.news_watch = *std::move(watch);
        else
            listener_.on_seat_warning(watch.error());
    }
    spec.label = facts.title;
    spec.report.to = title_beside(spec, running_ ? find(running_->id) : nullptr);
    if (const Quarantined* entry = lifecycle_.find_quarantined(identity_of(spec));
        entry != nullptr && spec.waited_for && !spec.force)
        spec.report.error =
            Error{.kind = ErrorKind::kBusy,
                  .what = fmt::format("{} is quarantined with these options: {}", spec.label, entry->reason),
                  .hint = "change its options, rebuild it, or insist: scxhost swap --force"};
    if (!ever_enabled_)
        for (const std::string& note : facts.notes)
            listener_.on_seat_note(facts.name, note);
    handle(event::Prepared{ticket, identity_of(spec)});
}

void Seat::continue_prepared() {
    if (!waiting_ || handling_)
        return;
    Waiting next = *std::exchange(waiting_, std::nullopt);
    prepared(next.id, next.ticket, next.run, std::move(next.result));
}

// What runs is just what was asked for; but the host may be to behave differently.
void Seat::keep_running_as(Spec& asked) {
    Spec& running = specs_.at(running_->id);
    asked.label = running.label;
    asked.report.to = running.label;
    running.config = asked.config;
    running.base = asked.base;
    running.settings_of = running_->id;
    adopt(running_->id);
    arm_interval();
}

void Seat::unload(Spec& spec) {
    spec.news_watch.reset();
    services_.pool.dispose(std::move(spec.scheduler));
}

void Seat::carry_out(const action::Release& step) {
    if (const auto spec = specs_.find(step.id); spec != specs_.end())
        unload(spec->second);
}

void Seat::carry_out(const action::Switch& step) {
    Spec& to = specs_.at(step.to);
    Spec* from = running_ ? &specs_.at(running_->id) : nullptr;
    to.report.from = from == nullptr ? "" : title_beside(*from, &to);
    // The kernel would refuse it; and nothing need be touched to find out.
    if (to.hotplug_seq != services_.probe.hotplug_seq() || !to.scheduler->can_attach() || is_out_of_place(to)) {
        events_.push_front(
            event::SwitchFailed{.cause = event::SwitchFailed::Cause::kTopology, .restored = running_.has_value()});
        return;
    }
    std::optional<event::Left> previous;
    if (from != nullptr) {
        listener_.on_seat_leaving(*this);
        warn_if_failed(from->scheduler->before_detach());
        running_->knows_of_end = true;
        // It may have left meanwhile, or a moment ago with its uevent still to come.
        const PresenceReport presence =
            check_presence(*from->scheduler, services_.probe, running_->attached.enable_seq);
        if (presence.presence != Presence::kRunning) {
            previous = note_leaving(presence.other_name);
            from = nullptr;
        }
    }
    if (previous && previous->why == LeaveClass::kOperator) {
        events_.push_front(event::SwitchFailed{.cause = event::SwitchFailed::Cause::kExit,
                                               .exit = LeaveClass::kOperator,
                                               .reason = previous->reason,
                                               .previous = previous});
        return;
    }
    std::optional<Attached> from_attached;
    if (from != nullptr)
        from_attached = std::move(running_->attached);
    to.report.tasks = is_branch() ? count_threads(place_.cgroup).value_or(0) : count_tasks();

    // Where the kernel refuses without a reason, its log has one; and what is dead must not end what comes.
    if (services_.kernel_log != nullptr)
        services_.kernel_log->move_to_end();
    Result<DeadLinks> dead = DeadLinks::find(services_.kernel, services_.probe);

    WindowResult result =
        swap_in(*to.scheduler, from == nullptr ? nullptr : from->scheduler.get(), std::move(from_attached),
                services_.probe, expedite_ ? services_.rcu : nullptr, dead ? &*dead : nullptr);

    to.report.window = result.times;
    if (from != nullptr && result.times.start != Clock::time_point())
        away_.begin(result.times.start);
    if (result.from_had_left)
        previous = note_leaving("");
    if (result.running) {
        const std::chrono::nanoseconds away = away_.end(result.times.start + result.times.gap);
        if (from == nullptr) // else the gap is all of it
            to.report.away = away;
    }
    if (result.error)
        return switch_failed(step.to, result, std::move(previous));
    enabled(step.to, *std::move(result.running), std::move(previous));
}

void Seat::enabled(SchedulerId id, Attached attached, std::optional<event::Left> previous) {
    Spec& spec = specs_.at(id);
    running_.emplace(Running{
        .id = id, .number = ++last_run_, .attached = std::move(attached), .start = Clock::now(), .statistics = {}});
    spec.report.switched = true;
    spec.report.running = spec.report.to;
    spec.report.error.reset();
    if (!spec.report.from.empty()) {
        ++totals_.gaps;
        totals_.gap_time += spec.report.window.gap;
    }
    outcome_.title = spec.label;
    outcome_.exit = {};
    if (spec.settings_of != settings_of_)
        adopt(id);
    spec.scheduler->after_attach(running_->attached.link);
    const SchedulerFacts& facts = spec.scheduler->facts();
    nlohmann::json fields = to_json(spec.report);
    fields.update({{"scheduler", facts.name},
                   {"title", spec.label},
                   {"ops", facts.ops_name},
                   {"build_id", facts.build_id},
                   {"kernel", kernel_release()},
                   {"enable_seq", running_->attached.enable_seq},
                   {"probation_ms", milliseconds(spec.config.swap.probation)},
                   {"options", options_json(facts)},
                   {"notes", facts.notes}});
    emit("enabled", std::move(fields));
    for (const OutcomeCallback& callback : std::vector(spec.callbacks))
        callback(spec.report);
    arm_interval();
    ever_enabled_ = true;
    listener_.on_seat_enabled(*this);
    events_.push_front(event::Switched{std::move(previous)});
}

// What the outcome of a failed switch depends on; not yet whether what ran before is back.
event::SwitchFailed Seat::cause_of(const Spec& to, const Error& error, const ExitReport& exit) const {
    using Cause = event::SwitchFailed::Cause;
    event::SwitchFailed failed{.reason = error.what};
    if (error.kind == ErrorKind::kBusy) {
        failed.cause = Cause::kForeign;
    } else if (to.below_cgroup && lost_its_place(error, exit)) {
        failed.cause = Cause::kPlace;
    } else if (exit.left()) {
        failed.cause = Cause::kExit;
        failed.exit = classify(exit);
    } else if (error.sys_errno != 0) {
        failed.cause = Cause::kMachine; // the system call failed: no memory, no rights
    }
    return failed;
}

void Seat::switch_failed(SchedulerId id, WindowResult& result, std::optional<event::Left> previous) {
    using Cause = event::SwitchFailed::Cause;
    Spec& to = specs_.at(id);
    // One whose programs could not be attached was detached by us: its record says so, and nothing of why.
    ExitReport exit = to.scheduler->read_exit_record().value_or(ExitReport{});
    if (exit.kind == static_cast<std::uint32_t>(ExitKind::kUnreg) && result.programs_failed)
        exit = {};
    event::SwitchFailed failed = cause_of(to, *result.error, exit);
    if (!exit.left() && !result.programs_failed && failed.cause != Cause::kForeign)
        if (const std::string reason = reason_logged(*to.scheduler); !reason.empty()) {
            result.error->what += "; the kernel's log: " + reason;
            failed.reason = result.error->what;
        }
    if (result.programs_failed)
        failed.cause = Cause::kRefused;
    failed.restored = result.running.has_value();
    failed.previous = std::move(previous);
    if (failed.restored) {
        Spec& from = specs_.at(running_->id);
        running_->attached = *std::move(result.running);
        running_->knows_of_end = false;
        from.scheduler->after_attach(running_->attached.link);
    } else {
        running_.reset();
    }
    to.report.error = *std::move(result.error);
    to.report.running = running_ ? title_beside(specs_.at(running_->id), &to) : "";
    outcome_.exit = exit;
    if (failed.cause == Cause::kForeign) {
        outcome_.other_name = services_.probe.read(to.scheduler->facts().sub_cgroup).ops_name();
        if (const std::string how = how_to_end(services_.kernel, outcome_.other_name, kDescriptorsInLoop); !how.empty())
            to.report.error->hint += "; " + how;
    }
    nlohmann::json fields = to_json(to.report);
    fields.update({{"seat", name()},
                   {"title", to.label},
                   {"restored", failed.restored},
                   {"exit", to_json(exit)},
                   {"restore_error", result.restore_error ? to_json(*result.restore_error) : nlohmann::json(nullptr)}});
    const bool nobodys_fault = failed.cause == Cause::kForeign ||
                               (failed.cause == Cause::kExit &&
                                (failed.exit == LeaveClass::kTopology || failed.exit == LeaveClass::kOperator));
    if (!nobodys_fault) {
        Result<StatisticsSample> statistics = take_sample(*to.scheduler, 0, {});
        to.report.incident = services_.recorder.record(
            *to.scheduler, to.config, statistics ? std::optional(*std::move(statistics)) : std::nullopt, fields);
    }
    emit("switch-failed", std::move(fields));
    report(*to.report.error);
    if (result.restore_error)
        report(*result.restore_error);
    events_.push_front(std::move(failed));
}

void Seat::carry_out(const action::Detach&) {
    listener_.on_seat_leaving(*this);
    Spec& spec = specs_.at(running_->id);
    end_running(spec, true);
    outcome_.exit = spec.scheduler->read_exit_record().value_or(ExitReport{});
    running_.reset();
}

// For its user-space half it is the same whether it is detached or has left; but when it has left, its successor comes
// first.
void Seat::end_running(Spec& spec, bool by_us) {
    if (const bool knows = std::exchange(running_->knows_of_end, true); !knows && by_us)
        warn_if_failed(spec.scheduler->before_detach());
    else if (!knows)
        spec.scheduler->after_leaving();
    spec.scheduler->detach_programs();
    note_away();
    warn_if_failed(running_->attached.link.detach());
}

// Nothing of ours has the tasks any more. Without its cgroup a branch has none.
void Seat::note_away() {
    if (ever_enabled_ && (!is_branch() || find_cgroup(place_.cgroup)))
        away_.begin(Clock::now());
}

void Seat::carry_out(const action::StartProbation&) {
    if (!is_branch())
        services_.canary.forget();
    patience_timer_.reset();
    Result<EventLoop::Watch> timer =
        services_.loop.timer(specs_.at(running_->id).config.swap.probation, [this] { probation_over(); });
    if (timer)
        probation_timer_ = *std::move(timer);
    else
        listener_.on_seat_warning(timer.error());
}

// Good is only what also runs tasks: the host's own ordinary thread has to have run.
void Seat::probation_over() {
    if (!running_ || lifecycle_.phase() != Phase::kProbation)
        return;
    if (is_branch()) { // no thread of the host is in its cgroup
        check_kernel();
        return handle(event::ProbationOver{});
    }
    probe_scheduler(running_->number, /*again=*/true);
    Result<EventLoop::Watch> timer = services_.loop.timer(kCanaryPatience, [this, run = running_->number] {
        if (running_ && running_->number == run)
            emit("starving", {{"title", running_title()},
                              {"message", "a thread of the host that was woken does not come to run: it is not good "
                                          "until that does"}});
    });
    if (timer)
        patience_timer_ = *std::move(timer);
    else
        listener_.on_seat_warning(timer.error());
}

// Twice: a scheduler that the kernel is just ending is bypassed, and then the thread runs whatever the scheduler does.
void Seat::probe_scheduler(std::uint64_t run, bool again) {
    services_.canary.probe([this, run, again] {
        check_kernel();
        if (!running_ || running_->number != run)
            return;
        if (!again) {
            patience_timer_.reset();
            return handle(event::ProbationOver{});
        }
        Result<EventLoop::Watch> timer =
            services_.loop.timer(kCanaryPause, [this, run] { probe_scheduler(run, false); });
        if (timer)
            probation_timer_ = *std::move(timer);
        else
            listener_.on_seat_warning(timer.error());
    });
}

void Seat::carry_out(const action::StartDelay& step) {
    emit("waiting", {{"delay_ms", milliseconds(step.delay)}});
    Result<EventLoop::Watch> timer = services_.loop.timer(step.delay, [this] { handle(event::DelayOver{}); });
    if (timer)
        delay_timer_ = *std::move(timer);
    else
        listener_.on_seat_warning(timer.error());
}

void Seat::carry_out(const action::Quarantine& step) {
    const SchedulerIdentity& identity = step.entry.identity;
    emit("quarantined", {{"title", identity.title},
                         {"build_id", identity.build},
                         {"options", identity.options},
                         {"reason", step.entry.reason}});
}

void Seat::carry_out(const action::Settle& step) {
    const auto found = specs_.find(step.id);
    if (found == specs_.end())
        return;
    Spec& spec = found->second;
    spec.report.outcome = step.outcome;
    if (running_ && running_->id == step.id)
        spec.report.running = spec.report.to;
    else
        spec.report.running = running_ ? title_beside(specs_.at(running_->id), &spec) : "";
    if (step.outcome == SwapOutcome::kSuperseded && !spec.report.error)
        spec.report.error = Error{.kind = ErrorKind::kBusy, .what = "another request, or stop, came in between"};
    last_swap_ = spec.report;
    ++totals_.swaps.at(static_cast<std::size_t>(step.outcome));
    spec.waited_for = false;
    emit("settled", to_json(spec.report));
    // Whoever is told of a failure may look at its record at once.
    services_.recorder.when_written([report = spec.report, callbacks = std::exchange(spec.callbacks, {})] {
        for (const OutcomeCallback& callback : callbacks)
            callback(report);
    });
}

void Seat::carry_out(const action::StandDown& step) {
    const bool foreign = step.reason == StandDownReason::kForeign;
    stand_down_message_ = reason_text(step.reason, outcome_.other_name);
    std::string message = stand_down_message_;
    if (!foreign)
        message += ": " + instead();
    if (listener_.stays_after(*this, step.reason))
        message += foreign ? "; when it is gone: scxhost resume or swap" : " until scxhost resume or swap";
    emit("stood-down", {{"reason", to_string(step.reason)},
                        {"message", message},
                        {"running", or_null(foreign ? outcome_.other_name : "")}});
    listener_.on_seat_stood_down(*this, step.reason);
}

void Seat::look_at_place() {
    if (!is_branch() || ended_)
        return;
    const bool has_cgroup = find_cgroup(place_.cgroup).has_value();
    const bool there = has_cgroup && place_.above->offers_place();
    if (!has_cgroup)
        (void)away_.end(Clock::now());
    else if (!running_)
        note_away();
    if (!has_cgroup && place_.above->offers_place() && !std::exchange(cgroup_told_, true))
        emit("waiting-for-cgroup", {{"cgroup", place_.cgroup}, {"message", missing_place()}});
    cgroup_told_ = cgroup_told_ && !has_cgroup;
    if (there && !std::exchange(has_place_, true))
        handle(event::PlaceFound{});
    else if (!there)
        lose_place();
}

void Seat::lose_place() {
    if (!is_branch() || ended_ || !std::exchange(has_place_, false))
        return;
    if (!running_)
        return handle(event::PlaceLost{});
    Spec& spec = specs_.at(running_->id);
    // Its own failure is its own, whatever happens above it.
    if (const auto exit = spec.scheduler->read_exit_record(); exit && exit->is_error()) {
        const event::Left left = note_leaving("");
        handle(event::PlaceLost{});
        return handle(left);
    }
    listener_.on_seat_leaving(*this);
    end_running(spec, true);
    outcome_.exit = spec.scheduler->read_exit_record().value_or(ExitReport{});
    running_.reset();
    ran_below_cgroup_ = spec.below_cgroup;
    emit("suspended",
         {{"title", spec.label},
          {"message", find_cgroup(place_.cgroup) ? "the scheduler above it leaves; it comes back below the next one"
                                                 : missing_place()}});
    handle(event::PlaceLost{.detached = true});
}

bool Seat::offers_place() const {
    return running_ && (phase() == Phase::kProbation || phase() == Phase::kGood);
}

std::string Seat::missing_place() const {
    if (!find_cgroup(place_.cgroup))
        return fmt::format("there is no cgroup {} now", place_.cgroup);
    if (!place_.above->offers_place())
        return fmt::format("no scheduler runs above it (at {})", place_.above->name());
    return {};
}

// It was loaded for a cgroup that is none any more, or for one that has another id by now.
bool Seat::is_out_of_place(const Spec& spec) {
    if (!is_branch())
        return false;
    const Result<std::uint64_t> id = find_cgroup(place_.cgroup);
    if (id && *id == spec.scheduler->facts().sub_cgroup)
        return false;
    if (!id && std::exchange(has_place_, false))
        events_.push_back(event::PlaceLost{});
    return true;
}

// Who has the tasks when nothing of ours runs here.
std::string Seat::instead() const {
    return is_branch() ? "the scheduler above has its tasks" : "the kernel's own scheduler runs";
}

void Seat::read_news(SchedulerId id) {
    bool ticked = false;
    bool process_ended = false;
    const std::string title = specs_.at(id).label;
    for (const SchedulerNews& news : specs_.at(id).scheduler->news()) {
        warn_if_failed(news.result);
        ticked = ticked || news.ticked;
        process_ended = process_ended || news.process_ended;
        if (!news.output.empty())
            emit("output", {{"title", title}, {"text", news.output}});
    }
    if (process_ended && running_ && running_->id == id) {
        check_kernel();
        if (running_ && running_->id == id)
            left(""); // somebody else still holds its link
    }
    continue_prepared();
    check_hang();
    if (ticked && running_ && running_->id == id && running_->sample_due)
        sample();
}

bool Seat::can_hang() const {
    return running_ && specs_.at(running_->id).scheduler->can_hang();
}

// One that hangs is told of once, and when it is over. What it has in the kernel goes on: whether that is well is the
// kernel's to say.
void Seat::check_hang() {
    if (!running_ || ended_)
        return;
    const Spec& spec = specs_.at(running_->id);
    const std::optional<PluginHang> hang = spec.scheduler->hang();
    if (std::exchange(running_->hang_told, hang.has_value()) == hang.has_value())
        return;
    if (!hang)
        return emit("plugin-returned", {{"title", spec.label}});
    nlohmann::json fields = to_json(*hang);
    fields.update({{"title", spec.label}, {"error", to_json(hang->error)}});
    emit("plugin-hangs", std::move(fields));
    report(hang->error);
}

void Seat::on_interval() {
    check_kernel();
    if (ended_)
        return;
    // What its user-space half sets in a tick belongs to this sample.
    if (running_) {
        running_->sample_due = specs_.at(running_->id).scheduler->begin_tick();
        if (!running_->sample_due)
            sample();
    }
    if (!ended_)
        arm_interval();
}

// A host at rest wakes up for nobody: the kernel's events say when something has happened. Every interval there is a
// look as long as somebody wants samples, the scheduler's user-space half ticks, or events are not known to come.
std::chrono::nanoseconds Seat::time_to_look() const {
    const bool asked = asked_ && Clock::now() - *asked_ < kReaderIntervals * interval_;
    const bool settled = !running_ ? lifecycle_.phase() != Phase::kRecovering : lifecycle_.phase() == Phase::kGood;
    if (!services_.events_come || services_.samples_wanted || asked || !settled ||
        (running_ && specs_.at(running_->id).scheduler->ticks()))
        return interval_;
    return std::max<std::chrono::nanoseconds>(interval_, kRestingLook);
}

void Seat::arm_interval() {
    if (Result<EventLoop::Watch> timer = services_.loop.timer(time_to_look(), [this] { on_interval(); }))
        interval_timer_ = *std::move(timer);
    else
        listener_.on_seat_warning(timer.error());
}

void Seat::check_kernel() {
    if (ended_)
        return;
    if (const std::uint64_t seq = services_.probe.hotplug_seq(); seq != std::exchange(hotplug_seq_, seq))
        handle(event::TopologyChanged{});
    if (running_)
        check_running();
    else
        check_for_others();
}

void Seat::check_running() {
    const PresenceReport presence =
        check_presence(*specs_.at(running_->id).scheduler, services_.probe, running_->attached.enable_seq);
    if (presence.presence == Presence::kLeft)
        left(presence.other_name);
    else if (presence.presence == Presence::kReplaced)
        replaced(presence.other_name);
}

void Seat::check_for_others() {
    // While ours is on its way back, somebody else may take the machine; for a sub-scheduler that is none of its
    // business.
    if (lifecycle_.phase() != Phase::kRecovering || !ever_enabled_ || ran_below_cgroup_ || is_branch())
        return;
    const SchedExtProbe::Reading kernel = services_.probe.read();
    if (kernel.state != SchedExtState::kEnabled)
        return;
    outcome_.other_name = kernel.ops_name();
    const Error error{.kind = ErrorKind::kEjected,
                      .what = fmt::format("another scheduler was attached before {} came back: {}", outcome_.title,
                                          outcome_.other_name),
                      .hint = std::string(kOneAtATime)};
    emit("replaced", {{"title", outcome_.title}, {"by", or_null(outcome_.other_name)}, {"error", to_json(error)}});
    report(error);
    handle(event::Replaced{});
}

// The running one has left. Tells what is known of it, and records it, unless nobody is to blame.
event::Left Seat::note_leaving(const std::string& other) {
    Spec& spec = specs_.at(running_->id);
    const std::chrono::nanoseconds after = Clock::now() - running_->start;
    // The kernel may still be at it; this waits for it, and only then the record is complete.
    end_running(spec, false);
    ExitReport exit = spec.scheduler->read_exit_record().value_or(ExitReport{});
    // An object that keeps no record left for a reason that nobody knows: the cautious guess.
    LeaveClass why = exit.left() ? classify(exit) : LeaveClass::kError;
    // Where the kernel knows no more than that the link is gone, it may have gone with its process.
    std::optional<ProcessEnd> process;
    if (!exit.left() || why == LeaveClass::kUnregistered)
        process = spec.scheduler->wait_for_process_end(kProcessPatience);
    if (process)
        why = process->failed ? LeaveClass::kError : LeaveClass::kUnregistered;
    const Error error = ejection(spec, exit, process, after);
    spec.report.error = error;
    nlohmann::json fields = {{"seat", name()},
                             {"title", spec.label},
                             {"build_id", spec.scheduler->facts().build_id},
                             {"seconds", seconds(after)},
                             {"exit", to_json(exit)},
                             {"error", to_json(error)}};
    // Leaving for another topology, or because the operator says so, is no incident.
    if (why != LeaveClass::kTopology && why != LeaveClass::kOperator) {
        Result<StatisticsSample> last = take_sample(*spec.scheduler, running_->number, after);
        spec.report.incident =
            services_.recorder.record(*spec.scheduler, spec.config,
                                      last ? std::optional(*std::move(last)) : running_->statistics.latest(), fields);
    }
    ran_below_cgroup_ = spec.below_cgroup;
    running_.reset();
    listener_.on_seat_leaving(*this);
    outcome_.exit = std::move(exit);
    outcome_.other_name = other;
    emit("left", std::move(fields));
    report(error);
    return {why, !other.empty(), error.what};
}

void Seat::left(const std::string& other) {
    const event::Left left = note_leaving(other);
    look_at_place(); // it may have gone with it
    handle(left);
}

void Seat::replaced(const std::string& other) {
    Spec& spec = specs_.at(running_->id);
    end_running(spec, false);
    const Error error{
        .kind = ErrorKind::kEjected,
        .what = fmt::format("{} was replaced after {} s by another scheduler: {}", spec.label,
                            std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - running_->start).count(),
                            other.empty() ? "(gone already)" : other),
        .hint = fmt::format("somebody else attached it; {}", kOneAtATime)};
    spec.report.error = error;
    outcome_.exit = spec.scheduler->read_exit_record().value_or(ExitReport{});
    outcome_.other_name = other;
    running_.reset();
    listener_.on_seat_leaving(*this);
    emit("replaced", {{"title", spec.label}, {"by", or_null(other)}, {"error", to_json(error)}});
    report(error);
    handle(event::Replaced{});
}

// What the kernel's log says about it since the window in which it came; empty: nothing, or it may not be read.
std::string Seat::reason_logged(const Scheduler& scheduler) const {
    return services_.kernel_log == nullptr ? std::string()
                                           : services_.kernel_log->take_reason(scheduler.facts().ops_name);
}

// How an ejection is told: kind, code, reason, message, dump.
Error Seat::ejection(const Spec& spec, const ExitReport& exit, const std::optional<ProcessEnd>& process,
                     std::chrono::nanoseconds after) const {
    const std::string when = fmt::format("{:.1f} s", seconds(after));
    if (process) {
        const std::optional<SchedulerProcess> own = spec.scheduler->process();
        return {.kind = ErrorKind::kEjected,
                .what = fmt::format("{} left after {}: its process {}", spec.label, when, process->how),
                .hint = process->failed ? "" : "it ended by itself, or somebody else ended it; it is started again",
                .detail = own ? own->output : ""};
    }
    if (!exit.left()) {
        const std::string reason = reason_logged(*spec.scheduler);
        return {.kind = ErrorKind::kEjected,
                .what = fmt::format("the kernel ended {} after {}, and the object keeps no record of why{}{}",
                                    spec.label, when, reason.empty() ? "" : "; the kernel's log: ", reason),
                .hint = reason.empty() ? "the kernel's log (dmesg) may say more" : ""};
    }
    Error error{.kind = ErrorKind::kEjected,
                .what = fmt::format("{} left after {}: {}", spec.label, when, describe_exit(exit)),
                .hint = {},
                .detail = exit.dump};
    if (exit.kind == static_cast<std::uint32_t>(ExitKind::kParent))
        error.hint = "the scheduler above it left; the host tries to load it again, below the next one";
    else if (exit.kind == static_cast<std::uint32_t>(ExitKind::kUnreg))
        error.hint = "it was detached by somebody else, or by the kernel on somebody else's account";
    else if (exit.asks_for_restart())
        error.hint = exit.is_hotplug() ? "a CPU came or went: it is loaded again for the new topology"
                                       : "it asks to be started again";
    return error;
}

void Seat::sample() {
    Spec& spec = specs_.at(running_->id);
    running_->sample_due = false;
    Result<StatisticsSample> taken = take_sample(*spec.scheduler, running_->number, Clock::now() - running_->start);
    if (!taken)
        return listener_.on_seat_warning(taken.error());
    running_->statistics.remember(*std::move(taken));
    listener_.on_seat_sample(*this, *running_->statistics.latest());
}

Result<StatisticsReport> Seat::statistics() {
    if (!running_)
        return fail(ErrorKind::kUsage, "no scheduler of this host runs", "scxhost status says why");
    StatisticsReport report;
    report.seat = name();
    report.now =
        SCXHOST_TRY(take_sample(*specs_.at(running_->id).scheduler, running_->number, Clock::now() - running_->start));
    if (const StatisticsSample* base = running_->statistics.base())
        report.earlier = *base;
    // Who asks will ask again, and wants to see rates of an interval.
    const bool rested = time_to_look() > interval_;
    asked_ = Clock::now();
    if (rested) {
        running_->statistics.remember(report.now);
        arm_interval();
    }
    return report;
}

SeatStatus Seat::status() const {
    SeatStatus status;
    status.seat = name();
    status.phase = lifecycle_.phase();
    status.kernel = services_.probe.read();
    if (is_branch()) {
        status.above = place_.above->name();
        status.cgroup = place_.cgroup;
        status.tasks = count_threads(place_.cgroup);
        const std::uint64_t cgroup = find_cgroup(place_.cgroup).value_or(kNoCgroup);
        // Of what is below a cgroup the kernel shows no state.
        status.kernel = services_.probe.read(cgroup);
        status.caps = SchedExtSysfs().caps(cgroup);
        status.cpus = count_granted(status.caps);
    }
    if (running_) {
        const Spec& spec = specs_.at(running_->id);
        const SchedulerFacts& facts = spec.scheduler->facts();
        status.running = SeatStatus::Running{.name = facts.name,
                                             .title = spec.label,
                                             .ops_name = facts.ops_name,
                                             .build_id = facts.build_id,
                                             .enable_seq = running_->attached.enable_seq,
                                             .since_start = Clock::now() - running_->start,
                                             .hang = spec.scheduler->hang(),
                                             .config = spec.config.name,
                                             .object = spec.config.scheduler.object.string(),
                                             .options = facts.options,
                                             .process = spec.scheduler->process()};
        status.agrees = check_presence(*spec.scheduler, services_.probe, running_->attached.enable_seq).presence ==
                        Presence::kRunning;
    } else if (is_branch()) {
        status.agrees = status.kernel.ops_name().empty() || lifecycle_.stand_down_reason() == StandDownReason::kForeign;
        status.waits_for = lifecycle_.phase() == Phase::kWaiting ? missing_place() : "";
    } else {
        status.agrees = status.kernel.state != SchedExtState::kEnabled ||
                        lifecycle_.stand_down_reason() == StandDownReason::kForeign;
    }
    status.kept = label_of(lifecycle_.kept());
    status.last_good = label_of(lifecycle_.last_good());
    for (const SchedulerId id : fallbacks_)
        status.fallback.push_back(label_of(id));
    status.quarantine = lifecycle_.quarantine();
    if (const auto reason = lifecycle_.stand_down_reason())
        status.stood_down = SeatStatus::StoodDown{*reason, stand_down_message_};
    status.preparing = label_of(lifecycle_.pending());
    status.last_swap = last_swap_;
    status.recent_failures = lifecycle_.recent_failures();
    status.away = away_.totals(Clock::now());
    return status;
}

SeatTotals Seat::totals() const {
    SeatTotals totals = totals_;
    totals.failures = lifecycle_.all_failures();
    return totals;
}

void Seat::emit(std::string_view event, nlohmann::json fields) {
    fields["seat"] = name();
    listener_.on_seat_event(event, std::move(fields));
}

void Seat::warn_if_failed(const Result<>& result) {
    if (!result)
        listener_.on_seat_warning(result.error());
}

void Seat::report(const Error& error) {
    listener_.on_seat_error(*this, error);
}

SchedulerIdentity Seat::identity_of(const Spec& spec) const {
    const SchedulerFacts& facts = spec.scheduler->facts();
    return {.build = facts.build_id,
            .file_digest = facts.file_digest,
            .options = join_options(facts.options),
            .title = spec.label};
}

// Two of one title are told apart by the options in which they differ.
std::string Seat::title_beside(const Spec& spec, const Spec* other) const {
    if (other == nullptr || other == &spec || other->label != spec.label || !spec.scheduler || !other->scheduler)
        return spec.label;
    const auto& others = other->scheduler->facts().options;
    std::vector<std::pair<std::string, std::string>> differing;
    for (const auto& option : spec.scheduler->facts().options)
        if (std::ranges::find(others, option) == others.end())
            differing.push_back(option);
    return differing.empty() ? spec.label : fmt::format("{} ({})", spec.label, join_options(differing));
}

std::string Seat::running_title() const {
    return running_ ? specs_.at(running_->id).label : std::string();
}

const Seat::Spec* Seat::find(std::optional<SchedulerId> id) const {
    const auto spec = id ? specs_.find(*id) : specs_.end();
    return spec == specs_.end() ? nullptr : &spec->second;
}

std::string Seat::label_of(std::optional<SchedulerId> id) const {
    const Spec* spec = find(id);
    return spec == nullptr ? std::string() : spec->label;
}

} // namespace scxhost
