// SPDX-License-Identifier: GPL-2.0-only
//
// What benchmarks and comparisons give a scheduler to do, and what they measure of it. Each function returns when all
// its operations are done, or its time is over. What goes wrong is thrown, as std::runtime_error.
#pragma once

#include "host/measure/children.hpp"
#include "host/measure/samples.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

namespace scxhost {

// Two processes and two pipes. `after_each`, if any, is called in this process after each round trip.
void ping_pong(std::uint64_t round_trips, const std::function<void()>& after_each = {});
// Microseconds of each round trip, without some that only fill the caches.
[[nodiscard]] Samples ping_pong_us(std::uint64_t round_trips);
// Eight senders; every one writes to each of eight receivers in turn.
void message_storm(std::uint64_t messages);
// Short processes, eight at once. Throws when a fork failed.
void forks(std::uint64_t count);

// Two for each CPU that never sleep.
void add_hogs(Children& crowd);
// How late this process was, in milliseconds, each time it wanted to wake up: every `period`, for `time`. A wake-up
// that came after the next was due stands for both.
[[nodiscard]] Samples periodic_lateness_ms(std::chrono::nanoseconds period, std::chrono::nanoseconds time);

// Loops of work() that take about this long on a CPU of one's own while the others are busy.
[[nodiscard]] std::uint64_t calibrate(std::chrono::nanoseconds time);
// Does `loops` of work in each 16.6 ms; how many of these were not done in theirs, in percent.
[[nodiscard]] double missed_frames_percent(std::uint64_t loops, std::chrono::nanoseconds time);

// Jobs as a compiler has them, one for each CPU at a time, until its end: each is a process that reads a file,
// computes, writes a file, and ends.
class Build {
public:
    Build(); // makes a folder in $TMPDIR or /tmp, and starts
    Build(const Build&) = delete;
    Build& operator=(const Build&) = delete;
    ~Build(); // ends all, and removes the folder

    [[nodiscard]] std::uint64_t jobs_done();

private:
    std::string folder_;
    Children workers_;
};

} // namespace scxhost
