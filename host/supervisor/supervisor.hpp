// SPDX-License-Identifier: GPL-2.0-only
//
// The host: owns what exists once (worker, uevents, RCU setting, real-time priority, service state, the files that are
// followed) and the seats in which schedulers run: the machine's, and its branches. All of it on the event loop's
// thread but preparing and unloading, which take long and have a thread of their own.
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
#include "host/kernel/kernel_btf.hpp"
#include "host/kernel/rcu_expediting.hpp"
#include "host/kernel/sched_ext_sysfs.hpp"
#include "host/kernel/uevent_monitor.hpp"
#include "host/supervisor/branches.hpp"
#include "host/supervisor/canary.hpp"
#include "host/supervisor/config_reader.hpp"
#include "host/supervisor/incident_recorder.hpp"
#include "host/supervisor/reports.hpp"
#include "host/supervisor/scheduler_pool.hpp"
#include "host/supervisor/seat.hpp"
#include "host/supervisor/service_notifier.hpp"

#include <nlohmann/json_fwd.hpp>

#include <chrono>
#include <cstdint>
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
    // The configuration that the host follows from now on: how much is logged, for one.
    virtual void on_config(const Config& config) = 0;
    // Returns false to end the run: nobody reads the output any more.
    virtual bool on_sample(std::string_view seat, const StatisticsSample& sample) = 0;
};

struct SupervisorSettings {
    std::optional<std::chrono::nanoseconds> duration; // unlimited when not set
    bool stay = false;                                // with nothing left to run, wait for an operator
    bool watch = false; // follow the plugin's or object's file; and wait for a better build when one fails
    std::filesystem::path config_file; // watched; empty: there is none
    ConfigReader::Read reload;         // reads the configuration again
    PluginLogSink plugin_log;          // called from threads of plugins
    std::filesystem::path runtime_dir; // the host's own; empty: no RCU expediting
    bool samples_wanted = true;        // on_sample() of the listener does something with them
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

class Supervisor : private SeatListener {
public:
    using OutcomeCallback = Seat::OutcomeCallback;
    // Whether what was asked for is under way now.
    using AskedCallback = std::function<void(const Result<>&)>;

    // All must outlive the supervisor.
    Supervisor(EventLoop& loop, const KernelBtf& kernel, SupervisorSettings settings, SupervisorListener& listener);
    Supervisor(const Supervisor&) = delete;
    Supervisor& operator=(const Supervisor&) = delete;
    ~Supervisor() override;

    // Starts the configured scheduler and stays until a signal, the time limit, or the last scheduler's end. SIGINT and
    // SIGTERM end it cleanly, a second one of them ends the process at once, and the kernel then detaches. SIGHUP reads
    // the configuration again; where standard input was a terminal at the start, or there is no configuration file, it
    // ends the run too; and where it was ignored at the start (nohup), it stays so.
    Result<RunOutcome> run(const Config& config);

    // The following only while run() goes on, on its thread.

    // Each speaks of a seat by its name; empty: the machine's. kUsage: there is none of this name.
    [[nodiscard]] Result<> check_seat(const std::string& seat) const;
    // What a scheduler starts from that is asked for by its name alone: the configuration of the last file, or of
    // run(), without what a single request has set on top of it. Of a branch: the same for its seat.
    [[nodiscard]] const Config& base_config(const std::string& seat = {}) const;
    // Asks for another scheduler, once its configuration is read. The configuration is followed, fallbacks and all,
    // while the scheduler runs. One that is just what runs already is not touched, unless forced. `asked` comes first,
    // and always: with the errors of reading, or kBusy, where another request is being prepared or stop() came in
    // between. `done` comes if what was asked for is under way: without an outcome when the kernel has confirmed it,
    // and with one after probation, or when it failed.
    void request(const std::string& seat, ConfigReader::Read read, bool force, AskedCallback asked,
                 OutcomeCallback done);
    // Likewise with the configuration that the host was started from; of a branch, with what the last configuration
    // says of it.
    void reload(const std::string& seat, bool force, AskedCallback asked, OutcomeCallback done);
    // Likewise with what runs, prepared anew from its files with all that it was started with. kUsage: nothing runs.
    void restart(const std::string& seat, AskedCallback asked, OutcomeCallback done);
    // Prepares a scheduler as for a swap, up to the verifier, and unloads it again. The callback gets the notes.
    void check(ConfigReader::Read read, std::function<void(Result<std::vector<std::string>>)> done);
    // A branch's tasks are then with the scheduler above it. Of the machine's, with the kernel's own; the branches
    // wait.
    Result<> stop(const std::string& seat = {});
    Result<> resume(const std::string& seat = {});
    // What runs, to come back to it later.
    struct Remembered {
        std::optional<Config> running; // nullopt: nothing of the host's does
        std::shared_ptr<const Config> base;
    };
    // kBusy: a request is being prepared, or nothing runs because the host is recovering. kUsage: there are branches.
    [[nodiscard]] Result<Remembered> remember() const;
    // Makes it run again, whatever runs now, and drops a request that is under way. Where it does not come to run, the
    // kernel's own scheduler does. `done` comes once: with the outcome, or nullptr where nothing had to be done.
    void restore(const Remembered& remembered, std::function<void(const SwapReport*)> done);
    // What the host believes and what the kernel says.
    [[nodiscard]] SeatStatus status() const;
    // Each after those above it.
    [[nodiscard]] std::vector<SeatStatus> branches() const;
    // The same, and only where they are.
    [[nodiscard]] std::vector<Config::Branch> places() const;
    [[nodiscard]] SeatTotals totals(const std::string& seat = {}) const;
    [[nodiscard]] std::chrono::nanoseconds uptime() const { return std::chrono::steady_clock::now() - began_; }
    // The running scheduler's statistics now. kUsage: nothing runs.
    [[nodiscard]] Result<StatisticsReport> statistics(const std::string& seat = {});
    [[nodiscard]] Phase phase(const std::string& seat = {}) const;

private:
    using Clock = std::chrono::steady_clock;

    Result<> start(const Config& config);
    void look_for_hangs();
    Result<> watch_kernel();
    Result<> take_signals();
    void open_rcu(bool wanted);
    void check_kernel();
    void on_hangup();
    void config_changed();
    [[nodiscard]] Seat* find_seat(const std::string& name) const;
    // Grows when a stop is asked for that concerns a request for this seat.
    [[nodiscard]] std::uint64_t stops_of(const std::string& seat) const;
    Result<> submit(Seat& seat, Result<Config> config, bool force, OutcomeCallback done,
                    std::shared_ptr<const Config> base = nullptr);
    // `content`: what was read; null when the reading was given up.
    Result<> submit_reload(Result<Config> config, const std::optional<FileVersion>* content, bool force,
                           const OutcomeCallback& done);
    void watch_build(const Seat& seat, const Config& config);
    std::unique_ptr<FileWatcher> follow(const std::filesystem::path& file, std::size_t limit,
                                        std::function<void()> on_change);
    void build_changed(const std::string& seat);
    void program_ended(Scheduler& ended);
    void finish(RunEnd end);
    void wait_for_last_words();
    void end_reload();
    void emit(std::string_view name, nlohmann::json fields);
    void report(const Error& error);

    void on_seat_event(std::string_view event, nlohmann::json fields) override;
    void on_seat_error(const Seat& seat, const Error& error) override;
    void on_seat_warning(const Error& error) override;
    void on_seat_note(std::string_view scheduler, std::string_view note) override;
    void on_seat_sample(const Seat& seat, const StatisticsSample& sample) override;
    void on_seat_enabled(const Seat& seat) override;
    void on_seat_adopted(const Seat& seat, const Config& config) override;
    void on_seat_leaving(const Seat& seat) override;
    bool stays_after(const Seat& seat, StandDownReason reason) override;
    void on_seat_stood_down(const Seat& seat, StandDownReason reason) override;
    void on_seat_settled(const Seat& seat) override;

    // The file that a seat's scheduler comes from, followed.
    struct Build {
        std::unique_ptr<FileWatcher> watcher;
        std::filesystem::path file;
        Config config;    // what to ask for when it has changed
        bool due = false; // it changed while a request was being prepared
    };

    EventLoop& loop_;
    const KernelBtf& kernel_;
    SupervisorSettings settings_;
    SupervisorListener& listener_;
    ServiceNotifier notifier_;
    std::optional<SchedExtProbe> probe_;
    std::optional<UeventMonitor> uevents_;
    bool events_come_ = false; // some of those that we had to hear of have come
    EventLoop::Watch hang_timer_;
    std::optional<RcuExpediting> rcu_;
    std::optional<KernelLogMark> kernel_log_; // without it, reasons that only the kernel's log has are not told
    bool hangup_ends_ = false;
    bool ever_enabled_ = false;
    bool ended_ = false;
    Clock::time_point began_ = Clock::now();
    Clock::time_point start_;
    std::optional<Error> failure_; // told last
    RunEnd end_ = RunEnd::kRequested;

    ConfigReader reader_;
    std::map<std::string, std::uint64_t, std::less<>> stops_; // asked for so far, by the seat's name
    int reloads_being_read_ = 0;
    SchedulerId reloading_ = 0;                    // the request that a reload has made, while it is under way
    std::optional<FileVersion> reloading_content_; // of the file that it is for
    bool reload_due_ = false;                      // the configuration changed while a request was being prepared
    std::unique_ptr<FileWatcher> config_watcher_;
    std::map<std::string, Build, std::less<>> builds_; // by the seat's name

    std::unique_ptr<Canary> canary_;
    std::optional<SchedulerPool> pool_;
    std::optional<IncidentRecorder> recorder_;
    std::unique_ptr<Seat> seat_; // the machine's
    std::optional<Branches> branches_;
    std::unique_ptr<BackgroundWorker> worker_; // last: it ends first
};

} // namespace scxhost
