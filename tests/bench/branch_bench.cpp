// SPDX-License-Identifier: GPL-2.0-only
//
// Measures in a guest what others see of the swap of a branch: the longest time in which a busy task did not run, and
// the longest fork, of tasks in the branch and outside it. Beside it, the swap of a root that has all of these tasks,
// and as much time without any swap, which tells what a silence is without one. The busy tasks have a CPU each, so that
// they wait for nothing but the swap; all else, the host included, shares two others. qmap below qmap, with a number of
// tasks that sleep in the branch and others that sleep outside. Prints medians and worst cases in milliseconds.
#include "tests/bench/bench.hpp"
#include "tests/bench/swap_watch.hpp"
#include "tests/vm/host_process.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace scxhost {
namespace {

constexpr const char* kCgroup = "/bench"; // the branch is called "bench"
constexpr const char* kConfig = "/root/branch_bench.toml";

struct Arguments {
    bool json = false;
    int rounds = 5;
    int outside = 4000;
    std::vector<int> inside = {0, 1000, 4000};
};

void define(CLI::App& app, Arguments& arguments) {
    app.add_flag("--json", arguments.json, "All figures, for programs");
    app.add_option("--rounds", arguments.rounds, "How often each is measured")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    app.add_option("--outside", arguments.outside, "Tasks that sleep outside the branch")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    app.add_option("--inside", arguments.inside, "Tasks that sleep in the branch: N,...")
        ->check(CLI::NonNegativeNumber)
        ->delimiter(',')
        ->capture_default_str();
}

// What one side saw, in milliseconds.
struct Seen {
    Samples silence, fork;
    void add(const Silence& watch) {
        silence.push_back(watch.running_ms());
        fork.push_back(watch.fork_ms());
    }
};

enum class Swapped { kNothing, kBranch, kRoot };
constexpr std::array kAll = {Swapped::kNothing, Swapped::kBranch, Swapped::kRoot};

constexpr const char* name_of(Swapped what) {
    constexpr std::array names = {"nothing", "branch", "root"};
    return names.at(static_cast<std::size_t>(what));
}

struct Row {
    Swapped what;
    int tasks;           // that sleep in the branch; of the root, all that it has
    Samples gap, attach; // as the host reports them
    Seen inside, outside;
};

nlohmann::json must_swap(std::vector<std::string> words) {
    words.insert(words.begin(), {"swap", "qmap", "--json", "--set", "swap.probation=0s"});
    HostProcess command(words);
    if (command.wait() != 0)
        throw std::runtime_error(fmt::format("a swap failed: {}{}", command.out(), command.err()));
    return nlohmann::json::parse(command.out());
}

Row measure(Swapped what, int inside, int outside, int rounds) {
    // The root row has no branch: the same tasks, in the same cgroup, are the root's.
    std::ofstream(kConfig) << "[scheduler]\nplugin = \"qmap\"\noptions = { slice = \"1ms\" }\n"
                           << "[swap]\nprobation = \"0s\"\n"
                           << (what == Swapped::kRoot ? ""
                                                      : fmt::format("[[below]]\ncgroup = \"{}\"\nplugin = \"qmap\"\n"
                                                                    "options = {{ slice = \"1ms\" }}\n",
                                                                    kCgroup));
    HostProcess host({"run", kConfig, "--json", "--stay"});
    for (int up = what == Swapped::kRoot ? 1 : 2; up > 0; --up)
        if (!host.next_event("enabled"))
            throw std::runtime_error("the host did not start: " + host.err());

    Row row{.what = what, .tasks = what == Swapped::kRoot ? inside + outside : inside};
    const Sleepers here(inside, kCgroup);
    const Sleepers there(outside);
    Silence in(kCgroup, 2);
    Silence out("", 3);
    for (int round = 0; round <= rounds; ++round) {
        in.reset();
        out.reset();
        nlohmann::json report;
        if (what == Swapped::kNothing) {
            HostProcess check({"check", "qmap"});
            if (check.wait() != 0)
                throw std::runtime_error("a check failed: " + check.err());
        } else {
            // With other options each time: the same one would not be swapped.
            std::vector<std::string> words = {"--set", fmt::format("slice={}us", 1100 + round % 2)};
            if (what == Swapped::kBranch)
                words.insert(words.end(), {"--at", kCgroup + 1});
            report = must_swap(words);
        }
        if (round == 0)
            continue; // caches, trampolines
        row.inside.add(in);
        row.outside.add(out);
        if (!report.is_null()) {
            row.gap.push_back(report.at("gap_ms"));
            row.attach.push_back(report.at("attach_ms"));
        }
    }
    host.signal(SIGTERM);
    host.wait();
    return row;
}

void print(const Row& row) {
    const auto cell = [](const Samples& samples) {
        return samples.empty() ? "-" : fmt::format("{:.2f} ({:.2f})", median(samples), worst(samples));
    };
    fmt::print("{:>8} {:>6} {:>17} {:>17} {:>17} {:>17} {:>17} {:>17}\n", name_of(row.what), row.tasks, cell(row.gap),
               cell(row.attach), cell(row.inside.silence), cell(row.outside.silence), cell(row.inside.fork),
               cell(row.outside.fork));
    std::fflush(stdout);
}

void run(const Arguments& arguments) {
    stay_on({0, 1});
    if (::mkdir((std::string("/sys/fs/cgroup") + kCgroup).c_str(), 0755) != 0 && errno != EEXIST)
        throw std::runtime_error("the branch's cgroup cannot be made");
    if (!arguments.json)
        fmt::print("{:>8} {:>6} {:>17} {:>17} {:>17} {:>17} {:>17} {:>17}\n", "swapped", "tasks", "gap", "attach",
                   "silence inside", "silence outside", "fork inside", "fork outside");
    nlohmann::json rows = nlohmann::json::array();
    for (const int inside : arguments.inside)
        for (const Swapped what : kAll) {
            const Row row = measure(what, inside, arguments.outside, arguments.rounds);
            if (!arguments.json)
                print(row);
            rows.push_back({{"swapped", name_of(row.what)},
                            {"tasks_inside", inside},
                            {"tasks_outside", arguments.outside},
                            {"gap_ms", row.gap},
                            {"attach_ms", row.attach},
                            {"silence_inside_ms", row.inside.silence},
                            {"silence_outside_ms", row.outside.silence},
                            {"fork_inside_ms", row.inside.fork},
                            {"fork_outside_ms", row.outside.fork}});
        }
    if (arguments.json)
        fmt::print("{}\n", rows.dump());
    else
        fmt::print("\nMedian (worst) of {} rounds, in milliseconds of the guest's clock; {} tasks sleep outside.\n",
                   arguments.rounds, arguments.outside);
}

} // namespace
} // namespace scxhost

int main(int argc, char** argv) {
    return scxhost::bench_main("branch_bench", argc, argv, scxhost::define, scxhost::run);
}
