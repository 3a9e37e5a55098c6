// SPDX-License-Identifier: GPL-2.0-only
#include "host/supervisor/lifecycle.hpp"

#include <algorithm>
#include <utility>

namespace scxhost {
namespace {

// Requests that proved themselves and are remembered to go back to.
constexpr std::size_t kMaxGood = 3;
// CPUs often come or go in numbers: the second reload within this time waits as long.
constexpr auto kReloadDebounce = std::chrono::seconds(1);

} // namespace

std::string_view to_string(Phase phase) {
    switch (phase) {
    case Phase::kEmpty:
        return "empty";
    case Phase::kSwitching:
        return "switching";
    case Phase::kProbation:
        return "probation";
    case Phase::kGood:
        return "good";
    case Phase::kRecovering:
        return "recovering";
    case Phase::kStopped:
        return "stopped";
    case Phase::kStoodDown:
        break;
    }
    return "stood-down";
}

std::string_view to_string(StandDownReason reason) {
    switch (reason) {
    case StandDownReason::kOperator:
        return "operator";
    case StandDownReason::kForeign:
        return "foreign";
    case StandDownReason::kNothingLeft:
        return "nothing-left";
    case StandDownReason::kTooManyFailures:
        break;
    }
    return "too-many-failures";
}

std::string_view to_string(SwapOutcome outcome) {
    switch (outcome) {
    case SwapOutcome::kGood:
        return "good";
    case SwapOutcome::kRefused:
        return "refused";
    case SwapOutcome::kRolledBack:
        return "rolled-back";
    case SwapOutcome::kFailed:
        return "failed";
    case SwapOutcome::kSuperseded:
        break;
    }
    return "superseded";
}

LeaveClass classify(const ExitReport& exit) {
    if (exit.is_error())
        return LeaveClass::kError;
    switch (static_cast<ExitKind>(exit.kind)) {
    case ExitKind::kSysrq:
        return LeaveClass::kOperator;
    case ExitKind::kUnregKernel:
    case ExitKind::kParent: // swapped, most likely: there will be another one to be below
        return LeaveClass::kTopology;
    default:
        break;
    }
    if (!exit.asks_for_restart())
        return LeaveClass::kByItself;
    return exit.is_hotplug() ? LeaveClass::kTopology : LeaveClass::kRestart;
}

Lifecycle::Lifecycle(LifecycleSettings settings, std::function<double()> random)
    : settings_(settings)
    , random_(std::move(random)) {}

std::vector<Action> Lifecycle::handle(const Event& event, Time now) {
    now_ = now;
    while (!failures_.empty() && now - failures_.front() > settings_.failure_window)
        failures_.pop_front();
    std::visit([this](const auto& happened) { on(happened); }, event);
    std::erase_if(builds_, [this](const auto& entry) { return !refers_to(entry.first); });
    return std::exchange(actions_, {});
}

std::optional<SchedulerId> Lifecycle::pending() const {
    return pending_ ? std::optional(pending_->id) : std::nullopt;
}

std::optional<SchedulerId> Lifecycle::last_good() const {
    if (kept_)
        return kept_;
    // Another request for the same build would fail as the running one does.
    const auto running_build = running_ ? builds_.find(*running_) : builds_.end();
    const auto found = std::ranges::find_if(good_, [&](SchedulerId id) {
        const auto build = builds_.find(id);
        const bool same =
            running_build != builds_.end() && build != builds_.end() && build->second == running_build->second;
        return id != running_ && !same && usable(id);
    });
    return found == good_.end() ? std::nullopt : std::optional(*found);
}

bool Lifecycle::refers_to(SchedulerId id) const {
    return running_ == id || kept_ == id || pending() == id || asked_ == id || wanted_ == id ||
           std::ranges::find(good_, id) != good_.end() || std::ranges::find(fallbacks_, id) != fallbacks_.end();
}

void Lifecycle::on(const event::Requested& requested) {
    // Two at a time would make the answer to either of them a guess.
    if (pending_ && pending_->purpose == Purpose::kRequest)
        return act(action::Settle{requested.id, SwapOutcome::kSuperseded});
    settle(SwapOutcome::kSuperseded);
    pending_.reset(); // a recovery: the operator knows better
    waiting_ = false;
    if (!running_)
        wanted_ = requested.id;
    asked_ = requested.id;
    start({.id = requested.id, .purpose = Purpose::kRequest, .force = requested.force});
}

void Lifecycle::on(const event::Prepared& prepared) {
    builds_[prepared.id] = prepared.build;
    if (!pending_ || pending_->id != prepared.id || waiting_)
        return act(action::Release{prepared.id});
    if (pending_->stale) {
        act(action::Release{prepared.id});
        return start_again(*pending_);
    }
    if (quarantined_.contains(prepared.build) && !pending_->force) {
        act(action::Release{prepared.id});
        return on(event::PrepareFailed{prepared.id});
    }
    if (pending_->force)
        quarantined_.erase(prepared.build);
    if (pending_->purpose == Purpose::kRefresh) {
        kept_loaded_ = true;
        pending_.reset();
        return;
    }
    before_switch_ = phase_;
    phase_ = Phase::kSwitching;
    act(action::Switch{prepared.id});
}

void Lifecycle::on(const event::PrepareFailed& failed) {
    if (!pending_ || pending_->id != failed.id)
        return;
    const Purpose purpose = pending_->purpose;
    pending_.reset();
    if (kept_ == failed.id)
        kept_.reset();
    if (purpose == Purpose::kRefresh)
        return;
    tried_.insert(failed.id);
    if (purpose == Purpose::kRequest) {
        // At the start, and where a recovery was under way, something has to run.
        if (phase_ != Phase::kEmpty && phase_ != Phase::kRecovering)
            return settle(SwapOutcome::kRefused);
    }
    if (!count_failure())
        return;
    recover();
}

void Lifecycle::on(const event::Switched&) {
    const SchedulerId id = pending_->id;
    if (pending_->purpose == Purpose::kRequest)
        wanted_ = id;
    pending_.reset();
    const std::optional<SchedulerId> previous = std::exchange(running_, id);
    stand_down_.reset();
    // Going back to one that has proven itself is no trial.
    const bool back = kept_ == id;
    const bool proven = back && kept_is_good_;
    if (back) {
        kept_.reset();
        kept_loaded_ = false;
    }
    if (previous) {
        // Of two to go back to, the one that has proven itself is kept; one that has not is better than none.
        const bool was_good = before_switch_ == Phase::kGood;
        if (was_good || !kept_) {
            release_kept();
            kept_ = previous;
            kept_loaded_ = true;
            kept_is_good_ = was_good;
        } else {
            act(action::Release{*previous});
        }
    }
    if (asked_ && asked_ != id)
        settle(back ? SwapOutcome::kRolledBack : SwapOutcome::kFailed);
    if (proven || settings_.probation.count() <= 0)
        return become_good();
    phase_ = Phase::kProbation;
    act(action::StartProbation{});
}

void Lifecycle::on(const event::SwitchFailed& failed) {
    using Cause = event::SwitchFailed::Cause;
    Pending pending = *std::exchange(pending_, std::nullopt);
    phase_ = failed.restored ? before_switch_ : Phase::kRecovering;
    if (!failed.restored) {
        if (running_)
            act(action::Release{*running_});
        running_.reset();
    }
    act(action::Release{pending.id});
    if (kept_ == pending.id)
        kept_.reset();
    if (failed.cause == Cause::kTopology)
        return start_again(pending);
    // The scheduler above it went, and may be on its way back: it is tried as often as anything may fail.
    if (failed.cause == Cause::kPlace && pending.purpose == Purpose::kRestart) {
        if (count_failure())
            start_again(pending);
        return;
    }
    if (failed.cause == Cause::kForeign && !failed.restored)
        return stand_down(StandDownReason::kForeign);
    if (failed.cause == Cause::kBuild)
        quarantine(pending.id);
    tried_.insert(pending.id);
    if (!count_failure())
        return;
    if (failed.restored)
        settle(SwapOutcome::kRolledBack);
    else
        recover();
}

void Lifecycle::on(const event::Left& left) {
    const SchedulerId id = *std::exchange(running_, std::nullopt);
    act(action::Release{id});
    phase_ = Phase::kRecovering;
    if (left.why == LeaveClass::kOperator)
        return stand_down(StandDownReason::kOperator);
    if (left.why == LeaveClass::kError) {
        quarantine(id);
        if (!count_failure())
            return;
    }
    if (left.overtaken)
        return stand_down(StandDownReason::kForeign);
    // A request that is being prepared goes on: it is what the operator wants. But a kept one is there at once.
    if (pending_ && pending_->purpose == Purpose::kRequest && !(kept_ && kept_loaded_))
        return hurry();
    if (left.why == LeaveClass::kRestart || left.why == LeaveClass::kTopology)
        return restart(id, left.why == LeaveClass::kRestart);
    tried_.insert(id);
    recover();
}

void Lifecycle::on(const event::Replaced&) {
    if (const std::optional<SchedulerId> id = std::exchange(running_, std::nullopt))
        act(action::Release{*id});
    stand_down(StandDownReason::kForeign);
}

void Lifecycle::on(const event::ProbationOver&) {
    if (phase_ == Phase::kProbation)
        become_good();
}

void Lifecycle::on(const event::DelayOver&) {
    if (waiting_)
        start(*pending_);
}

void Lifecycle::on(const event::StopRequested&) {
    drop_pending(SwapOutcome::kSuperseded);
    settle(SwapOutcome::kSuperseded);
    if (running_) {
        act(action::Detach{});
        act(action::Release{*running_});
        wanted_ = std::exchange(running_, std::nullopt);
    }
    release_kept();
    stand_down_.reset();
    phase_ = Phase::kStopped;
}

void Lifecycle::on(const event::ResumeRequested&) {
    failures_.clear();
    restarts_.clear();
    quarantined_.clear();
    tried_.clear();
    attempts_ = 0;
    if (!wanted_ || running_ == wanted_ || (pending_ && pending_->purpose == Purpose::kRequest))
        return;
    on(event::Requested{.id = *wanted_});
    asked_.reset(); // that request was answered in its time
}

void Lifecycle::on(const event::TopologyChanged&) {
    if (pending_ && !waiting_)
        pending_->stale = true;
    if (!kept_ || !kept_loaded_)
        return;
    kept_loaded_ = false;
    act(action::Release{*kept_});
    if (!pending_)
        start({.id = *kept_, .purpose = Purpose::kRefresh});
}

void Lifecycle::start(Pending pending) {
    pending.stale = false;
    waiting_ = false;
    if (kept_ == pending.id && std::exchange(kept_loaded_, false))
        act(action::Release{pending.id}); // it is loaded anew
    pending_ = pending;
    act(action::Prepare{pending.id});
}

void Lifecycle::start_after(Pending pending, std::chrono::nanoseconds delay) {
    if (delay.count() <= 0)
        return start(pending);
    pending.stale = false;
    pending_ = pending;
    waiting_ = true;
    act(action::StartDelay{delay});
}

// A CPU came or went meanwhile. That is nobody's fault and ends some time: it is never given up, but in a storm the
// pauses grow.
void Lifecycle::start_again(Pending pending) {
    const unsigned attempt = pending.reloads++;
    start_after(pending, pause(attempt));
}

// Nothing runs any more: what waits for a better moment has none.
void Lifecycle::hurry() {
    if (waiting_)
        start(*pending_);
}

void Lifecycle::drop_pending(SwapOutcome outcome) {
    if (pending_ && asked_ == pending_->id)
        settle(outcome);
    pending_.reset();
    waiting_ = false;
}

void Lifecycle::release_kept() {
    if (kept_ && kept_loaded_)
        act(action::Release{*kept_});
    if (pending_ && pending_->purpose == Purpose::kRefresh)
        pending_.reset();
    kept_.reset();
    kept_loaded_ = false;
}

void Lifecycle::become_good() {
    phase_ = Phase::kGood;
    release_kept();
    std::erase(good_, *running_);
    good_.insert(good_.begin(), *running_);
    if (good_.size() > kMaxGood)
        good_.resize(kMaxGood);
    tried_.clear();
    attempts_ = 0;
    if (asked_ == running_)
        settle(SwapOutcome::kGood);
}

// Nothing of ours runs: the kept one at once, else the next candidate, the first without a pause.
void Lifecycle::recover() {
    phase_ = Phase::kRecovering;
    if (kept_ && kept_loaded_ && usable(*kept_)) {
        // A request that is still being prepared is not lost: the operator hears that it was overtaken.
        drop_pending(SwapOutcome::kSuperseded);
        pending_ = Pending{.id = *kept_, .purpose = Purpose::kRecovery};
        before_switch_ = phase_;
        phase_ = Phase::kSwitching;
        return act(action::Switch{*kept_});
    }
    if (pending_ && pending_->purpose == Purpose::kRefresh) {
        pending_->purpose = Purpose::kRecovery;
        return hurry();
    }
    const std::optional<SchedulerId> next = next_candidate();
    if (!next)
        return stand_down(StandDownReason::kNothingLeft);
    start_after({.id = *next, .purpose = Purpose::kRecovery}, pause(attempts_++));
}

// Loads the same one anew. The first restart in the window comes at once, the next ones wait; one that asks too often
// has failed. A change of topology is nobody's fault, but when they come in numbers the next one waits a little.
void Lifecycle::restart(SchedulerId id, bool penalty) {
    std::chrono::nanoseconds delay{};
    if (penalty) {
        while (!restarts_.empty() && now_ - restarts_.front() > settings_.failure_window)
            restarts_.pop_front();
        restarts_.push_back(now_);
        if (restarts_.size() > settings_.failure_limit) {
            quarantine(id);
            tried_.insert(id);
            return recover();
        }
        delay = pause(static_cast<unsigned>(restarts_.size()) - 1);
    } else {
        if (last_reload_ && now_ - *last_reload_ < kReloadDebounce)
            delay = kReloadDebounce;
        last_reload_ = now_ + delay;
    }
    start_after({.id = id, .purpose = Purpose::kRestart}, delay);
}

void Lifecycle::stand_down(StandDownReason reason) {
    drop_pending(SwapOutcome::kFailed);
    settle(SwapOutcome::kFailed);
    release_kept();
    phase_ = Phase::kStoodDown;
    stand_down_ = reason;
    act(action::StandDown{reason});
}

void Lifecycle::quarantine(SchedulerId id) {
    const auto build = builds_.find(id);
    if (build != builds_.end() && quarantined_.insert(build->second).second)
        act(action::Quarantine{id});
}

void Lifecycle::settle(SwapOutcome outcome) {
    if (const std::optional<SchedulerId> id = std::exchange(asked_, std::nullopt))
        act(action::Settle{*id, outcome});
}

bool Lifecycle::count_failure() {
    failures_.push_back(now_);
    if (failures_.size() <= settings_.failure_limit || running_)
        return true;
    stand_down(StandDownReason::kTooManyFailures);
    return false;
}

bool Lifecycle::usable(SchedulerId id) const {
    const auto build = builds_.find(id);
    return build == builds_.end() || !quarantined_.contains(build->second);
}

std::optional<SchedulerId> Lifecycle::next_candidate() const {
    for (const std::vector<SchedulerId>* candidates : {&good_, &fallbacks_})
        for (const SchedulerId id : *candidates)
            if (!tried_.contains(id) && usable(id))
                return id;
    return std::nullopt;
}

std::chrono::nanoseconds Lifecycle::pause(unsigned attempt) {
    if (attempt == 0)
        return {};
    std::chrono::nanoseconds delay = settings_.delay;
    for (unsigned i = 1; i < attempt && delay < settings_.max_delay; ++i)
        delay *= 2;
    delay = std::min(delay, settings_.max_delay);
    const double factor = 0.75 + 0.5 * random_();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(delay * factor);
}

} // namespace scxhost
