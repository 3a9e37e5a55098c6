// SPDX-License-Identifier: GPL-2.0-only
//
// The supervisor's decisions, and nothing else: what to do next, given what has just happened. No kernel, no clock, no
// thread: events and the time come in, actions go out, and the Supervisor carries them out and reports back. The
// picture of it stands in docs/supervision.md.
//
// The promise: after every event one of these holds. The wanted scheduler runs or is on its way; or the last good one
// does; or a fallback does; or the kernel's own scheduler runs and phase() and stand_down_reason() say why. Nothing is
// tried again without a pause that grows.
#pragma once

#include "host/bpf/exit_report.hpp"

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace scxhost {

// Stands for one request for a scheduler; what it names is the supervisor's business. Never 0.
using SchedulerId = std::uint32_t;

// Stands for one preparation of it, since a request may be prepared more than once, and a preparation that nobody waits
// for any more may still be under way. Never 0, never used twice.
using PreparationTicket = std::uint64_t;

// What quarantine goes by: the same build with the same options would fail again.
struct SchedulerIdentity {
    std::string build;             // hash of what is loaded into the kernel
    std::uint64_t file_digest = 0; // of the whole file that it comes from
    std::string options;           // as bound, in one text
    std::string title;             // for people; no part of the comparison

    [[nodiscard]] bool operator==(const SchedulerIdentity& other) const {
        return build == other.build && file_digest == other.file_digest && options == other.options;
    }
};

// A scheduler that failed, which is not tried again.
struct Quarantined {
    SchedulerIdentity identity;
    std::string reason; // of its latest failure
};

enum class Phase {
    kEmpty,      // nothing has run yet
    kSwitching,  // detaching and attaching
    kProbation,  // it runs; an error brings its predecessor back
    kGood,       // it runs and has proven itself
    kRecovering, // nothing of ours runs; the next one is being prepared or waited for
    kStopped,    // the operator stopped it
    kStoodDown,  // nothing of ours runs until somebody asks
    kWaiting,    // nothing of ours runs: the place for it is not there
};
inline constexpr std::size_t kPhases = 8;
[[nodiscard]] std::string_view to_string(Phase phase);

enum class StandDownReason {
    kOperator,        // SysRq-S
    kForeign,         // somebody else's scheduler runs
    kNothingLeft,     // no good one and no fallback is left to try
    kTooManyFailures, // within restart.window
};
[[nodiscard]] std::string_view to_string(StandDownReason reason);

// How a scheduler left, as far as the next step depends on it.
enum class LeaveClass {
    kRestart,      // it asks to be started again
    kTopology,     // a CPU came or went, or its cgroup or the scheduler above it went: load it for what is there now
    kByItself,     // it ended itself without an error
    kUnregistered, // somebody detached it, or the kernel did on somebody's account: nothing that it did
    kOperator,     // SysRq-S
    kError,
};
[[nodiscard]] LeaveClass classify(const ExitReport& exit);

// What became of a request.
enum class SwapOutcome {
    kGood,       // it runs, and probation is over
    kUnchanged,  // the same build runs with the same options already; nothing was touched
    kRefused,    // it could not be prepared; nothing was touched
    kRolledBack, // it was tried, and what ran before runs again
    kFailed,     // it was tried, and what ran before does not run
    kSuperseded, // another scheduler took its place on request, or stop came in between
};
inline constexpr std::size_t kSwapOutcomes = 6;
[[nodiscard]] std::string_view to_string(SwapOutcome outcome);

namespace event {
struct Requested { // by the operator, a changed file, or the start
    SchedulerId id = 0;
    bool force = false; // even when it is quarantined
};
struct Prepared {
    PreparationTicket ticket = 0;
    SchedulerIdentity identity = {};
};
struct PrepareFailed {
    PreparationTicket ticket = 0;
};
struct Unchanged { // what runs is just what was asked for
    PreparationTicket ticket = 0;
};
struct Left { // the running one
    LeaveClass why = LeaveClass::kError;
    bool overtaken = false; // somebody else's scheduler runs by now
    std::string reason = {};
};
struct Switched {                      // the kernel confirms it
    std::optional<Left> previous = {}; // what ran had left, unnoticed, before it was detached
};
struct SwitchFailed {
    enum class Cause {
        kExit,     // the kernel disabled it at once; `exit` tells why
        kRefused,  // for what it is: by the kernel's attach call, or one of its programs could not be attached
        kMachine,  // for want of memory or rights
        kForeign,  // somebody else's scheduler is in the way
        kTopology, // it was loaded for other CPUs
        kPlace,    // the place of a sub-scheduler cannot be had, and it is not its fault
    };
    Cause cause = Cause::kRefused;
    LeaveClass exit = LeaveClass::kError; // of kExit
    bool restored = false;                // what ran before runs again
    std::string reason = {};
    std::optional<Left> previous = {}; // as in Switched; it is then not restored
};
struct Replaced {}; // somebody else's scheduler runs
struct ProbationOver {};
struct DelayOver {};
struct StopRequested {};
struct ResumeRequested {}; // forgets failures and quarantine, and wants the last request again
struct TopologyChanged {}; // loaded objects are out of date
struct PlaceLost {         // of a branch: its cgroup, or the scheduler above it, is not there
    bool detached = false; // what ran was detached for that, and stays loaded
};
struct PlaceFound {}; // it is there again
} // namespace event

using Event = std::variant<event::Requested, event::Prepared, event::PrepareFailed, event::Unchanged, event::Switched,
                           event::SwitchFailed, event::Left, event::Replaced, event::ProbationOver, event::DelayOver,
                           event::StopRequested, event::ResumeRequested, event::TopologyChanged, event::PlaceLost,
                           event::PlaceFound>;

namespace action {
struct Prepare { // load it, in the background; answer with the ticket. Earlier tickets of it are not waited for any
                 // more
    SchedulerId id = 0;
    PreparationTicket ticket = 0;
};
struct Switch { // to a loaded one, from whatever runs, and back to that if it fails; answer at once
    SchedulerId to = 0;
};
struct Detach {}; // the running one
struct Release {  // unload it
    SchedulerId id = 0;
};
struct StartProbation {}; // one timer; started again it begins anew
struct StartDelay {       // another one
    std::chrono::nanoseconds delay{};
};
struct Quarantine { // tell of it; the lifecycle remembers it
    SchedulerId id = 0;
    Quarantined entry;
};
struct Settle { // tell who asked
    SchedulerId id = 0;
    SwapOutcome outcome = SwapOutcome::kGood;
};
struct StandDown {
    StandDownReason reason = StandDownReason::kNothingLeft;
};
} // namespace action

using Action = std::variant<action::Prepare, action::Switch, action::Detach, action::Release, action::StartProbation,
                            action::StartDelay, action::Quarantine, action::Settle, action::StandDown>;

struct LifecycleSettings {
    std::chrono::nanoseconds probation = std::chrono::seconds(10); // 0: good as soon as it is confirmed
    std::size_t failure_limit = 5;                                 // more failures than this in the window: stand down
    std::chrono::nanoseconds failure_window = std::chrono::minutes(10);
    std::chrono::nanoseconds delay = std::chrono::milliseconds(500); // before the second attempt, then doubling
    std::chrono::nanoseconds max_delay = std::chrono::seconds(30);
};

class Lifecycle {
public:
    using Time = std::chrono::steady_clock::time_point;

    // `random` yields numbers in [0, 1): delays vary by a quarter, so that machines that failed together do not come
    // back together.
    Lifecycle(LifecycleSettings settings, std::function<double()> random);

    // The actions are to be carried out in order.
    [[nodiscard]] std::vector<Action> handle(const Event& event, Time now);

    // From the next decision on.
    void configure(const LifecycleSettings& settings) { settings_ = settings; }
    void set_fallbacks(std::vector<SchedulerId> fallbacks) { fallbacks_ = std::move(fallbacks); }

    [[nodiscard]] Phase phase() const { return phase_; }
    [[nodiscard]] std::optional<StandDownReason> stand_down_reason() const { return stand_down_; }
    [[nodiscard]] std::optional<SchedulerId> running() const { return running_; }
    [[nodiscard]] std::optional<SchedulerId> kept() const { return kept_; }
    [[nodiscard]] std::optional<SchedulerId> pending() const;
    // Whether the answer to this preparation is still of use. One that is not is the caller's to dispose of.
    [[nodiscard]] bool awaits(PreparationTicket ticket) const;
    // The one to go back to after the running one; nullopt when there is none.
    [[nodiscard]] std::optional<SchedulerId> last_good() const;
    [[nodiscard]] const std::vector<Quarantined>& quarantine() const { return quarantine_; }
    [[nodiscard]] const Quarantined* find_quarantined(const SchedulerIdentity& identity) const;
    [[nodiscard]] std::size_t recent_failures() const { return failures_.size(); }
    // Since the beginning, forgotten ones too.
    [[nodiscard]] std::uint64_t all_failures() const { return all_failures_; }
    // Whether a decision may still name this one.
    [[nodiscard]] bool refers_to(SchedulerId id) const;

private:
    enum class Purpose {
        kRequest,  // somebody asked for it
        kRecovery, // what ran has left
        kRestart,  // it ran, and is loaded anew
        kRefresh,  // the kept one, out of date
    };
    struct Pending {
        SchedulerId id = 0;
        Purpose purpose = Purpose::kRequest;
        bool force = false;
        PreparationTicket ticket = 0; // 0: it is not being prepared
        bool stale = false;
        bool was_attached = false; // it is loaded still, to be attached as it is a second time
        bool proven = false;       // it was good when its place went
        unsigned reloads = 0;      // because the topology changed meanwhile
    };

    void on(const event::Requested& requested);
    void on(const event::Prepared& prepared);
    void on(const event::PrepareFailed& failed);
    void on(const event::Unchanged& unchanged);
    void on(const event::Switched& switched);
    void on(const event::SwitchFailed& failed);
    void on(const event::Left& left);
    void on(const event::Replaced& replaced);
    void on(const event::ProbationOver& over);
    void on(const event::DelayOver& over);
    void on(const event::StopRequested& request);
    void on(const event::ResumeRequested& request);
    void on(const event::TopologyChanged& change);
    void on(const event::PlaceLost& lost);
    void on(const event::PlaceFound& found);

    void add_action(Action action) { actions_.push_back(std::move(action)); }
    void begin_request(SchedulerId id, bool force);
    void could_not_prepare(Pending pending);
    void start(Pending pending);
    void start_after(Pending pending, std::chrono::nanoseconds delay);
    void start_again(Pending pending);
    void stop_waiting();
    void hold(Pending pending, bool loaded);
    void let_go();
    void release_held();
    void switch_to(Pending pending);
    void drop_pending(SwapOutcome outcome);
    void release_kept();
    void become_good();
    void recover();
    void restart(SchedulerId id, LeaveClass why);
    [[nodiscard]] std::optional<std::chrono::nanoseconds> grant_restart();
    void blame_previous(SchedulerId id, const event::Left& left);
    void stand_down(StandDownReason reason);
    void quarantine(SchedulerId id, const std::string& reason);
    void settle(SchedulerId id, SwapOutcome outcome);
    void settle_all(SwapOutcome outcome);
    void note_failure();
    bool count_failure(); // false: the limit is passed
    [[nodiscard]] bool usable(SchedulerId id) const;
    [[nodiscard]] std::optional<SchedulerId> next_candidate() const;
    [[nodiscard]] std::chrono::nanoseconds pause(unsigned attempt);

    LifecycleSettings settings_;
    std::function<double()> random_;

    Phase phase_ = Phase::kEmpty;
    Phase before_switch_ = Phase::kEmpty;
    std::optional<StandDownReason> stand_down_;
    std::optional<SchedulerId> running_;
    std::optional<SchedulerId> kept_;         // during probation, the one to go back to
    bool kept_loaded_ = false;                // it can be attached at once
    bool kept_is_good_ = false;               // it had proven itself
    std::optional<Pending> pending_;          // being prepared, waited for, or switched to
    bool waiting_ = false;                    // pending_ waits for DelayOver
    bool place_ = true;                       // there is one
    bool held_ = false;                       // pending_ waits for PlaceFound
    bool held_loaded_ = false;                // and is loaded, of its own or as the kept one
    std::set<SchedulerId> unsettled_;         // whose outcome is still to be told
    std::optional<SchedulerId> last_request_; // the last request
    std::vector<SchedulerId> good_;           // the latest first
    std::vector<SchedulerId> fallbacks_;
    std::set<SchedulerId> tried_;                         // since the last good one
    unsigned attempts_ = 0;                               // to recover, since the last good one
    std::map<SchedulerId, SchedulerIdentity> identities_; // of what was prepared
    std::vector<Quarantined> quarantine_;
    PreparationTicket last_ticket_ = 0;
    std::uint64_t all_failures_ = 0;
    std::deque<Time> failures_; // in the window, as are these:
    std::deque<Time> restarts_; // that a scheduler asked for
    std::optional<Time> last_reload_;
    Time now_;
    std::vector<Action> actions_;
};

} // namespace scxhost
