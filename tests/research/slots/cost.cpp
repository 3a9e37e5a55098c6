// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/unique_fd.hpp"
#include "host/measure/workloads.hpp"
#include "tests/research/slots/load.hpp"
#include "tests/research/slots/questions.hpp"
#include "tests/research/slots/slot_object.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

namespace scxhost::slots {
namespace {

struct Workload {
    const char* name;
    const char* operation;
    std::uint64_t operations;
    std::function<void(std::uint64_t)> run;
};

// On two CPUs it is chance how often the other one is idle, and with it which callbacks run. On one, every message is
// the same.
void ping_pong_on_one_cpu(std::uint64_t round_trips) {
    cpu_set_t before;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    if (::sched_getaffinity(0, sizeof before, &before) != 0 || ::sched_setaffinity(0, sizeof one, &one) != 0)
        throw std::runtime_error("cannot choose a CPU");
    ping_pong(round_trips);
    ::sched_setaffinity(0, sizeof before, &before);
}

// Short, and often: a round trip's time is more alike within one measurement than between two.
const std::array<Workload, 3>& workloads() {
    static const std::array<Workload, 3> all = {
        {{"pipe", "round trip", 2000, [](std::uint64_t count) { ping_pong(count); }},
         {"pipe, 1 CPU", "round trip", 2000, ping_pong_on_one_cpu},
         {"messages", "message", 6400, message_storm}}};
    return all;
}

// One policy in the kernel: the scheduler that is attached, whose callbacks are timed, and how it gets there.
struct Case {
    std::string name;
    std::unique_ptr<SlotObject> attached;
    std::unique_ptr<Policy> in_slots; // nullptr: the policy is attached itself

    std::map<std::string, Samples> us_per_operation{};    // by workload
    std::map<std::string, Samples> ns_per_call{};         // by callback, in all workloads
    std::map<std::string, Samples> calls_per_operation{}; // by workload and callback
};

std::vector<Case> cases() {
    constexpr std::uint64_t kDsq = 1;
    std::vector<Case> all;
    const auto direct = [&](const char* name) {
        auto policy = std::make_unique<Policy>("weighted", kDsq);
        policy->load();
        all.push_back({.name = name, .attached = std::move(policy), .in_slots = nullptr});
    };
    const auto slots = [&](const char* name, bool indirect) {
        auto root = std::make_unique<Root>(indirect);
        root->load();
        auto policy = std::make_unique<Policy>("weighted", kDsq);
        policy->load();
        all.push_back({.name = name, .attached = std::move(root), .in_slots = std::move(policy)});
    };
    direct("no slots");
    slots("slots, direct jumps", false);
    slots("slots, indirect", true);
    direct("no slots, again");
    return all;
}

struct Runs {
    double count = 0;
    double ns = 0;
};

Runs runs_of(const SlotObject& object, const std::string& callback) {
    bpf_prog_info info{};
    std::uint32_t size = sizeof info;
    if (::bpf_obj_get_info_by_fd(object.program(object.name() + "_" + callback), &info, &size) != 0)
        throw std::runtime_error("no figures of " + callback);
    return {.count = static_cast<double>(info.run_cnt), .ns = static_cast<double>(info.run_time_ns)};
}

void time_callbacks(Case& at, const Workload& workload) {
    std::map<std::string, Runs> before;
    for (const char* callback : kCallbacks)
        before[callback] = runs_of(*at.attached, callback);
    {
        const UniqueFd statistics(::bpf_enable_stats(BPF_STATS_RUN_TIME));
        if (!statistics)
            throw std::runtime_error("the kernel does not count the time of BPF programs");
        workload.run(workload.operations);
    }
    for (const auto& [callback, start] : before) {
        const Runs runs = runs_of(*at.attached, callback);
        if (runs.count == start.count)
            continue;
        at.ns_per_call[callback].push_back((runs.ns - start.ns) / (runs.count - start.count));
        at.calls_per_operation[workload.name + (" " + callback)].push_back((runs.count - start.count) /
                                                                           static_cast<double>(workload.operations));
    }
}

void measure(Case& at, bool time) {
    if (at.in_slots)
        static_cast<Root&>(*at.attached).attach_with(*at.in_slots);
    else
        at.attached->attach();
    for (const Workload& workload : workloads()) {
        workload.run(workload.operations / 10); // caches
        const auto start = Clock::now();
        workload.run(workload.operations);
        at.us_per_operation[workload.name].push_back(milliseconds_since(start) * 1e3 /
                                                     static_cast<double>(workload.operations));
    }
    if (time)
        for (const Workload& workload : workloads())
            time_callbacks(at, workload);
    if (at.in_slots) {
        const Root& root = static_cast<Root&>(*at.attached);
        root.check_runs();
        if (root.state().fallbacks != 0)
            throw std::runtime_error("tasks went past the slots");
    }
    at.attached->detach();
}

double mean(const Samples& samples) {
    return std::accumulate(samples.begin(), samples.end(), 0.0) / static_cast<double>(samples.size());
}

// Of the mean.
double standard_error(const Samples& samples) {
    const double middle = mean(samples);
    double sum = 0;
    for (const double sample : samples)
        sum += (sample - middle) * (sample - middle);
    const auto count = static_cast<double>(samples.size());
    return count > 1 ? std::sqrt(sum / (count - 1) / count) : 0;
}

// Calls of one operation with those of the slots' extra time that each has.
void print_calls(const std::vector<Case>& all) {
    fmt::print("\nns for a call (medians, with the kernel's statistics, all workloads)\n  {:12}", "");
    for (const Case& at : all)
        fmt::print("{:>22}", at.name);
    for (const char* callback : kCallbacks) {
        fmt::print("\n  {:12}", callback);
        for (const Case& at : all)
            fmt::print("{:>22.1f}", at.ns_per_call.contains(callback) ? median(at.ns_per_call.at(callback)) : 0);
    }
    fmt::print("\n\nWhat that makes for an operation: calls of the policy without slots x extra ns of each\n");
    const Case& base = all.front();
    for (const Workload& workload : workloads()) {
        const double whole = mean(base.us_per_operation.at(workload.name)) * 1e3;
        fmt::print("  {:12}", workload.name);
        for (const Case& at : all) {
            double extra = 0;
            double calls = 0;
            for (const char* callback : kCallbacks) {
                const auto found = base.calls_per_operation.find(workload.name + (std::string(" ") + callback));
                if (found == base.calls_per_operation.end())
                    continue;
                calls += median(found->second);
                extra += median(found->second) *
                         (median(at.ns_per_call.at(callback)) - median(base.ns_per_call.at(callback)));
            }
            fmt::print("  {}: {:.1f} calls, {:+.0f} ns of {:.0f}, {:+.2f} %", at.name, calls, extra, whole,
                       extra / whole * 100);
        }
        fmt::print("\n");
    }
}

} // namespace

void ask_cost(const Settings& settings) {
    constexpr int kTimedRounds = 5;
    std::vector<Case> all = cases();
    for (int round = 0; round < settings.rounds; ++round)
        for (Case& at : all)
            measure(at, round < kTimedRounds);

    fmt::print(
        "Time of an operation, us: mean +- its standard error, median, least of {} rounds; mean and median against "
        "those without slots\n",
        settings.rounds);
    for (const Workload& workload : workloads()) {
        const Samples& base = all.front().us_per_operation.at(workload.name);
        for (const Case& at : all) {
            const Samples& samples = at.us_per_operation.at(workload.name);
            fmt::print("  {:12} {:20} {:8.3f} +- {:.3f} {:8.3f} {:8.3f}  {:+.2f} % {:+.2f} %\n", workload.name, at.name,
                       mean(samples), standard_error(samples), median(samples), std::ranges::min(samples),
                       (mean(samples) / mean(base) - 1) * 100, (median(samples) / median(base) - 1) * 100);
        }
    }
    print_calls(all);
}

} // namespace scxhost::slots
