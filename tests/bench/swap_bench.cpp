// SPDX-License-Identifier: GPL-2.0-only
//
// Measures the gap of a swap in a guest, in three ways within one run:
//   floor    both objects loaded, bpf_link__detach and bpf_map__attach_struct_ops and nothing else: RCU as usual, RCU
//            expedited, and that with the callbacks handed to the kernel before (SchedulerObject::commit)
//   swap     `scxhost swap`, its own report
//   restart  what managers of loader processes do: end the old loader, start the new one (scxhost run is the loader),
//            from the signal to the new one's confirmed start
// with a number of sleeping tasks. In the rows of programs the host swaps other people's programs as they are, and
// "restart" is what their managers do: SIGINT, the program's end, the next one started by hand. Their floor is the swap
// to the same object in the host's own process. Prints a table of medians and worst cases in milliseconds, and the
// ratios.
#include "host/config/selection.hpp"
#include "host/kernel/kernel_btf.hpp"
#include "host/kernel/sched_ext_sysfs.hpp"
#include "host/supervisor/prepared_scheduler.hpp"
#include "tests/bench/bench.hpp"
#include "tests/bench/swap_watch.hpp"
#include "tests/vm/host_process.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace scxhost {
namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void give_up(const std::string& why) {
    throw std::runtime_error(why);
}

template <typename T>
T must(Result<T> result) {
    if (!result)
        give_up(result.error().what + "\n" + result.error().detail);
    if constexpr (!std::is_void_v<T>)
        return *std::move(result);
}

double since(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

void expedite_rcu(bool on) {
    std::ofstream("/sys/kernel/rcu_expedited") << (on ? "1" : "0") << std::flush;
}

enum class Floor { kUsual, kExpedited, kCommitted };

// What a row is about.
struct Policy {
    enum class Kind { kPlugin, kObject, kProgram } kind;
    std::string name;
    std::vector<std::string> words;        // that select it: of scxhost run, swap
    std::vector<std::string> command = {}; // of a program: as it is started by hand
};

std::vector<std::string> arguments(std::vector<std::string> first, const Policy& policy) {
    first.insert(first.end(), policy.words.begin(), policy.words.end()); // a program's own arguments stay the last
    return first;
}

Samples floor_gaps(const std::string& from, const std::string& to, int rounds, Floor floor) {
    const KernelBtf kernel = must(KernelBtf::load());
    const auto prepare = [&](const std::string& what) {
        Selection selection;
        selection.what = what;
        const Config config = must(select_config(selection));
        std::unique_ptr<PreparedScheduler> scheduler = must(PreparedScheduler::open(config));
        must(scheduler->bind_options(config, &kernel));
        must(scheduler->fit(kernel));
        must(scheduler->configure({}));
        must(scheduler->load());
        if (floor == Floor::kCommitted)
            must(scheduler->object().commit(kernel));
        return scheduler;
    };
    Samples samples;
    for (int i = 0; i < rounds; ++i) {
        // Loaded anew each time, as a swap has it: an object that was attached before has its trampolines.
        const auto old = prepare(from);
        const auto next = prepare(to);
        Attachment link = must(old->object().attach());
        expedite_rcu(floor != Floor::kUsual);
        const auto start = Clock::now();
        must(link.disable());
        Attachment attached = must(next->object().attach());
        samples.push_back(since(start));
        expedite_rcu(false);
        must(attached.detach());
    }
    return samples;
}

struct SwapSamples {
    Samples gap, detach, attach, confirm, prepare, running_silence, fork_silence;
};

SwapSamples swap_gaps(const Policy& from, const Policy& to, int rounds) {
    SwapSamples samples;
    HostProcess host(arguments({"run", "--json", "--stay", "--set", "swap.probation=0s"}, from));
    if (!host.next_event("enabled"))
        give_up("the host did not start: " + host.err());
    const auto swap = [&host](const Policy& what) {
        HostProcess command(arguments({"swap", "--json", "--set", "swap.probation=0s"}, what));
        if (command.wait() != 0) {
            host.signal(SIGTERM);
            const int status = host.wait();
            give_up(fmt::format("a swap failed: {}{}\nthe host ended with {}: {}", command.out(), command.err(), status,
                                host.err()));
        }
        return nlohmann::json::parse(command.out());
    };
    for (int i = 0; i < rounds; ++i) {
        const nlohmann::json report = swap(to);
        samples.gap.push_back(report.at("gap_ms"));
        samples.detach.push_back(report.at("detach_ms"));
        samples.attach.push_back(report.at("attach_ms"));
        samples.confirm.push_back(report.at("confirm_ms"));
        samples.prepare.push_back(report.at("prepare_ms"));
        swap(from);
    }
    // Apart from the gaps: with busy tasks on an emulated machine, an interrupt waits for its CPU's turn.
    Silence silence;
    swap(to);
    swap(from);
    silence.reset();
    swap(to);
    samples.running_silence.push_back(silence.running_ms());
    samples.fork_silence.push_back(silence.fork_ms());
    host.signal(SIGTERM);
    host.wait();
    return samples;
}

// A scheduler that nobody hosts: scxhost run as a loader, or a program by itself.
class Loader {
public:
    explicit Loader(const Policy& policy) {
        if (policy.kind != Policy::Kind::kProgram) {
            host_ = std::make_unique<HostProcess>(arguments({"run", "--json"}, policy));
            if (!host_->next_event("enabled"))
                give_up("the loader did not start: " + host_->err());
            return;
        }
        pid_ = ::fork();
        if (pid_ == 0) {
            std::vector<char*> words;
            for (const std::string& word : policy.command)
                words.push_back(const_cast<char*>(word.c_str()));
            words.push_back(nullptr);
            if (std::freopen("/dev/null", "w", stdout) != nullptr)
                ::execv(words[0], words.data());
            ::_exit(127);
        }
        // Its call of the kernel has not returned by then, but it schedules.
        while (read_sched_ext_state() != "enabled") {
            if (::waitpid(pid_, nullptr, WNOHANG) != 0)
                give_up("the program ended before it was attached");
            ::usleep(100);
        }
    }
    Loader(const Loader&) = delete;
    Loader& operator=(const Loader&) = delete;
    ~Loader() { end(); }

    void end() {
        if (host_ != nullptr) {
            host_->signal(SIGTERM);
            host_->wait();
            host_.reset();
        }
        if (pid_ > 0) {
            ::kill(pid_, SIGINT);
            ::waitpid(pid_, nullptr, 0);
            pid_ = -1;
        }
    }

private:
    static std::string read_sched_ext_state() {
        std::string state;
        std::ifstream("/sys/kernel/sched_ext/state") >> state;
        return state;
    }

    std::unique_ptr<HostProcess> host_;
    pid_t pid_ = -1;
};

Samples restart_gaps(const Policy& from, const Policy& to, int rounds) {
    Samples samples;
    for (int i = 0; i < rounds; ++i) {
        Loader old(from);
        const auto start = Clock::now();
        old.end();
        const Loader next(to);
        samples.push_back(since(start));
    }
    return samples;
}

struct Arguments {
    bool json = false;
    int rounds = 5;
    std::vector<int> tasks = {0, 1000, 4000};
};

void define(CLI::App& app, Arguments& arguments) {
    app.add_flag("--json", arguments.json, "All figures, for programs");
    app.add_option("--rounds", arguments.rounds, "How often each is measured")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    app.add_option("--tasks", arguments.tasks, "Tasks that sleep: N,...")
        ->check(CLI::NonNegativeNumber)
        ->delimiter(',')
        ->capture_default_str();
}

void run(const Arguments& arguments) {
    const auto& [json, rounds, tasks] = arguments;
    nlohmann::json raw = nlohmann::json::array();
    if (!json)
        fmt::print("{:>8} {:>6} {:>18} {:>18} {:>18} {:>18} {:>22} {:>7} {:>7}  {}\n", "to", "tasks",
                   "floor, RCU usual", "floor, expedited", "floor, committed", "scxhost swap", "stop and start",
                   "swap/fl", "st/swap", "swap: detach + attach + confirm; longest silence of a busy task, of a fork");
    using Kind = Policy::Kind;
    const Policy simple{.kind = Kind::kPlugin, .name = "simple", .words = {"simple"}};
    const Policy qmap{.kind = Kind::kPlugin, .name = "qmap", .words = {"qmap"}};
    const Policy object{.kind = Kind::kObject, .name = "object", .words = {"--object", "/root/example.bpf.o"}};
    const auto program = [](const char* name, const char* file) {
        return Policy{.kind = Kind::kProgram,
                      .name = name,
                      .words = {"--program", "/root/scx_example", "--", file},
                      .command = {"/root/scx_example", file}};
    };
    const Policy one = program("program", "/root/example.bpf.o");
    const Policy other = program("another", "/root/failing.bpf.o"); // which fails only when it is told to
    const std::vector<std::pair<Policy, Policy>> pairs = {
        {qmap, simple}, {simple, qmap}, {simple, object}, {simple, one}, {one, other}};
    for (const int count : tasks) {
        const Sleepers sleepers(count);
        double object_gap = 0;
        for (const auto& [from, to] : pairs) {
            const auto floor = [&](Floor kind) {
                return to.kind == Kind::kPlugin ? floor_gaps(from.name, to.name, rounds, kind) : Samples();
            };
            const Samples usual = floor(Floor::kUsual);
            const Samples expedited = floor(Floor::kExpedited);
            const Samples committed = floor(Floor::kCommitted);
            const SwapSamples swap = swap_gaps(from, to, rounds);
            const Samples restart = restart_gaps(from, to, std::max(1, rounds / 2));
            if (to.kind == Kind::kObject)
                object_gap = median(swap.gap);
            const double swap_to_floor = median(swap.gap) / (to.kind == Kind::kPlugin ? median(expedited) : object_gap);
            const double restart_to_swap = median(restart) / median(swap.gap);
            raw.push_back({{"from", from.name},
                           {"to", to.name},
                           {"sleeping_tasks", count},
                           {"floor_usual_ms", usual},
                           {"floor_expedited_ms", expedited},
                           {"floor_committed_ms", committed},
                           {"swap_gap_ms", swap.gap},
                           {"swap_detach_ms", swap.detach},
                           {"swap_attach_ms", swap.attach},
                           {"swap_confirm_ms", swap.confirm},
                           {"swap_prepare_ms", swap.prepare},
                           {"busy_task_silence_ms", swap.running_silence},
                           {"fork_ms", swap.fork_silence},
                           {"restart_ms", restart},
                           {"swap_to_floor", swap_to_floor},
                           {"restart_to_swap", restart_to_swap}});
            if (json)
                continue;
            const auto cell = [](const Samples& samples) {
                return samples.empty() ? "-" : fmt::format("{:.2f} ({:.2f})", median(samples), worst(samples));
            };
            fmt::print("{:>8} {:>6} {:>18} {:>18} {:>18} {:>18} {:>22} {:>7.2f} {:>7.1f}  {:.2f} + {:.2f} + {:.2f}; "
                       "{:.2f}, {:.2f}\n",
                       to.name, count, cell(usual), cell(expedited), cell(committed), cell(swap.gap), cell(restart),
                       swap_to_floor, restart_to_swap, median(swap.detach), median(swap.attach), median(swap.confirm),
                       worst(swap.running_silence), worst(swap.fork_silence));
            std::fflush(stdout);
        }
    }
    if (json)
        fmt::print("{}\n", raw.dump());
    else
        fmt::print("\nMedian (worst) of {} rounds, in milliseconds of the guest's clock.\n", rounds);
}

} // namespace
} // namespace scxhost

int main(int argc, char** argv) {
    return scxhost::bench_main("swap_bench", argc, argv, scxhost::define, scxhost::run);
}
