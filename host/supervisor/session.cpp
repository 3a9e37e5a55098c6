// SPDX-License-Identifier: GPL-2.0-only
#include "host/supervisor/session.hpp"

#include "host/base/event_loop.hpp"
#include "host/bpf/statistics.hpp"
#include "host/kernel/uevent_monitor.hpp"

#include <signal.h>

#include <array>

namespace scxhost {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::array kEndSignals = {SIGINT, SIGTERM, SIGHUP};
// Without uevents an ejection is noticed by looking.
constexpr auto kPollInterval = std::chrono::milliseconds(100);

// After the first signal the next one takes its default action: the process ends and the kernel detaches.
void restore_default_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : kEndSignals) {
        ::signal(signal, SIG_DFL);
        sigaddset(&set, signal);
    }
    ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

class Session {
public:
    Session(PreparedScheduler& scheduler, const SessionLimits& limits, SessionListener& listener, EventLoop loop)
        : scheduler_(scheduler)
        , limits_(limits)
        , listener_(listener)
        , loop_(std::move(loop)) {}

    Result<SessionOutcome> run() {
        // Before the attach: an ejection right after it must not be missed.
        Result<UeventMonitor> uevents = UeventMonitor::open();
        if (uevents) {
            uevents_ = *std::move(uevents);
            SCXHOST_TRY(loop_.on_readable(uevents_->fd(), [this] { on_uevents(); }));
        } else {
            listener_.on_warning(uevents.error());
            SCXHOST_TRY(loop_.every(kPollInterval, [this] { look(); }));
        }
        for (const int signal : kEndSignals)
            SCXHOST_TRY(loop_.on_signal(signal, [this] { finish(SessionEnd::kRequested); }));
        StatisticsReader statistics = SCXHOST_TRY(StatisticsReader::make(scheduler_.object()));

        Attached attached = SCXHOST_TRY(attach_and_confirm(scheduler_.object(), sysfs_));
        enable_seq_ = attached.enable_seq;
        start_ = Clock::now();
        listener_.on_enabled(attached);
        tolerate(call_plugin(&Plugin::attached));

        SCXHOST_TRY(loop_.every(limits_.statistics_interval, [&] {
            look();
            if (!ended_)
                sample(statistics);
        }));
        if (limits_.duration)
            SCXHOST_TRY(loop_.after(*limits_.duration, [this] { finish(SessionEnd::kTimeUp); }));
        SCXHOST_TRY(loop_.run());

        outcome_.duration = Clock::now() - start_;
        tolerate(call_plugin(&Plugin::detaching));
        tolerate(attached.link.detach());
        // Complete only now: after an ejection the kernel may still have been at it.
        if (std::optional<ExitReport> exit = scheduler_.object().read_exit_record())
            outcome_.exit = *std::move(exit);
        return std::move(outcome_);
    }

private:
    Result<> call_plugin(Result<> (Plugin::*method)()) {
        return scheduler_.plugin() == nullptr ? Result<>() : (scheduler_.plugin()->*method)();
    }

    void tolerate(const Result<>& result) {
        if (!result)
            listener_.on_warning(result.error());
    }

    void on_uevents() {
        const Result<UeventMonitor::Batch> batch = uevents_->drain();
        // Whatever it was, sysfs and the exit record know: events only say when to look.
        if (!batch || batch->lost || !batch->events.empty())
            look();
    }

    void look() {
        if (ended_ || enable_seq_ == 0)
            return;
        Result<PresenceReport> report = check_presence(scheduler_.object(), sysfs_, enable_seq_);
        if (!report)
            return listener_.on_warning(report.error());
        if (report->presence == Presence::kRunning)
            return;
        outcome_.exit = std::move(report->exit);
        outcome_.other_name = std::move(report->other_name);
        finish(report->presence == Presence::kLeft ? SessionEnd::kLeft : SessionEnd::kReplaced);
    }

    void sample(StatisticsReader& statistics) {
        Result<std::vector<std::int64_t>> values = statistics.read();
        if (!values)
            return listener_.on_warning(values.error());
        tolerate(call_plugin(&Plugin::tick));
        if (!listener_.on_sample({Clock::now() - start_, *std::move(values)}))
            finish(SessionEnd::kRequested);
    }

    void finish(SessionEnd end) {
        if (ended_)
            return;
        ended_ = true;
        outcome_.end = end;
        restore_default_signals();
        loop_.stop();
    }

    PreparedScheduler& scheduler_;
    const SessionLimits& limits_;
    SessionListener& listener_;
    std::optional<UeventMonitor> uevents_;
    EventLoop loop_; // after what it watches
    SchedExtSysfs sysfs_;
    std::uint64_t enable_seq_ = 0;
    Clock::time_point start_;
    bool ended_ = false;
    SessionOutcome outcome_;
};

} // namespace

Result<SessionOutcome> run_session(PreparedScheduler& scheduler, const SessionLimits& limits,
                                   SessionListener& listener) {
    return Session(scheduler, limits, listener, SCXHOST_TRY(EventLoop::make())).run();
}

} // namespace scxhost
