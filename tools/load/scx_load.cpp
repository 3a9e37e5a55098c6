// SPDX-License-Identifier: GPL-2.0-only
//
// A load for a scheduler to work on: threads that never sleep, threads that sleep and wake, processes that come and go.
// Runs until SIGINT or SIGTERM, or for a given time; every thread and child has ended when it returns.

#include "host/base/standard_descriptors.hpp"

#include <getopt.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;

constexpr const char* kHelp =
    R"(usage: scx-load [OPTION]...

Makes a load until SIGINT or SIGTERM.

  --busy N         threads that never sleep (default: 0)
  --sleepers N     threads that work for 0.1 ms, then sleep for 1 to 16 ms (default: 0)
  --forkers N      threads that start short processes, one after the other (default: 0)
  --spread-nice    give the threads nice values from -10 to 10 in turn (lower than 0 takes root)
  --for SECONDS    end by itself

With none of the first three: as many busy threads as there are CPUs, 16 sleepers, 1 forker.

example: scx-load --busy 4 --sleepers 100 --spread-nice --for 10
)";

struct Settings {
    int busy = 0;
    int sleepers = 0;
    int forkers = 0;
    bool spread_nice = false;
    int seconds = 0; // 0: until a signal
};

std::atomic<bool> stop{false};

void compute_for(std::chrono::microseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end && !stop.load(std::memory_order_relaxed)) {
    }
}

void be_busy() {
    while (!stop.load(std::memory_order_relaxed))
        compute_for(10ms);
}

void sleep_and_wake(int index) {
    // Different periods, so that the threads do not wake together for long.
    const auto pause = std::chrono::milliseconds(1 + index % 16);
    while (!stop.load(std::memory_order_relaxed)) {
        compute_for(100us);
        std::this_thread::sleep_for(pause);
    }
}

void start_processes() {
    while (!stop.load(std::memory_order_relaxed)) {
        const pid_t child = fork();
        if (child == 0) {
            // Only async-signal-safe calls here: other threads existed when the process was copied.
            volatile unsigned work = 0;
            while (work < 100'000)
                work = work + 1;
            _exit(0);
        }
        if (child > 0) {
            while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
            }
        }
        // Also after a fork that failed: the machine, or a scheduler, may refuse one for a while.
        std::this_thread::sleep_for(5ms);
    }
}

void renice(int index) {
    constexpr int kNice[] = {0, 10, -10, 5, -5};
    // PRIO_PROCESS with 0 is the calling thread on Linux. Without the right to it, the thread keeps its nice value.
    setpriority(PRIO_PROCESS, 0, kNice[static_cast<std::size_t>(index) % std::size(kNice)]);
}

bool read_count(std::string_view text, int& out) {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value < 0)
        return false;
    out = value;
    return true;
}

// Returns the exit status when the program is to end at once, else -1.
int parse(int argc, char** argv, Settings& settings) {
    enum { kBusy = 1, kSleepers, kForkers, kSpreadNice, kFor, kShowHelp };
    const option options[] = {{"busy", required_argument, nullptr, kBusy},
                              {"sleepers", required_argument, nullptr, kSleepers},
                              {"forkers", required_argument, nullptr, kForkers},
                              {"spread-nice", no_argument, nullptr, kSpreadNice},
                              {"for", required_argument, nullptr, kFor},
                              {"help", no_argument, nullptr, kShowHelp},
                              {nullptr, 0, nullptr, 0}};
    bool good = true;
    int chosen = 0;
    int found = 0;
    while (good && (found = getopt_long(argc, argv, "", options, &chosen)) != -1) {
        switch (found) {
        case kBusy:
            good = read_count(optarg, settings.busy);
            break;
        case kSleepers:
            good = read_count(optarg, settings.sleepers);
            break;
        case kForkers:
            good = read_count(optarg, settings.forkers);
            break;
        case kSpreadNice:
            settings.spread_nice = true;
            break;
        case kFor:
            good = read_count(optarg, settings.seconds) && settings.seconds > 0;
            break;
        case kShowHelp:
            std::fputs(kHelp, stdout);
            return 0;
        default:
            return 2;
        }
        if (!good)
            std::fprintf(stderr, "scx-load: --%s takes a number, not '%s'\n", options[chosen].name, optarg);
    }
    if (good && optind < argc) {
        std::fprintf(stderr, "scx-load: unknown argument '%s'; scx-load --help\n", argv[optind]);
        good = false;
    }
    if (!good)
        return 2;
    if (settings.busy + settings.sleepers + settings.forkers == 0) {
        settings.busy = static_cast<int>(std::thread::hardware_concurrency());
        settings.sleepers = 16;
        settings.forkers = 1;
    }
    return -1;
}

void wait_for_end(const sigset_t& signals, int seconds) {
    const timespec limit{seconds, 0};
    while ((seconds > 0 ? sigtimedwait(&signals, nullptr, &limit) : sigwaitinfo(&signals, nullptr)) < 0 &&
           errno == EINTR) {
    }
}

} // namespace

int main(int argc, char** argv) {
    scxhost::open_standard_descriptors();
    Settings settings;
    if (const int status = parse(argc, argv, settings); status >= 0)
        return status;

    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);

    std::vector<std::thread> threads;
    int status = 0;
    const auto start = [&](int count, auto work) {
        for (int i = 0; i < count; ++i) {
            threads.emplace_back([work, i, spread = settings.spread_nice] {
                if (spread)
                    renice(i);
                work(i);
            });
        }
    };
    try {
        start(settings.sleepers, sleep_and_wake);
        start(settings.forkers, [](int) { start_processes(); });
        start(settings.busy, [](int) { be_busy(); });
        wait_for_end(signals, settings.seconds);
    } catch (const std::system_error& error) {
        std::fprintf(stderr, "scx-load: thread %zu could not be started: %s\n", threads.size() + 1, error.what());
        status = 1;
    }
    stop = true;
    for (std::thread& thread : threads)
        thread.join();
    return status;
}
