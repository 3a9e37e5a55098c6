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
// Failures that are remembered; whoever asks for ever new options must not fill the memory.
constexpr std::size_t kMaxQuarantined = 64;

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
    case Phase::kWaiting:
        return "waiting";
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
    case SwapOutcome::kUnchanged:
        return "unchanged";
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
    case ExitKind::kUnreg:
        return LeaveClass::kUnregistered;
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
    std::erase_if(identities_, [this](const auto& entry) { return !refers_to(entry.first); });
    return std::exchange(actions_, {});
}

std::optional<SchedulerId> Lifecycle::pending() const {
    return pending_ ? std::optional(pending_->id) : std::nullopt;
}

bool Lifecycle::awaits(PreparationTicket ticket) const {
    return ticket != 0 && pending_ && pending_->ticket == ticket;
}

std::optional<SchedulerId> Lifecycle::last_good() const {
    if (kept_)
        return kept_;
    // Another request for the same would fail as the running one does.
    const auto running = running_ ? identities_.find(*running_) : identities_.end();
    const auto found = std::ranges::find_if(good_, [&](SchedulerId id) {
        const auto identity = identities_.find(id);
        const bool same =
            running != identities_.end() && identity != identities_.end() && identity->second == running->second;
        return id != running_ && !same && usable(id);
    });
    return found == good_.end() ? std::nullopt : std::optional(*found);
}

const Quarantined* Lifecycle::find_quarantined(const SchedulerIdentity& identity) const {
    const auto found =
        std::ranges::find_if(quarantine_, [&](const Quarantined& entry) { return entry.identity == identity; });
    return found == quarantine_.end() ? nullptr : &*found;
}

bool Lifecycle::refers_to(SchedulerId id) const {
    return running_ == id || kept_ == id || pending() == id || unsettled_.contains(id) || last_request_ == id ||
           std::ranges::find(good_, id) != good_.end() || std::ranges::find(fallbacks_, id) != fallbacks_.end();
}

void Lifecycle::on(const event::Requested& requested) {
    // Two at a time would make the answer to either of them a guess.
    if (pending_ && pending_->purpose == Purpose::kRequest)
        return add_action(action::Settle{requested.id, SwapOutcome::kSuperseded});
    unsettled_.insert(requested.id);
    begin_request(requested.id, requested.force);
}

// In the place of a recovery that is under way: the operator knows better. What is on probation stays there, and its
// outcome open, until the new one takes its place.
void Lifecycle::begin_request(SchedulerId id, bool force) {
    let_go();
    pending_.reset();
    waiting_ = false;
    if (!running_)
        last_request_ = id;
    start({.id = id, .purpose = Purpose::kRequest, .force = force});
}

void Lifecycle::on(const event::Prepared& prepared) {
    if (!awaits(prepared.ticket))
        return;
    pending_->ticket = 0;
    const SchedulerId id = pending_->id;
    identities_[id] = prepared.identity;
    if (pending_->stale) {
        add_action(action::Release{id});
        return start_again(*pending_);
    }
    if (pending_->force)
        std::erase_if(quarantine_, [&](const Quarantined& entry) { return entry.identity == prepared.identity; });
    if (!usable(id)) {
        add_action(action::Release{id});
        return could_not_prepare(*std::exchange(pending_, std::nullopt));
    }
    if (pending_->purpose == Purpose::kRefresh) {
        kept_loaded_ = true;
        pending_.reset();
        return;
    }
    if (place_)
        switch_to(*pending_);
    else
        hold(*pending_, true);
}

void Lifecycle::on(const event::PrepareFailed& failed) {
    if (awaits(failed.ticket) && !place_)
        hold(*pending_, false); // no wonder
    else if (awaits(failed.ticket))
        could_not_prepare(*std::exchange(pending_, std::nullopt));
}

void Lifecycle::could_not_prepare(Pending pending) {
    if (kept_ == pending.id) {
        kept_.reset();
        kept_loaded_ = false;
    }
    if (pending.purpose == Purpose::kRefresh)
        return;
    tried_.insert(pending.id);
    // At the start, and where a recovery was under way, something has to run.
    if (pending.purpose == Purpose::kRequest && phase_ != Phase::kEmpty && phase_ != Phase::kRecovering)
        return settle(pending.id, SwapOutcome::kRefused);
    if (count_failure())
        recover();
}

void Lifecycle::on(const event::Unchanged& unchanged) {
    if (!awaits(unchanged.ticket))
        return;
    const SchedulerId id = std::exchange(pending_, std::nullopt)->id;
    settle(id, SwapOutcome::kUnchanged);
}

void Lifecycle::on(const event::Switched& switched) {
    const SchedulerId id = pending_->id;
    if (pending_->purpose == Purpose::kRequest)
        last_request_ = id;
    const bool was_proven = pending_->proven;
    pending_.reset();
    const std::optional<SchedulerId> previous = std::exchange(running_, id);
    stand_down_.reset();
    // Going back to one that has proven itself is no trial.
    const bool back = kept_ == id;
    const bool proven = was_proven || (back && kept_is_good_);
    if (back) {
        kept_.reset();
        kept_loaded_ = false;
    }
    if (previous && switched.previous) {
        blame_previous(*previous, *switched.previous);
        add_action(action::Release{*previous});
    } else if (previous) {
        // Of two to go back to, the one that has proven itself is kept; one that has not is better than none.
        const bool was_good = before_switch_ == Phase::kGood;
        if (was_good || !kept_) {
            release_kept();
            kept_ = previous;
            kept_loaded_ = true;
            kept_is_good_ = was_good;
        } else {
            add_action(action::Release{*previous});
        }
    }
    // Whoever asked for one that had still to prove itself.
    const std::set<SchedulerId> asked = unsettled_;
    for (const SchedulerId other : asked) {
        if (other == id)
            continue;
        const bool replaced = other == previous && !switched.previous;
        settle(other, replaced ? SwapOutcome::kSuperseded : back ? SwapOutcome::kRolledBack : SwapOutcome::kFailed);
    }
    if (proven || settings_.probation.count() <= 0)
        return become_good();
    phase_ = Phase::kProbation;
    add_action(action::StartProbation{});
}

void Lifecycle::on(const event::SwitchFailed& failed) {
    using Cause = event::SwitchFailed::Cause;
    Pending pending = *std::exchange(pending_, std::nullopt);
    const bool exited = failed.cause == Cause::kExit;
    phase_ = failed.restored ? before_switch_ : Phase::kRecovering;
    if (!failed.restored && running_) {
        const SchedulerId previous = *std::exchange(running_, std::nullopt);
        add_action(action::Release{previous});
        if (failed.previous) {
            blame_previous(previous, *failed.previous);
        } else if (!kept_) {
            // It could not be attached a second time. Loaded anew it is still what there was to go back to.
            kept_ = previous;
            kept_is_good_ = before_switch_ == Phase::kGood;
        }
    }
    add_action(action::Release{pending.id});
    const bool out_of_date = failed.cause == Cause::kTopology || (exited && failed.exit == LeaveClass::kTopology);
    if (kept_ == pending.id) {
        kept_loaded_ = false;
        if (!out_of_date)
            kept_.reset();
    }
    if (out_of_date) {
        pending.was_attached = false; // it is loaded anew
        return start_again(pending);
    }
    if (exited && failed.exit == LeaveClass::kOperator) {
        if (running_) {
            add_action(action::Detach{});
            add_action(action::Release{*std::exchange(running_, std::nullopt)});
        }
        return stand_down(StandDownReason::kOperator);
    }
    // The scheduler above it went, and may be on its way back: it is tried as often as anything may fail.
    if (failed.cause == Cause::kPlace && pending.purpose == Purpose::kRestart) {
        if (count_failure())
            start_again(pending);
        return;
    }
    if (failed.cause == Cause::kForeign && !failed.restored)
        return stand_down(StandDownReason::kForeign);
    // It did run. What its maps remember of that may be in its way now: it is loaded anew before it is blamed.
    if (std::exchange(pending.was_attached, false))
        return start_after(pending, pause(attempts_++));
    // The same as when it leaves a moment later.
    const bool asks_again = exited && (failed.exit == LeaveClass::kRestart || failed.exit == LeaveClass::kUnregistered);
    if (asks_again)
        if (const auto delay = grant_restart())
            return start_after(pending, *delay);
    if (failed.cause == Cause::kRefused ||
        (exited && (failed.exit == LeaveClass::kError || failed.exit == LeaveClass::kRestart)))
        quarantine(pending.id, failed.reason);
    tried_.insert(pending.id);
    if (!count_failure())
        return;
    if (failed.restored)
        settle(pending.id, SwapOutcome::kRolledBack);
    else
        recover();
}

void Lifecycle::on(const event::Left& left) {
    const SchedulerId id = *std::exchange(running_, std::nullopt);
    add_action(action::Release{id});
    phase_ = Phase::kRecovering;
    if (left.why == LeaveClass::kOperator)
        return stand_down(StandDownReason::kOperator);
    if (left.why == LeaveClass::kError) {
        quarantine(id, left.reason);
        if (!count_failure())
            return;
    }
    if (left.overtaken)
        return stand_down(StandDownReason::kForeign);
    const bool comes_again =
        left.why == LeaveClass::kRestart || left.why == LeaveClass::kTopology || left.why == LeaveClass::kUnregistered;
    // A request that is being prepared goes on: it is what the operator wants. But a kept one is there at once.
    if (pending_ && pending_->purpose == Purpose::kRequest && (comes_again || !(kept_ && kept_loaded_)))
        return stop_waiting();
    if (comes_again)
        return restart(id, left.why);
    tried_.insert(id);
    recover();
}

void Lifecycle::on(const event::Replaced&) {
    if (const std::optional<SchedulerId> id = std::exchange(running_, std::nullopt))
        add_action(action::Release{*id});
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
    if (held_)
        last_request_ = pending_->id;
    drop_pending(SwapOutcome::kSuperseded);
    settle_all(SwapOutcome::kSuperseded);
    if (running_) {
        add_action(action::Detach{});
        add_action(action::Release{*running_});
        last_request_ = std::exchange(running_, std::nullopt);
    }
    release_kept();
    stand_down_.reset();
    phase_ = Phase::kStopped;
}

void Lifecycle::on(const event::ResumeRequested&) {
    failures_.clear();
    restarts_.clear();
    quarantine_.clear();
    tried_.clear();
    attempts_ = 0;
    if (!last_request_ || running_ == last_request_ || held_ || (pending_ && pending_->purpose == Purpose::kRequest))
        return;
    begin_request(*last_request_, false);
}

void Lifecycle::on(const event::TopologyChanged&) {
    if (pending_ && !waiting_)
        pending_->stale = true;
    if (!kept_ || !kept_loaded_)
        return;
    kept_loaded_ = false;
    add_action(action::Release{*kept_});
    if (!pending_)
        start({.id = *kept_, .purpose = Purpose::kRefresh});
}

// What ran is held as it is. A request that was being prepared is given up: it was made for what ran.
void Lifecycle::on(const event::PlaceLost& lost) {
    place_ = false;
    if (!lost.detached)
        return;
    const bool proven = phase_ == Phase::kGood;
    drop_pending(SwapOutcome::kSuperseded);
    const SchedulerId id = *std::exchange(running_, std::nullopt);
    hold({.id = id, .purpose = Purpose::kRestart, .was_attached = true, .proven = proven}, true);
}

void Lifecycle::on(const event::PlaceFound&) {
    place_ = true;
    if (!std::exchange(held_, false))
        return;
    phase_ = Phase::kRecovering;
    if (!std::exchange(held_loaded_, false))
        return start(*pending_);
    if (!pending_->stale)
        return switch_to(*pending_);
    release_held();
    start(*pending_);
}

// Until there is a place for it.
void Lifecycle::hold(Pending pending, bool loaded) {
    pending.ticket = 0;
    pending_ = pending;
    held_ = true;
    held_loaded_ = loaded;
    if (!running_)
        phase_ = Phase::kWaiting;
}

void Lifecycle::let_go() {
    if (std::exchange(held_, false) && std::exchange(held_loaded_, false))
        release_held();
}

// The kept one stays what there is to go back to.
void Lifecycle::release_held() {
    if (kept_ != pending_->id || !kept_loaded_)
        add_action(action::Release{pending_->id});
}

void Lifecycle::switch_to(Pending pending) {
    pending_ = pending;
    before_switch_ = phase_;
    phase_ = Phase::kSwitching;
    add_action(action::Switch{pending.id});
}

void Lifecycle::start(Pending pending) {
    pending.stale = false;
    pending.was_attached = false;
    pending.proven = false;
    waiting_ = false;
    if (!place_)
        return hold(pending, false);
    pending.ticket = ++last_ticket_;
    if (kept_ == pending.id && std::exchange(kept_loaded_, false))
        add_action(action::Release{pending.id}); // it is loaded anew
    pending_ = pending;
    add_action(action::Prepare{pending.id, pending.ticket});
}

void Lifecycle::start_after(Pending pending, std::chrono::nanoseconds delay) {
    if (delay.count() <= 0)
        return start(pending);
    pending.stale = false;
    pending.ticket = 0;
    pending_ = pending;
    waiting_ = true;
    add_action(action::StartDelay{delay});
}

// A CPU came or went meanwhile. That is nobody's fault and ends some time: it is never given up, but in a storm the
// pauses grow.
void Lifecycle::start_again(Pending pending) {
    const unsigned attempt = pending.reloads++;
    start_after(pending, pause(attempt));
}

// Nothing runs any more: what waits for a better moment has none.
void Lifecycle::stop_waiting() {
    if (waiting_)
        start(*pending_);
}

void Lifecycle::drop_pending(SwapOutcome outcome) {
    if (pending_)
        settle(pending_->id, outcome);
    let_go();
    pending_.reset();
    waiting_ = false;
}

void Lifecycle::release_kept() {
    if (kept_ && kept_loaded_)
        add_action(action::Release{*kept_});
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
    settle(*running_, SwapOutcome::kGood);
}

// Nothing of ours runs: the kept one at once, else the next candidate, the first without a pause.
void Lifecycle::recover() {
    phase_ = Phase::kRecovering;
    if (kept_ && kept_loaded_ && usable(*kept_)) {
        // A request that is still being prepared is not lost: the operator hears that it was overtaken.
        drop_pending(SwapOutcome::kSuperseded);
        const Pending back{.id = *kept_, .purpose = Purpose::kRecovery, .was_attached = true};
        return place_ ? switch_to(back) : hold(back, true);
    }
    if (pending_ && pending_->purpose == Purpose::kRefresh) {
        pending_->purpose = Purpose::kRecovery;
        return stop_waiting();
    }
    const std::optional<SchedulerId> next = next_candidate();
    if (!next)
        return stand_down(StandDownReason::kNothingLeft);
    start_after({.id = *next, .purpose = Purpose::kRecovery}, pause(attempts_++));
}

// Loads the same one anew. A change of topology is nobody's fault, but when they come in numbers the next one waits a
// little.
void Lifecycle::restart(SchedulerId id, LeaveClass why) {
    if (why == LeaveClass::kTopology) {
        std::chrono::nanoseconds delay{};
        if (last_reload_ && now_ - *last_reload_ < kReloadDebounce)
            delay = kReloadDebounce;
        last_reload_ = now_ + delay;
        return start_after({.id = id, .purpose = Purpose::kRestart}, delay);
    }
    if (const auto delay = grant_restart())
        return start_after({.id = id, .purpose = Purpose::kRestart}, *delay);
    if (why == LeaveClass::kRestart)
        quarantine(id, "it asks to be started again too often (restart.limit)");
    tried_.insert(id);
    recover();
}

// The first restart in the window comes at once, the next ones wait; nullopt when there were too many.
std::optional<std::chrono::nanoseconds> Lifecycle::grant_restart() {
    while (!restarts_.empty() && now_ - restarts_.front() > settings_.failure_window)
        restarts_.pop_front();
    restarts_.push_back(now_);
    if (restarts_.size() > settings_.failure_limit)
        return std::nullopt;
    return pause(static_cast<unsigned>(restarts_.size()) - 1);
}

// What ran had failed before its successor took its place: it is none to go back to.
void Lifecycle::blame_previous(SchedulerId id, const event::Left& left) {
    if (left.why != LeaveClass::kError)
        return;
    quarantine(id, left.reason);
    note_failure();
}

void Lifecycle::stand_down(StandDownReason reason) {
    drop_pending(SwapOutcome::kFailed);
    settle_all(SwapOutcome::kFailed);
    release_kept();
    phase_ = Phase::kStoodDown;
    stand_down_ = reason;
    add_action(action::StandDown{reason});
}

void Lifecycle::quarantine(SchedulerId id, const std::string& reason) {
    const auto identity = identities_.find(id);
    if (identity == identities_.end())
        return;
    std::erase_if(quarantine_, [&](const Quarantined& entry) { return entry.identity == identity->second; });
    if (quarantine_.size() == kMaxQuarantined)
        quarantine_.erase(quarantine_.begin());
    quarantine_.push_back({identity->second, reason});
    add_action(action::Quarantine{id, quarantine_.back()});
}

void Lifecycle::settle(SchedulerId id, SwapOutcome outcome) {
    if (unsettled_.erase(id) > 0)
        add_action(action::Settle{id, outcome});
}

void Lifecycle::settle_all(SwapOutcome outcome) {
    for (const SchedulerId id : std::exchange(unsettled_, {}))
        add_action(action::Settle{id, outcome});
}

void Lifecycle::note_failure() {
    failures_.push_back(now_);
    ++all_failures_;
}

bool Lifecycle::count_failure() {
    note_failure();
    if (failures_.size() <= settings_.failure_limit || running_)
        return true;
    stand_down(StandDownReason::kTooManyFailures);
    return false;
}

bool Lifecycle::usable(SchedulerId id) const {
    const auto identity = identities_.find(id);
    return identity == identities_.end() || find_quarantined(identity->second) == nullptr;
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
