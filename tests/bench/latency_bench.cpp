// SPDX-License-Identifier: GPL-2.0-only
//
// Measures in a guest what people feel, three schedulers in turn within each round: the kernel's own, simple,
// interactive.
//   periodic   a task that wakes every 2 ms beside two hogs a CPU: how late it runs
//   frames     a task that works for about 4 ms in each 16.6 ms beside the same hogs: how often it is not done in time
//   pipe       round trips of a pipe ping-pong on an idle machine
//   messages, forks   throughput, as in cost_bench
// Prints a table of medians of the rounds; with --json all figures.
#include "host/measure/workloads.hpp"
#include "tests/bench/bench.hpp"
#include "tests/vm/live_policy.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace scxhost {
namespace {

double median(const Samples& samples) {
    return spread_of(samples).median;
}

// Figures of one round by name; in ms, us, percent or operations per second, as the name says.
using Figures = std::map<std::string, double>;

void measure_periodic(std::chrono::nanoseconds time, Figures& figures) {
    Children crowd;
    add_hogs(crowd);
    const Samples late_ms = periodic_lateness_ms(std::chrono::milliseconds(2), time);
    figures["periodic p50 ms"] = percentile(late_ms, 0.5);
    figures["periodic p99 ms"] = percentile(late_ms, 0.99);
    figures["periodic worst ms"] = percentile(late_ms, 1);
}

void measure_frames(std::chrono::nanoseconds time, std::uint64_t loops, Figures& figures) {
    Children crowd;
    add_hogs(crowd);
    figures["frames missed %"] = missed_frames_percent(loops, time);
}

void measure_pipe(Figures& figures) {
    const Samples us = ping_pong_us(2000);
    figures["pipe p50 us"] = percentile(us, 0.5);
    figures["pipe p99 us"] = percentile(us, 0.99);
}

double per_second(std::uint64_t operations, void (*run)(std::uint64_t)) {
    run(operations / 10);
    const auto start = std::chrono::steady_clock::now();
    run(operations);
    return static_cast<double>(operations) /
           std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct Arguments {
    bool json = false;
    int rounds = 5;
    int seconds = 10;
    bool periodic_only = false;
    std::vector<std::string> options; // of interactive
};

void define(CLI::App& app, Arguments& arguments) {
    app.add_flag("--json", arguments.json, "All figures, for programs");
    app.add_option("--rounds", arguments.rounds, "How often each is measured")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    app.add_option("--seconds", arguments.seconds, "Of each measurement of lateness")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    app.add_flag("--periodic-only", arguments.periodic_only, "The periodic task alone");
    app.add_option("--set", arguments.options, "Options of interactive: OPTION=VALUE");
}

constexpr const char* kOwn = "kernel"; // the kernel's own scheduler
constexpr std::array kSchedulers = {kOwn, "simple", "interactive"};
constexpr std::array kFigures = {"periodic p50 ms", "periodic p99 ms", "periodic worst ms", "frames missed %",
                                 "pipe p50 us",     "pipe p99 us",     "messages/s",        "forks/s"};

using Rounds = std::map<std::string, std::map<std::string, Samples>>; // figure, scheduler

// What interactive did with the wake-ups of the periodic task, on stderr: why a figure is as it is.
void print_decisions(LivePolicy& policy) {
    for (const char* name : {"idle_hits", "queued", "preemptions", "kept_deadline", "kept_minimum", "kernel_threads",
                             "slices_cut", "slices_timer", "slices_tick", "wait_short", "wait_medium", "wait_long"})
        fmt::print(stderr, "{}={} ", name, policy.statistic(name));
    fmt::print(stderr, "\n");
}

Rounds measure(const Arguments& arguments) {
    const std::uint64_t frame = calibrate(std::chrono::milliseconds(4));
    Rounds all;
    std::map<std::string, std::unique_ptr<LivePolicy>> policies;
    policies.emplace("simple", std::make_unique<LivePolicy>("simple"));
    policies.emplace("interactive", std::make_unique<LivePolicy>("interactive", arguments.options));
    for (int round = 0; round < arguments.rounds; ++round)
        for (const std::string name : kSchedulers) {
            const auto policy = policies.find(name);
            if (policy != policies.end())
                policy->second->attach();
            Figures figures;
            measure_periodic(std::chrono::seconds(arguments.seconds), figures);
            if (name == "interactive")
                print_decisions(*policies.at(name));
            if (!arguments.periodic_only) {
                measure_frames(std::chrono::seconds(arguments.seconds), frame, figures);
                measure_pipe(figures);
                figures["messages/s"] = per_second(6400, message_storm);
                figures["forks/s"] = per_second(300, forks);
            }
            if (policy != policies.end()) {
                if (!policy->second->running())
                    throw std::runtime_error(name + " was ejected: " + policy->second->exit_record().message);
                policy->second->detach();
            }
            for (const auto& [figure, value] : figures)
                all[figure][name].push_back(value);
        }
    return all;
}

void print(const Rounds& all) {
    fmt::print("{:20}", "");
    for (const char* name : kSchedulers)
        fmt::print(" {:>18}", name);
    for (const char* figure : kFigures) {
        if (!all.contains(figure))
            continue;
        const auto& by_scheduler = all.at(figure);
        const double own = median(by_scheduler.at(kOwn));
        fmt::print("\n{:20}", figure);
        for (const char* name : kSchedulers) {
            const double value = median(by_scheduler.at(name));
            const std::string ratio = own == 0 ? "-" : fmt::format("{:.2f}", value / own);
            fmt::print(" {:>18}", fmt::format("{:.{}f} ({})", value, value < 1000 ? 2 : 0, ratio));
        }
    }
    fmt::print("\n\nIn brackets: as a share of what the kernel's own scheduler does.\n");
}

void run(const Arguments& arguments) {
    const auto figures = measure(arguments);
    if (arguments.json) {
        fmt::print("{}\n", nlohmann::json(figures).dump());
        return;
    }
    print(figures);
    fmt::print("Medians of {} rounds, by the guest's clock.\n", arguments.rounds);
}

} // namespace
} // namespace scxhost

int main(int argc, char** argv) {
    return scxhost::bench_main("latency_bench", argc, argv, scxhost::define, scxhost::run);
}
