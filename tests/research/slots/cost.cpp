// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/unique_fd.hpp"
#include "tests/research/slots/load.hpp"
#include "tests/research/slots/questions.hpp"
#include "tests/research/slots/slot_object.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
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

const std::array<Workload, 2>& workloads() {
    static const std::array<Workload, 2> all = {
        {{"pipe", "round trip", 10000, ping_pong}, {"messages", "message", 25600, message_storm}}};
    return all;
}

// One policy in the kernel: the scheduler that is attached, whose callbacks are timed, and how it gets there.
struct Case {
    std::string name;
    std::unique_ptr<SlotObject> attached;
    std::unique_ptr<Policy> in_slots; // nullptr: the policy is attached itself

    std::map<std::string, Samples> us_per_operation{}; // by workload
    std::map<std::string, Samples> ns_per_call{};      // by callback, in the pipe ping-pong
    std::map<std::string, Samples> calls_per_operation{};
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
        at.calls_per_operation[callback].push_back((runs.count - start.count) /
                                                   static_cast<double>(workload.operations));
    }
}

void measure(Case& at) {
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
    time_callbacks(at, workloads().front());
    if (at.in_slots) {
        const Root& root = static_cast<Root&>(*at.attached);
        root.check_runs();
        if (root.state().fallbacks != 0)
            throw std::runtime_error("tasks went past the slots");
    }
    at.attached->detach();
}

} // namespace

void ask_cost(const Settings& settings) {
    std::vector<Case> all = cases();
    for (int round = 0; round < settings.rounds; ++round)
        for (Case& at : all)
            measure(at);

    fmt::print("Time of an operation, us: median (least to most) of {} rounds; and its ratio to that without slots\n",
               settings.rounds);
    for (const Workload& workload : workloads()) {
        const double base = median(all.front().us_per_operation.at(workload.name));
        for (const Case& at : all) {
            const Samples& samples = at.us_per_operation.at(workload.name);
            fmt::print("  {:10} {:22} {:9.3f} ({:.3f} to {:.3f})  {:+.2f} %\n", workload.name, at.name, median(samples),
                       std::ranges::min(samples), worst(samples), (median(samples) / base - 1) * 100);
        }
    }
    fmt::print("\nCallbacks in the pipe ping-pong: calls for a round trip, ns for a call (medians)\n");
    for (const char* callback : kCallbacks) {
        if (!all.front().ns_per_call.contains(callback))
            continue;
        fmt::print("  {:12}", callback);
        for (const Case& at : all)
            fmt::print("  {}: {:.2f} x {:.1f}", at.name, median(at.calls_per_operation.at(callback)),
                       median(at.ns_per_call.at(callback)));
        fmt::print("\n");
    }
}

} // namespace scxhost::slots
