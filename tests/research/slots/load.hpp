// SPDX-License-Identifier: GPL-2.0-only
//
// Work for the scheduler, and what others see of a change: how long a task that never sleeps does not run, and how long
// a fork takes.
#pragma once

#include "tests/vm/children.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <vector>

namespace scxhost::slots {

using Clock = std::chrono::steady_clock;
using Samples = std::vector<double>;

inline double milliseconds_since(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

double median(Samples samples);
double worst(const Samples& samples);

// One task that never sleeps and one that forks once a millisecond, watched. A failed fork is counted.
class Witnesses {
public:
    Witnesses();
    Witnesses(const Witnesses&) = delete;
    Witnesses& operator=(const Witnesses&) = delete;
    ~Witnesses();

    struct Seen {
        double silence_ms = 0; // the longest
        double fork_ms = 0;    // the longest
        std::uint64_t silences_over_1ms = 0;
        std::uint64_t forks = 0;
        std::uint64_t forks_failed = 0;
    };
    void reset();
    [[nodiscard]] Seen seen() const;

private:
    struct Shared;
    Shared* shared_;
    Children children_; // after what they use
};

// Tasks of many kinds that keep both CPUs and the queues busy until the owner ends: spinners of several nice values,
// pairs that send each other messages, short processes.
class HeavyLoad {
public:
    HeavyLoad();
    HeavyLoad(const HeavyLoad&) = delete;
    HeavyLoad& operator=(const HeavyLoad&) = delete;
    ~HeavyLoad();

    // Throws when one of the tasks does not get on within a minute.
    void check_all_run();
    [[nodiscard]] std::uint64_t forks() const;
    [[nodiscard]] std::uint64_t forks_failed() const;

private:
    struct Shared;
    Shared* shared_;
    Children children_;
};

// This thread becomes real-time at the lowest priority, as the host's loop is, so that the scheduler under test does
// not schedule what changes it.
void become_real_time();
void become_ordinary();

} // namespace scxhost::slots
