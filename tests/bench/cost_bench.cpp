// SPDX-License-Identifier: GPL-2.0-only
//
// Measures in a guest what a policy costs, several in turn within each round: the kernel's own scheduler, simple, qmap,
// and qmap for a cgroup below one or two others of it.
//   throughput  of a pipe ping-pong, a message-passing storm and a fork storm, without the kernel's statistics
//   BPF         time and number of runs of each callback meanwhile, a second time, with kernel.bpf_stats_enabled
//   attach      of loaded objects, RCU expedited as in a swap: simple, and qmap with a small and a large `max_tasks`
// Prints tables of medians; with --json all figures.
#include "host/base/unique_fd.hpp"
#include "host/measure/workloads.hpp"
#include "tests/bench/bench.hpp"
#include "tests/vm/children.hpp"
#include "tests/vm/live_policy.hpp"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <ranges>
#include <stdexcept>
#include <string>
#include <vector>

namespace scxhost {
namespace {

using Clock = std::chrono::steady_clock;

double nanoseconds_since(Clock::time_point start) {
    return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

struct Workload {
    const char* name;
    const char* operation;
    std::uint64_t operations;
    std::function<void(std::uint64_t)> run;
};

const std::array<Workload, 3>& workloads() {
    static const std::array<Workload, 3> all = {
        {{"pipe", "round trip", 2000, [](std::uint64_t round_trips) { ping_pong(round_trips); }},
         {"messages", "message", 6400, message_storm},
         {"forks", "process", 300, forks}}};
    return all;
}

// What the kernel counts of one program while somebody holds its statistics open.
struct Runs {
    double count = 0;
    double ns = 0;
};
using RunsByCallback = std::map<std::string, Runs>; // by the callback's name, without the policy's

RunsByCallback read_runs(const std::string& policy) {
    RunsByCallback result;
    for (std::uint32_t id = 0; ::bpf_prog_get_next_id(id, &id) == 0;) {
        const UniqueFd program(::bpf_prog_get_fd_by_id(id));
        bpf_prog_info info{};
        std::uint32_t size = sizeof info;
        if (!program || ::bpf_obj_get_info_by_fd(program.get(), &info, &size) != 0)
            continue;
        const std::string name = info.name; // the kernel keeps 15 characters
        if (info.type != BPF_PROG_TYPE_STRUCT_OPS || !name.starts_with(policy + "_"))
            continue;
        Runs& runs = result[name.substr(policy.size() + 1)];
        runs.count += static_cast<double>(info.run_cnt);
        runs.ns += static_cast<double>(info.run_time_ns);
    }
    return result;
}

RunsByCallback operator-(RunsByCallback after, const RunsByCallback& before) {
    for (auto& [callback, runs] : after)
        if (const auto found = before.find(callback); found != before.end()) {
            runs.count -= found->second.count;
            runs.ns -= found->second.ns;
        }
    return after;
}

UniqueFd enable_bpf_statistics() {
    UniqueFd statistics(::bpf_enable_stats(BPF_STATS_RUN_TIME));
    if (!statistics)
        throw std::runtime_error("the kernel does not count the time of BPF programs");
    return statistics;
}

struct Figures {
    Samples operations_per_second;
    Samples bpf_ns;                         // per operation
    std::map<std::string, Samples> calls;   // per operation
    std::map<std::string, Samples> call_ns; // of one call
};

// What one workload does under the scheduler that is attached.
void measure(const Workload& workload, const std::string& policy, Figures& figures) {
    const auto operations = static_cast<double>(workload.operations);
    workload.run(workload.operations / 10); // caches, and pages of the slab
    const Clock::time_point start = Clock::now();
    workload.run(workload.operations);
    figures.operations_per_second.push_back(operations * 1e9 / nanoseconds_since(start));
    if (policy.empty())
        return;

    const RunsByCallback before = read_runs(policy);
    UniqueFd statistics = enable_bpf_statistics();
    workload.run(workload.operations);
    statistics = UniqueFd();
    double sum = 0;
    for (const auto& [callback, runs] : read_runs(policy) - before) {
        if (runs.count == 0)
            continue;
        sum += runs.ns;
        figures.calls[callback].push_back(runs.count / operations);
        figures.call_ns[callback].push_back(runs.ns / runs.count);
    }
    figures.bpf_ns.push_back(sum / operations);
}

using FiguresByWorkload = std::map<std::string, std::map<std::string, Figures>>; // workload, contender

constexpr const char* kOwn = "kernel"; // the kernel's own scheduler

// What a column is about: a policy, and below it as many more of it, each in a cgroup of the one above. The load is in
// the lowest one's.
struct Contender {
    std::string name;
    std::string policy;
    std::vector<std::string> cgroups = {};
};

const std::vector<Contender>& contenders() {
    static const std::vector<Contender> all = {{kOwn, ""},
                                               {"simple", "simple"},
                                               {"qmap", "qmap"},
                                               {"qmap, 1 below", "qmap", {"/cost"}},
                                               {"qmap, 2 below", "qmap", {"/cost", "/cost/further"}}};
    return all;
}

// This process, and what it starts from then on.
void move_into(const std::string& cgroup) {
    write_text("/sys/fs/cgroup" + cgroup + "/cgroup.procs", "0"); // 0 is who writes
}

FiguresByWorkload measure_throughput(int rounds) {
    FiguresByWorkload all;
    std::map<std::string, std::vector<std::unique_ptr<LivePolicy>>> policies; // from the top down
    for (const Contender& contender : contenders()) {
        auto& of_contender = policies[contender.name];
        if (!contender.policy.empty())
            of_contender.push_back(std::make_unique<LivePolicy>(contender.policy));
        for (const std::string& cgroup : contender.cgroups) {
            std::filesystem::create_directory("/sys/fs/cgroup" + cgroup);
            of_contender.push_back(std::make_unique<LivePolicy>(
                contender.policy, std::vector<std::string>{fmt::format("sub_cgroup={}", cgroup)}));
        }
    }
    for (int round = 0; round < rounds; ++round)
        for (const Contender& contender : contenders()) {
            const auto& of_contender = policies.at(contender.name);
            for (const auto& policy : of_contender)
                policy->attach();
            move_into(contender.cgroups.empty() ? "" : contender.cgroups.back());
            for (const Workload& workload : workloads())
                measure(workload, contender.policy, all[workload.name][contender.name]);
            move_into("");
            for (const auto& policy : std::views::reverse(of_contender))
                policy->detach();
        }
    return all;
}

// Attaches.

struct AttachCase {
    std::string name;
    std::string policy;
    std::vector<std::string> options;

    Samples first_ms{}; // the first attach of a loaded object, which is what a swap has
    Samples again_ms{}; // the same object once more
    Samples init_us{};
    Samples init_task_ns{}; // of one task
    std::int64_t pages = 0; // of the slab, all tasks of the machine in it
};

// Time in the policy's own part is counted apart, since counting takes time itself.
void count_init(LivePolicy& policy, AttachCase& at) {
    const RunsByCallback before = read_runs(at.policy);
    const UniqueFd statistics = enable_bpf_statistics();
    policy.attach();
    const RunsByCallback runs = read_runs(at.policy) - before;
    policy.detach();
    at.init_us.push_back(runs.at("init").ns / 1e3);
    if (const auto found = runs.find("init_task"); found != runs.end() && found->second.count > 0)
        at.init_task_ns.push_back(found->second.ns / found->second.count);
}

void measure_attach(AttachCase& at, int again) {
    LivePolicy policy(at.policy, at.options);
    const auto attach = [&policy] {
        Result<Attached> attached = policy.try_attach();
        if (!attached)
            throw std::runtime_error(attached.error().what);
        (void)attached->link.detach();
        return std::chrono::duration<double, std::milli>(attached->attach_time).count();
    };
    at.first_ms.push_back(attach());
    for (int i = 0; i < again; ++i)
        at.again_ms.push_back(attach());
    count_init(policy, at);
    policy.attach();
    if (at.policy == "qmap")
        at.pages = policy.statistic("pages");
    policy.detach();
}

std::vector<AttachCase> measure_attaches(int loads) {
    constexpr int kAgain = 5;
    std::vector<AttachCase> cases = {{.name = "simple", .policy = "simple", .options = {}},
                                     {.name = "qmap, 16 thousand", .policy = "qmap", .options = {"max_tasks=16384"}},
                                     {.name = "qmap, 4 million", .policy = "qmap", .options = {"max_tasks=4194304"}}};
    write_text("/sys/kernel/rcu_expedited", "1");
    for (int i = 0; i < loads; ++i)
        for (AttachCase& at : cases)
            measure_attach(at, kAgain);
    write_text("/sys/kernel/rcu_expedited", "0");
    return cases;
}

// Output.

void print_throughput(const FiguresByWorkload& all) {
    fmt::print("Operations per second, and as a share of what the kernel's own scheduler does\n{:12} {:12}", "",
               "operation");
    for (const Contender& contender : contenders())
        fmt::print(" {:>16}", contender.name);
    for (const Workload& workload : workloads()) {
        const auto& figures = all.at(workload.name);
        const double own = median(figures.at(kOwn).operations_per_second);
        fmt::print("\n{:12} {:12}", workload.name, workload.operation);
        for (const Contender& contender : contenders()) {
            const double speed = median(figures.at(contender.name).operations_per_second);
            fmt::print(" {:>16}", fmt::format("{:.0f} ({:.2f})", speed, speed / own));
        }
    }
    fmt::print("\n\nTime in BPF: ns per operation; then calls per operation x ns per call, by callback\n{:24}", "");
    for (const Workload& workload : workloads())
        fmt::print(" {:>16}", workload.name);
    for (const auto& [name, policy, cgroups] : contenders()) {
        if (policy.empty())
            continue;
        std::map<std::string, bool> callbacks;
        fmt::print("\n{:24}", name);
        for (const Workload& workload : workloads()) {
            const Figures& figures = all.at(workload.name).at(name);
            fmt::print(" {:>16.0f}", median(figures.bpf_ns));
            for (const auto& [callback, samples] : figures.calls)
                callbacks[callback] = true;
        }
        for (const auto& [callback, ignored] : callbacks) {
            fmt::print("\n  {:22}", callback);
            for (const Workload& workload : workloads()) {
                const Figures& figures = all.at(workload.name).at(name);
                const auto calls = figures.calls.find(callback);
                fmt::print(" {:>16}", calls == figures.calls.end()
                                          ? "-"
                                          : fmt::format("{:.2f} x {:.0f}", median(calls->second),
                                                        median(figures.call_ns.at(callback))));
            }
        }
    }
    fmt::print("\n\n");
}

void print_attaches(const std::vector<AttachCase>& cases) {
    fmt::print("Attach, RCU expedited: ms, median (worst)\n{:20} {:>16} {:>16} {:>10} {:>14} {:>12}\n", "", "first",
               "again", "init, us", "init_task, ns", "slab, pages");
    for (const AttachCase& at : cases) {
        const auto cell = [](const Samples& samples) {
            return fmt::format("{:.3f} ({:.3f})", median(samples), worst(samples));
        };
        fmt::print("{:20} {:>16} {:>16} {:>10.1f} {:>14.0f} {:>12}\n", at.name, cell(at.first_ms), cell(at.again_ms),
                   median(at.init_us), median(at.init_task_ns), at.pages);
    }
    const AttachCase& small = cases[cases.size() - 2];
    const AttachCase& large = cases.back();
    fmt::print("{:20} {:>16.3f} {:>16.3f}\n\n", "4 million / 16 thousand",
               median(large.first_ms) / median(small.first_ms), median(large.again_ms) / median(small.again_ms));
}

nlohmann::json to_json(const FiguresByWorkload& all) {
    nlohmann::json raw = nlohmann::json::array();
    for (const Workload& workload : workloads())
        for (const auto& [name, policy, cgroups] : contenders()) {
            const Figures& figures = all.at(workload.name).at(name);
            raw.push_back({{"workload", workload.name},
                           {"operation", workload.operation},
                           {"scheduler", name},
                           {"operations_per_second", figures.operations_per_second},
                           {"bpf_ns_per_operation", figures.bpf_ns},
                           {"calls_per_operation", figures.calls},
                           {"ns_per_call", figures.call_ns}});
        }
    return raw;
}

nlohmann::json to_json(const std::vector<AttachCase>& cases) {
    nlohmann::json raw = nlohmann::json::array();
    for (const AttachCase& at : cases)
        raw.push_back({{"policy", at.policy},
                       {"options", at.options},
                       {"first_ms", at.first_ms},
                       {"again_ms", at.again_ms},
                       {"init_us", at.init_us},
                       {"init_task_ns", at.init_task_ns},
                       {"slab_pages", at.pages}});
    return raw;
}

struct Arguments {
    bool json = false;
    int rounds = 5;
    int attaches = 7;
    std::string only;
};

void define(CLI::App& app, Arguments& arguments) {
    app.add_flag("--json", arguments.json, "All figures, for programs");
    app.add_option("--rounds", arguments.rounds, "How often each is measured")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    app.add_option("--attaches", arguments.attaches, "How often each object is loaded")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    app.add_option("--only", arguments.only, "One part of it")->check(CLI::IsMember({"throughput", "attach"}));
}

void run(const Arguments& arguments) {
    nlohmann::json raw = nlohmann::json::object();
    if (arguments.only != "attach") {
        const FiguresByWorkload figures = measure_throughput(arguments.rounds);
        raw["throughput"] = to_json(figures);
        if (!arguments.json)
            print_throughput(figures);
    }
    if (arguments.only != "throughput") {
        const std::vector<AttachCase> cases = measure_attaches(arguments.attaches);
        raw["attach"] = to_json(cases);
        if (!arguments.json)
            print_attaches(cases);
    }
    if (arguments.json)
        fmt::print("{}\n", raw.dump());
    else
        fmt::print("Medians of {} rounds and {} loads, by the guest's clock.\n", arguments.rounds, arguments.attaches);
}

} // namespace
} // namespace scxhost

int main(int argc, char** argv) {
    return scxhost::bench_main("cost_bench", argc, argv, scxhost::define, scxhost::run);
}
