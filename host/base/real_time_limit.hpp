// SPDX-License-Identifier: GPL-2.0-only
//
// A net under the event loop's real-time priority: a loop that turns without ever sleeping would keep everything else
// off its CPU, the scheduler under watch included. When the kernel says that the thread has used a CPU for too long
// without a pause (RLIMIT_RTTIME), it gets ordinary priority, and its real-time priority again after a while.
#pragma once

#include "host/base/event_fd.hpp"
#include "host/base/event_loop.hpp"
#include "host/base/result.hpp"

#include <chrono>
#include <functional>
#include <memory>

namespace scxhost {

class RealTimeLimit {
public:
    // CPU time without a blocking system call. Whatever the loop does in one turn takes far less.
    static constexpr std::chrono::seconds kLimit{2};
    // A loop that never sleeps has real-time priority for kLimit in each of these.
    static constexpr std::chrono::seconds kPause{60};

    // For the calling thread, which is the loop's; one at a time in a process. `on_exceeded` tells of it, from the loop
    // as soon as it turns again. Sets the process's soft RLIMIT_RTTIME, unless it is lower already; what the process
    // starts inherits that. `loop` must outlive the object. kInternal: a system call failed. `limit` and `pause` are
    // for tests.
    static Result<std::unique_ptr<RealTimeLimit>> start(EventLoop& loop, std::function<void()> on_exceeded,
                                                        std::chrono::microseconds limit = kLimit,
                                                        std::chrono::nanoseconds pause = kPause);
    RealTimeLimit(const RealTimeLimit&) = delete;
    RealTimeLimit& operator=(const RealTimeLimit&) = delete;
    ~RealTimeLimit(); // the signal is ignored again, the limit stays

private:
    RealTimeLimit(EventLoop& loop, std::function<void()> on_exceeded, std::chrono::microseconds limit,
                  std::chrono::nanoseconds pause);
    Result<> set_limit() const;
    void exceeded();
    void rise_again();

    EventLoop& loop_;
    std::function<void()> on_exceeded_;
    std::chrono::microseconds limit_;
    std::chrono::nanoseconds pause_;
    EventFd fired_;
    EventLoop::Watch watch_;
    EventLoop::Watch timer_;
};

} // namespace scxhost
