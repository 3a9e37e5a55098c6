// SPDX-License-Identifier: GPL-2.0-only
#include "host/measure/builtin_workloads.hpp"

#include "host/base/suggest.hpp"
#include "host/measure/workloads.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>
#include <thread>

namespace scxhost {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPeriod = std::chrono::milliseconds(2);

void add_lateness(std::vector<Figure>& figures, const Samples& late_ms) {
    const auto add = [&](const char* name, double share) {
        figures.push_back({.name = name, .unit = "ms", .better = Better::kLower, .value = percentile(late_ms, share)});
    };
    add("late by, p50", 0.5);
    add("late by, p99", 0.99);
    add("late by, worst", 1);
}

// Does so many operations again and again until the time is over.
template <typename Run>
double operations_per_second(std::uint64_t operations, std::chrono::nanoseconds time, Run run) {
    run(operations / 10); // caches
    const Clock::time_point start = Clock::now();
    std::uint64_t done = 0;
    do {
        run(operations);
        done += operations;
    } while (Clock::now() - start < time);
    return static_cast<double>(done) / std::chrono::duration<double>(Clock::now() - start).count();
}

Figure rate(const char* name, double per_second) {
    return {.name = name, .unit = "1/s", .better = Better::kHigher, .value = per_second};
}

std::vector<Figure> periodic(std::chrono::nanoseconds time) {
    Children crowd;
    add_hogs(crowd);
    std::vector<Figure> figures;
    add_lateness(figures, periodic_lateness_ms(kPeriod, time));
    return figures;
}

std::vector<Figure> frames(std::chrono::nanoseconds time) {
    const std::uint64_t loops = calibrate(std::chrono::milliseconds(4));
    Children crowd;
    add_hogs(crowd);
    return {
        {.name = "frames missed", .unit = "%", .better = Better::kLower, .value = missed_frames_percent(loops, time)}};
}

std::vector<Figure> pipe(std::chrono::nanoseconds time) {
    Samples us;
    const double per_second = operations_per_second(2000, time, [&us](std::uint64_t round_trips) {
        const Samples more = ping_pong_us(round_trips);
        us.insert(us.end(), more.begin(), more.end());
    });
    return {{.name = "round trip, p50", .unit = "us", .better = Better::kLower, .value = percentile(us, 0.5)},
            {.name = "round trip, p99", .unit = "us", .better = Better::kLower, .value = percentile(us, 0.99)},
            rate("round trips", per_second)};
}

std::vector<Figure> messages(std::chrono::nanoseconds time) {
    return {rate("messages", operations_per_second(6400, time, message_storm))};
}

std::vector<Figure> fork_storm(std::chrono::nanoseconds time) {
    return {rate("processes", operations_per_second(100, time, forks))};
}

std::vector<Figure> build(std::chrono::nanoseconds time) {
    Build jobs;
    const Clock::time_point start = Clock::now();
    std::this_thread::sleep_for(time);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    return {rate("jobs", static_cast<double>(jobs.jobs_done()) / seconds)};
}

std::vector<Figure> mix(std::chrono::nanoseconds time) {
    Build jobs;
    const Clock::time_point start = Clock::now();
    std::vector<Figure> figures;
    add_lateness(figures, periodic_lateness_ms(kPeriod, time));
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    figures.push_back(rate("jobs", static_cast<double>(jobs.jobs_done()) / seconds));
    return figures;
}

constexpr std::array<BuiltinWorkload, 7> kWorkloads = {{
    {"periodic", "a task that wakes every 2 ms beside two busy ones for each CPU: how late it is", periodic},
    {"frames", "4 ms of work in each 16.6 ms beside the same busy ones: how often it is not done in time", frames},
    {"pipe", "two processes that wake each other through pipes: time of a round trip", pipe},
    {"messages", "eight senders and eight receivers: messages per second", messages},
    {"forks", "short processes, eight at a time: processes per second", fork_storm},
    {"build", "short processes that read, compute and write files, one for each CPU: jobs per second", build},
    {"mix", "periodic in the middle of build", mix},
}};

} // namespace

std::span<const BuiltinWorkload> builtin_workloads() {
    return kWorkloads;
}

Result<const BuiltinWorkload*> find_builtin_workload(std::string_view name) {
    const auto* found = std::ranges::find(kWorkloads, name, &BuiltinWorkload::name);
    if (found != kWorkloads.end())
        return found;
    std::vector<std::string> names;
    for (const BuiltinWorkload& workload : kWorkloads)
        names.emplace_back(workload.name);
    return fail(ErrorKind::kUsage, fmt::format("there is no built-in workload {}", quote_text(name)),
                suggest_word(name, names, "workloads"));
}

Result<std::vector<Figure>> run_builtin_workload(const BuiltinWorkload& workload, std::chrono::nanoseconds time) {
    try {
        return workload.run(time);
    } catch (const std::runtime_error& error) {
        return fail(ErrorKind::kIo, fmt::format("the workload {} failed: {}", workload.name, error.what()));
    }
}

} // namespace scxhost
