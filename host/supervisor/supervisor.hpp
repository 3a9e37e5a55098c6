// SPDX-License-Identifier: GPL-2.0-only
//
// Keeps a good scheduler running: carries out what Lifecycle decides, watches what runs, and tells what happens. All of
// it on the event loop's thread but preparing and unloading, which take long and have a thread of their own.
//
// Code of plugins runs on threads of their own. The loop asks for calls and hears of their outcome; it waits for one of
// them only, detaching(), for a second at most.
//
// The kernel's link never signals an ejection, so three things are watched: the kernel's uevents (at once), the exit
// record and sysfs (at every statistics interval, in case an event was lost).
#pragma once

#include "host/base/background_worker.hpp"
#include "host/base/event_loop.hpp"
#include "host/base/file_watcher.hpp"
#include "host/base/result.hpp"
#include "host/bpf/statistics.hpp"
#include "host/kernel/kernel_btf.hpp"
#include "host/kernel/rcu_expediting.hpp"
#include "host/kernel/sched_ext_sysfs.hpp"
#include "host/kernel/uevent_monitor.hpp"
#include "host/supervisor/lifecycle.hpp"
#include "host/supervisor/prepared_scheduler.hpp"
#include "host/supervisor/reports.hpp"

#include <nlohmann/json_fwd.hpp>

#include <atomic>
#include <chrono>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {

// What the supervisor tells. All calls come from the loop's thread, none from inside the swap window.
class SupervisorListener {
public:
    virtual ~SupervisorListener() = default;
    // Something happened: {"event": NAME, "time": …, …}. The names and fields stand in docs/control.md.
    virtual void on_event(const nlohmann::json& event) = 0;
    // What the event is about went wrong; an error is for people what the event is for programs.
    virtual void on_error(const Error& error) = 0;
    // A failure that the supervisor survives; the text says what was ignored.
    virtual void on_warning(const Error& error) = 0;
    // Something that the user should know about a scheduler, in one line.
    virtual void on_note(std::string_view scheduler, std::string_view note) = 0;
    // Returns false to end the run: nobody reads the output any more.
    virtual bool on_sample(const PreparedScheduler& scheduler, const Sample& sample) = 0;
};

struct SupervisorSettings {
    std::optional<std::chrono::nanoseconds> duration; // unlimited when not set
    bool stay = false;                                // with nothing left to run, wait for an operator
    bool watch = false; // follow the plugin's or object's file; and wait for a better build when one fails
    std::filesystem::path config_file;      // watched; empty: there is none
    std::function<Result<Config>()> reload; // reads the configuration again
    PluginLogSink plugin_log;               // called from threads of plugins
    std::filesystem::path runtime_dir;      // the host's own; empty: no RCU expediting
};

enum class RunEnd {
    kRequested, // a signal, or the listener
    kTimeUp,
    kLeft,     // the last one left, and there is nothing to put in its place
    kReplaced, // somebody else's scheduler runs now
    kFailed,   // nothing could be started
};

struct RunOutcome {
    RunEnd end = RunEnd::kRequested;
    ExitReport exit;                     // of the scheduler that ran last; UNREG when we detached it
    std::string title;                   // of that scheduler; empty: none ran
    std::string other_name;              // of kReplaced
    std::optional<Error> failure;        // of kFailed, kLeft and kReplaced; told already
    std::chrono::nanoseconds duration{}; // since the first start
};

class Supervisor {
public:
    using OutcomeCallback = std::function<void(const SwapReport&)>;

    // All must outlive the supervisor.
    Supervisor(EventLoop& loop, const KernelBtf& kernel, SupervisorSettings settings, SupervisorListener& listener);
    Supervisor(const Supervisor&) = delete;
    Supervisor& operator=(const Supervisor&) = delete;
    ~Supervisor();

    // Starts the configured scheduler and stays until a signal, the time limit, or the last scheduler's end. SIGINT and
    // SIGTERM end it cleanly, a second one of them ends the process at once, and the kernel then detaches. SIGHUP reads
    // the configuration again; where standard input is a terminal, it means that the terminal is gone, and ends it too.
    Result<RunOutcome> run(const Config& config);

    // The following only while run() goes on, on its thread.

    // What a scheduler starts from that is asked for by its name alone: the configuration of the last file, or of
    // run(), without what a single request has set on top of it.
    [[nodiscard]] const Config& base_config() const { return *base_; }
    // Asks for another scheduler. Its configuration is followed, fallbacks and all, while it runs. The callback comes
    // once, when the outcome is known: after probation, or when it failed. kBusy: another request is being prepared.
    Result<> request(Config config, bool force, OutcomeCallback done);
    // Reads the configuration again and asks for what it says. Errors: those of reading it, and of request().
    Result<> reload(bool force, OutcomeCallback done);
    // Prepares a scheduler as for a swap, up to the verifier, and unloads it again. The callback gets the notes.
    void check(Config config, std::function<void(Result<std::vector<std::string>>)> done);
    void stop();
    void resume();
    // What the host believes and what the kernel says; docs/control.md.
    [[nodiscard]] nlohmann::json status() const;
    // The running scheduler's statistics now, with rates since the last interval. kUsage: nothing runs.
    [[nodiscard]] Result<nlohmann::json> statistics();
    [[nodiscard]] Phase phase() const { return lifecycle_.phase(); }

private:
    using Clock = std::chrono::steady_clock;

    // One request, fallback or last good one: what was asked for and, while it is loaded, the scheduler.
    struct Spec {
        Config config;
        std::shared_ptr<const Config> base; // the configuration that the next one starts from which comes by name
        SchedulerId settings_of = 0;        // the first one with this configuration of the host: mostly itself
        std::string label;                  // title once it is known
        unsigned preparing = 0;
        bool waited_for = false; // somebody asked for it and is to be told
        std::unique_ptr<PreparedScheduler> scheduler;
        EventLoop::Watch plugin_answers; // after the scheduler, whose plugin's descriptor it is
        std::optional<StatisticsReader> statistics;
        std::uint64_t hotplug_seq = 0; // as of when it was loaded
        std::uint64_t sub_cgroup = 0;  // sub_cgroup_of() it, when it has been loaded
        SwapReport report;
        std::vector<OutcomeCallback> callbacks;
    };
    struct Running {
        SchedulerId id = 0;
        Attached attached;
        Clock::time_point start;
        std::optional<Sample> sample;          // the latest
        std::optional<Sample> previous_sample; // the one before
        bool sample_due = false;               // when the plugin's tick() returns
        bool plugin_hangs = false;             // and that was told
    };
    struct Loaded; // what the worker brings back

    Result<> start(const Config& config);
    void tell(const Event& event);
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

    void prepared(SchedulerId id, Loaded loaded);
    void unload(Spec& spec);
    void enabled(SchedulerId id, Attached attached);
    void switch_failed(SchedulerId id, WindowResult& result);
    void end_running(const Spec& spec, bool by_us);
    void detach_running();
    void record_incident(const Spec& spec, nlohmann::json record);
    void adopt(SchedulerId id);
    SchedulerId add_spec(Config config);

    void on_uevents();
    void plugin_answered(SchedulerId id);
    void check_plugin();
    void on_interval();
    void arm_interval();
    void on_hangup();
    void config_changed();
    void watch_build(const Config& config);
    std::unique_ptr<FileWatcher> follow(const std::filesystem::path& file, std::size_t limit,
                                        std::function<void()> on_change);
    void build_changed();
    void look();
    void left(const std::string& other);
    void replaced(const std::string& other);
    Result<std::vector<std::int64_t>> read_statistics(Spec& spec);
    void sample();
    void finish(RunEnd end);

    void emit(std::string_view name, nlohmann::json fields);
    void tolerate(const Result<>& result);
    void report(const Error& error);
    [[nodiscard]] Error ejection(const Spec& spec, const ExitReport& exit, std::chrono::nanoseconds after) const;
    [[nodiscard]] std::string running_title() const;
    [[nodiscard]] const Spec* find(SchedulerId id) const;
    void end_reload();
    void say_state();

    EventLoop& loop_;
    const KernelBtf& kernel_;
    SupervisorSettings settings_;
    SupervisorListener& listener_;
    std::optional<SchedExtProbe> probe_;
    std::optional<UeventMonitor> uevents_;
    std::optional<RcuExpediting> rcu_;
    bool expedite_ = true;
    Lifecycle lifecycle_;
    std::map<SchedulerId, Spec> specs_;
    SchedulerId last_id_ = 0;
    std::vector<SchedulerId> fallbacks_;
    std::shared_ptr<const Config> base_ = std::make_shared<Config>();
    SchedulerId settings_of_ = 0; // whose configuration the host follows
    std::optional<Running> running_;
    std::optional<SwapReport> last_swap_;
    struct QuarantineNote {
        std::string title;
        std::string reason;
    };
    std::map<std::string, QuarantineNote> quarantine_; // by build
    std::string stand_down_message_;
    std::deque<Event> events_; // not yet told to the lifecycle
    bool telling_ = false;
    SchedulerId reloading_ = 0; // the request that a reload has made, while the service manager waits for it
    std::optional<FileVersion> reloading_content_; // of the file that it is for
    bool reload_wanted_ = false;                   // the configuration changed while a request was being prepared
    bool rebuild_wanted_ = false;                  // the watched build did
    std::chrono::nanoseconds interval_{};
    std::uint64_t hotplug_seq_ = 0;
    bool ever_enabled_ = false;
    std::atomic<bool> ended_ = false; // read by the worker too
    Clock::time_point start_;
    RunOutcome outcome_;
    EventLoop::Watch probation_timer_;
    EventLoop::Watch delay_timer_;
    EventLoop::Watch interval_timer_;
    std::unique_ptr<FileWatcher> config_watcher_;
    std::unique_ptr<FileWatcher> build_watcher_;
    std::filesystem::path watched_build_;
    Config watched_config_;                    // what to ask for when it has changed
    std::unique_ptr<BackgroundWorker> worker_; // last: it ends first
};

} // namespace scxhost
