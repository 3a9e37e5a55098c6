// SPDX-License-Identifier: GPL-2.0-only
#include "host/measure/children.hpp"

#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>

namespace scxhost {
namespace {

void apply(const ChildSettings& settings) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (settings.cpu >= 0) {
        cpu_set_t cpus;
        CPU_ZERO(&cpus);
        CPU_SET(static_cast<unsigned>(settings.cpu), &cpus);
        ::sched_setaffinity(0, sizeof cpus, &cpus);
    }
    if (settings.policy >= 0) {
        const sched_param none{};
        ::sched_setscheduler(0, settings.policy, &none);
    }
    ::setpriority(PRIO_PROCESS, 0, settings.nice);
}

void reap(pid_t pid) {
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
}

// Returns the number of forks that failed.
std::uint64_t run_storm(std::uint64_t count, unsigned at_once) {
    std::uint64_t failed = 0;
    unsigned alive = 0;
    for (std::uint64_t started = 0; started < count;) {
        if (alive == at_once) {
            if (::waitpid(-1, nullptr, 0) > 0)
                --alive;
            continue;
        }
        const pid_t pid = ::fork();
        if (pid == 0)
            std::_Exit(0);
        if (pid < 0) {
            ++failed;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            continue;
        }
        ++started;
        ++alive;
    }
    while (alive > 0 && ::waitpid(-1, nullptr, 0) > 0)
        --alive;
    return failed;
}

} // namespace

Children::Children()
    : board_(static_cast<Board*>(
          ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
    if (board_ == MAP_FAILED)
        throw std::runtime_error("no memory for the children's board");
}

Children::~Children() {
    end_all();
    ::munmap(board_, sizeof *board_);
}

void Children::end_all() {
    for (const pid_t pid : pids_)
        ::kill(pid, SIGKILL);
    for (const pid_t pid : pids_)
        reap(pid);
    pids_.clear();
}

std::uint64_t Children::join() {
    for (const pid_t pid : pids_)
        reap(pid);
    pids_.clear();
    return board_->work[0];
}

pid_t Children::start(const Body& body, const ChildSettings& settings) {
    int ready[2];
    if (::pipe(ready) != 0)
        throw std::runtime_error("pipe failed");
    const std::size_t index = pids_.size();
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::close(ready[0]);
        apply(settings);
        ::close(ready[1]);
        body(*board_, index);
        std::_Exit(0);
    }
    ::close(ready[1]);
    char none = 0;
    while (pid > 0 && ::read(ready[0], &none, 1) < 0 && errno == EINTR) {
    }
    ::close(ready[0]);
    if (pid < 0)
        throw std::runtime_error(std::string("fork failed: ") + std::strerror(errno));
    pids_.push_back(pid);
    return pid;
}

pid_t Children::sleeper(const ChildSettings& settings) {
    return start(
        [](Board&, std::size_t) {
            for (;;)
                ::pause();
        },
        settings);
}

pid_t Children::spinner(const ChildSettings& settings) {
    return start(
        [](Board& board, std::size_t index) {
            const auto own = static_cast<std::uint32_t>(index + 1);
            for (;;) {
                if (board.last.load(std::memory_order_relaxed) != own) {
                    board.last.store(own, std::memory_order_relaxed);
                    const std::uint32_t at = board.nr_logged.fetch_add(1, std::memory_order_relaxed);
                    board.log[at % Board::kLog].store(static_cast<std::uint8_t>(index), std::memory_order_relaxed);
                }
                board.work[index % 64].fetch_add(1, std::memory_order_relaxed);
            }
        },
        settings);
}

std::uint64_t fork_storm(std::uint64_t count, unsigned at_once) {
    // In a process of its own, which waits for whichever child ends first and has no others.
    Children storm;
    storm.start([&](Board& board, std::size_t) { board.work[0] = run_storm(count, at_once); });
    return storm.join();
}

} // namespace scxhost
