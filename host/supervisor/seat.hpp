// SPDX-License-Identifier: GPL-2.0-only
//
// A place where a scheduler runs: the machine, or a cgroup below another seat (a branch). Carries out what its
// Lifecycle decides: has schedulers prepared, switches, watches what runs, keeps what may come back, and tells what
// happens. What exists once for all seats belongs to the Supervisor, which lends it (SeatServices).
//
// All of it on the event loop's thread. It waits in three places: in the swap window, for the kernel; for the
// user-space half of what it detaches, a second at most; and for the process of a program whose link is gone, half a
// second at most.
#pragma once

#include "host/base/event_loop.hpp"
#include "host/base/result.hpp"
#include "host/config/config.hpp"
#include "host/kernel/kernel_btf.hpp"
#include "host/kernel/kernel_log.hpp"
#include "host/kernel/rcu_expediting.hpp"
#include "host/kernel/sched_ext_sysfs.hpp"
#include "host/supervisor/away_time.hpp"
#include "host/supervisor/canary.hpp"
#include "host/supervisor/incident_recorder.hpp"
#include "host/supervisor/lifecycle.hpp"
#include "host/supervisor/reports.hpp"
#include "host/supervisor/run_statistics.hpp"
#include "host/supervisor/scheduler_pool.hpp"
#include "host/supervisor/swap_window.hpp"

#include <nlohmann/json_fwd.hpp>

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {

// What a seat uses and does not own.
struct SeatServices {
    EventLoop& loop;
    const SchedExtProbe& probe;
    SchedulerPool& pool;
    IncidentRecorder& recorder;
    Canary& canary;
    const KernelBtf& kernel;
    RcuExpediting* rcu = nullptr;        // nullptr: grace periods cannot be expedited
    KernelLogMark* kernel_log = nullptr; // nullptr: it may not be read
    bool samples_wanted = true;          // the listener wants every interval's; else they are taken for who asks
    const bool& events_come;             // whether the kernel's events have been seen to reach this process
};

class Seat;

class SeatListener {
public:
    virtual ~SeatListener() = default;
    // None of these comes from inside the swap window.
    virtual void on_seat_event(std::string_view event, nlohmann::json fields) = 0;
    virtual void on_seat_error(const Seat& seat, const Error& error) = 0;
    virtual void on_seat_warning(const Error& error) = 0;
    virtual void on_seat_note(std::string_view scheduler, std::string_view note) = 0;
    virtual void on_seat_sample(const Seat& seat, const StatisticsSample& sample) = 0;
    // The kernel has confirmed a scheduler.
    virtual void on_seat_enabled(const Seat& seat) = 0;
    // The configuration that the seat follows from now on.
    virtual void on_seat_adopted(const Seat& seat, const Config& config) = 0;
    // What runs is about to be detached, or has left: what is below it is to lose its place, from the bottom up.
    virtual void on_seat_leaving(const Seat& seat) = 0;
    // Nothing of ours runs any more. Returns whether the host stays nevertheless.
    virtual bool stays_after(const Seat& seat, StandDownReason reason) = 0;
    virtual void on_seat_stood_down(const Seat& seat, StandDownReason reason) = 0;
    // One of the seat's events has been dealt with, with all that followed from it.
    virtual void on_seat_settled(const Seat& seat) = 0;
};

// Where a seat is.
struct SeatPlace {
    std::string name;
    std::string cgroup = {};     // of a branch; empty: the machine
    const Seat* above = nullptr; // of a branch; outlives it
};

// Statistics as a caller gets them: with the base of their rates.
struct StatisticsReport {
    std::string seat;
    StatisticsSample now;
    std::optional<StatisticsSample> earlier;
};

class Seat {
public:
    using OutcomeCallback = std::function<void(const SwapReport&)>;

    // How the run that ended last did so; see RunOutcome.
    struct Outcome {
        ExitReport exit;
        std::string title;
        std::string other_name;
    };

    Seat(SeatPlace place, SeatServices services, SeatListener& listener);
    Seat(const Seat&) = delete;
    Seat& operator=(const Seat&) = delete;
    ~Seat();

    // The first request, which nobody waits for.
    void start(const Config& config);
    // As Supervisor::request(). The callback comes when the kernel has confirmed the scheduler, with a report that has
    // no outcome yet, and then, in every case, when the outcome is known and its incident, if there is one, is
    // recorded. `base` is what base_config() is to be from then on; by default it follows from `config`.
    Result<> request(Config config, bool force, OutcomeCallback done, std::shared_ptr<const Config> base = nullptr);
    // Lets one more caller have the answer to a request that is under way; false when it is not.
    bool join(SchedulerId request, OutcomeCallback done);
    void stop();
    void resume();
    // Nothing runs here any more, and nothing is told: the seat itself goes.
    void end();
    // At the host's end, or the seat's.
    void detach();

    // Of a branch. Whether its cgroup is there, and a scheduler above it: what waits for that is then attached.
    void look_at_place();
    // Of a branch: the scheduler above it is about to go, or has gone. What runs is detached and stays loaded.
    void lose_place();
    // Whether a branch can be attached below what runs here.
    [[nodiscard]] bool offers_place() const;

    // After the kernel's uevents, and every interval: whether what should run still does, on the CPUs that it was
    // loaded for.
    void check_kernel();
    // The user-space half of what runs: whether it hangs.
    void check_hang();
    [[nodiscard]] bool can_hang() const;

    [[nodiscard]] const SeatPlace& place() const { return place_; }
    [[nodiscard]] const std::string& name() const { return place_.name; }
    [[nodiscard]] bool is_branch() const { return place_.above != nullptr; }
    // Why a branch is waiting, in half a sentence.
    [[nodiscard]] std::string missing_place() const;
    // Something that was ordered of the pool is still to come back: the seat has to live that long.
    [[nodiscard]] bool is_preparing() const { return preparing_ > 0; }
    [[nodiscard]] Phase phase() const { return lifecycle_.phase(); }
    [[nodiscard]] std::optional<SchedulerId> pending() const { return lifecycle_.pending(); }
    [[nodiscard]] std::string running_title() const;
    [[nodiscard]] bool is_running() const { return running_.has_value(); }
    [[nodiscard]] const Config& base_config() const { return *base_; }
    [[nodiscard]] const std::shared_ptr<const Config>& base() const { return base_; }
    // Of what runs; nullopt: nothing of ours does.
    [[nodiscard]] std::optional<Config> running_config() const;
    [[nodiscard]] const Outcome& outcome() const { return outcome_; }
    [[nodiscard]] SeatStatus status() const;
    [[nodiscard]] SeatTotals totals() const;
    // kUsage: nothing runs.
    [[nodiscard]] Result<StatisticsReport> statistics();

private:
    using Clock = std::chrono::steady_clock;

    // One request, fallback or last good one: what was asked for and, while it is loaded, the scheduler.
    struct Spec {
        Config config;
        std::shared_ptr<const Config> base; // the configuration that the next one starts from which comes by name
        SchedulerId settings_of = 0;        // the first one with this configuration of the host: mostly itself
        std::string label;                  // title once it is known
        bool waited_for = false;            // somebody asked for it and is to be told
        bool force = false;                 // even when it is quarantined, or runs already
        std::unique_ptr<Scheduler> scheduler;
        EventLoop::Watch news_watch;   // after the scheduler, whose descriptor it is
        std::uint64_t hotplug_seq = 0; // as of when it was loaded
        bool below_cgroup = false;     // it was a sub-scheduler when it was loaded last
        SwapReport report;
        std::vector<OutcomeCallback> callbacks;
    };
    // What preparing has given, while the way back from it is made ready.
    struct Waiting {
        SchedulerId id = 0;
        PreparationTicket ticket = 0;
        std::uint64_t run = 0;
        SchedulerPool::Prepared result;
    };
    struct Running {
        SchedulerId id = 0;
        std::uint64_t number = 0; // of the run
        Attached attached;
        Clock::time_point start;
        RunStatistics statistics;
        bool sample_due = false; // when its user-space half has ticked
        bool hang_told = false;
        bool knows_of_end = false; // its user-space half was told that it is detached
    };

    void handle(const Event& event);
    void forget_unused();

    void carry_out(const action::Prepare& step);
    void carry_out(const action::Switch& step);
    void carry_out(const action::Detach& step);
    void carry_out(const action::Release& step);
    void carry_out(const action::StartProbation& step);
    void carry_out(const action::StartDelay& step);
    void carry_out(const action::Quarantine& step);
    void carry_out(const action::Settle& step);
    void carry_out(const action::StandDown& step);

    SchedulerId add_spec(Config config);
    void adopt(SchedulerId id);
    void order(SchedulerId id, PreparationTicket ticket, bool may_be_unchanged);
    void prepared(SchedulerId id, PreparationTicket ticket, std::uint64_t run, SchedulerPool::Prepared result);
    void continue_prepared();
    void keep_running_as(Spec& asked);
    void unload(Spec& spec);
    void enabled(SchedulerId id, Attached attached, std::optional<event::Left> previous);
    void switch_failed(SchedulerId id, WindowResult& result, std::optional<event::Left> previous);
    [[nodiscard]] event::SwitchFailed cause_of(const Spec& to, const Error& error, const ExitReport& exit) const;
    void end_running(Spec& spec, bool by_us);
    void note_away();
    [[nodiscard]] bool is_out_of_place(const Spec& spec);
    [[nodiscard]] std::string instead() const;
    event::Left note_leaving(const std::string& other);
    void left(const std::string& other);
    void replaced(const std::string& other);
    void read_news(SchedulerId id);
    void probation_over();
    void probe_scheduler(std::uint64_t run, bool again);
    void on_interval();
    void arm_interval();
    [[nodiscard]] std::chrono::nanoseconds time_to_look() const;
    void check_running();
    void check_for_others();
    void sample();

    void emit(std::string_view event, nlohmann::json fields);
    void warn_if_failed(const Result<>& result);
    void report(const Error& error);
    [[nodiscard]] std::string reason_logged(const Scheduler& scheduler) const;
    [[nodiscard]] Error ejection(const Spec& spec, const ExitReport& exit, const std::optional<ProcessEnd>& process,
                                 std::chrono::nanoseconds after) const;
    [[nodiscard]] SchedulerIdentity identity_of(const Spec& spec) const;
    [[nodiscard]] std::string title_beside(const Spec& spec, const Spec* other) const;
    [[nodiscard]] std::optional<SchedulerFacts> unchanged_would_be(const Spec& spec) const;
    [[nodiscard]] const Spec* find(std::optional<SchedulerId> id) const;
    [[nodiscard]] std::string label_of(std::optional<SchedulerId> id) const;

    SeatPlace place_;
    SeatServices services_;
    SeatListener& listener_;
    Lifecycle lifecycle_;
    std::map<SchedulerId, Spec> specs_;
    SchedulerId last_id_ = 0;
    std::uint64_t last_run_ = 0;
    std::vector<SchedulerId> fallbacks_;
    std::shared_ptr<const Config> base_ = std::make_shared<Config>();
    SchedulerId settings_of_ = 0; // whose configuration the host follows
    bool expedite_ = true;
    std::chrono::nanoseconds interval_{};
    std::optional<Clock::time_point> asked_; // for statistics, last
    std::optional<Running> running_;
    std::optional<Waiting> waiting_;
    std::optional<SwapReport> last_swap_;
    SeatTotals totals_; // failures are the lifecycle's to count
    std::string stand_down_message_;
    std::deque<Event> events_; // not yet told to the lifecycle
    bool handling_ = false;
    bool ever_enabled_ = false;
    bool ran_below_cgroup_ = false; // what left last was a sub-scheduler
    bool ended_ = false;
    bool has_place_ = true;
    bool cgroup_told_ = false; // that it is waited for
    std::size_t preparing_ = 0;
    AwayTime away_;
    std::uint64_t hotplug_seq_ = 0; // as of the last look
    Outcome outcome_;
    EventLoop::Watch probation_timer_;
    EventLoop::Watch patience_timer_; // for the canary's answer
    EventLoop::Watch delay_timer_;
    EventLoop::Watch interval_timer_;
};

} // namespace scxhost
