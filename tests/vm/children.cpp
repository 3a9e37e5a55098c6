// SPDX-License-Identifier: GPL-2.0-only
#include "tests/vm/children.hpp"

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
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace scxhost {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPatience = std::chrono::seconds(60);

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

std::uint64_t count_tasks() {
    namespace fs = std::filesystem;
    std::uint64_t count = 0;
    for (const fs::directory_entry& process : fs::directory_iterator("/proc")) {
        if (process.path().filename().string().find_first_not_of("0123456789") != std::string::npos)
            continue;
        std::error_code gone;
        for (fs::directory_iterator task(process.path() / "task", gone); !gone && task != fs::directory_iterator();
             task.increment(gone))
            ++count;
    }
    return count;
}

std::uint64_t from_environment(const char* variable, std::uint64_t otherwise) {
    const char* text = std::getenv(variable);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

std::optional<bool> scheduled_by_ext(pid_t pid) {
    std::istringstream lines(read_text("/proc/" + std::to_string(pid) + "/sched"));
    for (std::string line; std::getline(lines, line);)
        if (line.starts_with("ext.enabled"))
            return line.find_last_not_of(" \n") != std::string::npos && line.back() == '1';
    return std::nullopt;
}

std::string read_text(const std::string& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

void fill_cpus(Children& crowd, long more) {
    for (long i = 0; i < ::sysconf(_SC_NPROCESSORS_ONLN) + more; ++i)
        crowd.spinner();
}

void remove_cgroup(const std::string& path) {
    if (!wait_until([&] { return ::rmdir(path.c_str()) == 0 || errno == ENOENT; }))
        throw std::runtime_error("cannot remove the cgroup " + path);
}

void write_text(const std::string& path, const std::string& text) {
    std::ofstream file(path);
    file << text << std::flush;
    if (!file)
        throw std::runtime_error("cannot write '" + text + "' to " + path);
}

bool wait_until(const std::function<bool()>& condition) {
    const auto deadline = Clock::now() + kPatience;
    while (!condition()) {
        if (Clock::now() > deadline)
            return condition();
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return true;
}

} // namespace scxhost
