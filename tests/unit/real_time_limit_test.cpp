// SPDX-License-Identifier: GPL-2.0-only
//
// Real priorities of this machine: a process of its own takes one, and turns without a pause.
#include "host/base/real_time_limit.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>

namespace scxhost {
namespace {

using namespace std::chrono_literals;

enum Outcome : int { kGood, kNoRight, kNotStarted, kNeverLowered, kNotTold, kNotRaisedAgain };

int policy() {
    return ::sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;
}

std::chrono::seconds cpu_seconds() {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return std::chrono::seconds(now.tv_sec);
}

Outcome spin() {
    const sched_param lowest{.sched_priority = 1};
    if (::sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &lowest) != 0)
        return kNoRight;
    EventLoop loop = EventLoop::make().value();
    int told = 0;
    const auto limit = RealTimeLimit::start(loop, [&] { ++told; }, 50ms, 10ms);
    if (!limit)
        return kNotStarted;
    bool lowered = false;
    const Result<> turns = loop.after(0ms, [&] {
        while (policy() != SCHED_OTHER && cpu_seconds() < 10s)
            ;
        lowered = policy() == SCHED_OTHER;
    });
    bool raised = false; // for a moment, if the machine is so busy that these turns hardly sleep
    const Result<> looks = loop.every(1ms, [&] {
        raised = told > 0 && policy() == SCHED_RR;
        if (!lowered || raised || cpu_seconds() > 10s)
            loop.stop();
    });
    if (!turns || !looks || !loop.run())
        return kNotStarted;
    return !lowered ? kNeverLowered : told == 0 ? kNotTold : !raised ? kNotRaisedAgain : kGood;
}

TEST(RealTimeLimitTest, ALoopThatNeverSleepsLosesItsPriorityForAWhile) {
    const pid_t child = ::fork();
    if (child == 0)
        std::_Exit(spin());
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status)) << status;
    if (WEXITSTATUS(status) == kNoRight)
        GTEST_SKIP() << "needs the right to real-time priority";
    EXPECT_EQ(WEXITSTATUS(status), kGood);
}

} // namespace
} // namespace scxhost
