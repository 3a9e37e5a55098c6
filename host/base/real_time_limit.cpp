// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/real_time_limit.hpp"

#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <utility>

namespace scxhost {
namespace {

// For the signal handler. The signal goes to the process, whichever of its threads used the time (7.1,
// kernel/time/posix-cpu-timers.c, check_rlimit()).
struct Handled {
    std::atomic<pid_t> thread = 0;
    std::atomic<const EventFd*> fired = nullptr;
    std::atomic<int> policy = SCHED_OTHER;
    std::atomic<int> priority = 0;
};
Handled handled;

void on_limit(int) {
    const int error = errno;
    const pid_t thread = handled.thread.load();
    const int policy = ::sched_getscheduler(thread);
    sched_param parameter{};
    if (policy >= 0 && (policy & ~SCHED_RESET_ON_FORK) != SCHED_OTHER && ::sched_getparam(thread, &parameter) == 0) {
        handled.policy = policy;
        handled.priority = parameter.sched_priority;
        const sched_param ordinary{};
        // The flag may not be taken off without CAP_SYS_NICE, and does no harm.
        (void)::sched_setscheduler(thread, SCHED_OTHER | (policy & SCHED_RESET_ON_FORK), &ordinary);
        if (const EventFd* fired = handled.fired.load(); fired != nullptr)
            fired->signal();
    }
    errno = error;
}

} // namespace

RealTimeLimit::RealTimeLimit(EventLoop& loop, std::function<void()> on_exceeded, std::chrono::microseconds limit,
                             std::chrono::nanoseconds pause)
    : loop_(loop)
    , on_exceeded_(std::move(on_exceeded))
    , limit_(limit)
    , pause_(pause) {}

RealTimeLimit::~RealTimeLimit() {
    ::signal(SIGXCPU, SIG_IGN); // one may be on its way
    handled.fired = nullptr;
}

Result<std::unique_ptr<RealTimeLimit>> RealTimeLimit::start(EventLoop& loop, std::function<void()> on_exceeded,
                                                            std::chrono::microseconds limit,
                                                            std::chrono::nanoseconds pause) {
    std::unique_ptr<RealTimeLimit> guard(new RealTimeLimit(loop, std::move(on_exceeded), limit, pause));
    if (!guard->fired_)
        return EventFd::no_descriptor();
    guard->watch_ = SCXHOST_TRY(
        loop.watch(guard->fired_.get(), {}, [raw = guard.get()] { raw->exceeded(); }, EventLoop::Priority::kSignals));
    handled.thread = ::gettid();
    handled.fired = &guard->fired_;
    struct sigaction action{};
    action.sa_handler = on_limit;
    action.sa_flags = SA_RESTART;
    if (::sigaction(SIGXCPU, &action, nullptr) != 0)
        return fail_errno(ErrorKind::kInternal, "cannot handle SIGXCPU", errno);
    SCXHOST_TRY(guard->set_limit());
    return guard;
}

Result<> RealTimeLimit::set_limit() const {
    rlimit now{};
    if (::getrlimit(RLIMIT_RTTIME, &now) != 0)
        return fail_errno(ErrorKind::kInternal, "cannot read the limit of real-time CPU time", errno);
    now.rlim_cur = std::min({now.rlim_cur, now.rlim_max, static_cast<rlim_t>(limit_.count())});
    if (::setrlimit(RLIMIT_RTTIME, &now) != 0)
        return fail_errno(ErrorKind::kInternal, "cannot limit real-time CPU time", errno);
    return {};
}

void RealTimeLimit::exceeded() {
    fired_.consume();
    Result<EventLoop::Watch> timer = loop_.timer(pause_, [this] { rise_again(); });
    if (timer)
        timer_ = *std::move(timer);
    on_exceeded_();
}

void RealTimeLimit::rise_again() {
    (void)set_limit(); // the kernel moved it on by a second each time that it was reached
    sched_param parameter{};
    parameter.sched_priority = handled.priority;
    (void)::sched_setscheduler(handled.thread, handled.policy, &parameter);
}

} // namespace scxhost
