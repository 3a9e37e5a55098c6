// SPDX-License-Identifier: GPL-2.0-only
//
// The tasks that are there while benchmarks swap schedulers, and what they see of it.
#pragma once

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <initializer_list>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace scxhost {

// Moves the calling process into a cgroup, named by its path from the root; "" leaves it where it is.
inline void enter_cgroup(const std::string& cgroup) {
    if (!cgroup.empty())
        std::ofstream("/sys/fs/cgroup" + cgroup + "/cgroup.procs") << "0" << std::flush; // 0 is who writes
}

// Keeps the calling process, and what it starts from now on, on these CPUs.
inline void stay_on(std::initializer_list<int> cpus) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const int cpu : cpus)
        CPU_SET(static_cast<std::size_t>(cpu), &set);
    if (::sched_setaffinity(0, sizeof set, &set) != 0)
        throw std::runtime_error("cannot choose CPUs");
}

// A process of many sleeping threads.
class Sleepers {
public:
    explicit Sleepers(int count, const std::string& cgroup = "") {
        if (count == 0)
            return;
        int ready[2];
        if (::pipe(ready) != 0)
            throw std::runtime_error("pipe");
        pid_ = ::fork();
        if (pid_ == 0) {
            enter_cgroup(cgroup);
            pthread_attr_t small;
            ::pthread_attr_init(&small);
            ::pthread_attr_setstacksize(&small, 32 << 10);
            pthread_t thread;
            const auto sleep = [](void*) -> void* {
                for (;;)
                    ::pause();
            };
            for (int i = 0; i < count; ++i)
                if (::pthread_create(&thread, &small, sleep, nullptr) != 0)
                    ::_exit(1);
            (void)!::write(ready[1], "x", 1);
            ::pause();
        }
        ::close(ready[1]);
        char byte = 0;
        if (::read(ready[0], &byte, 1) != 1)
            throw std::runtime_error("cannot start the sleeping tasks");
        ::close(ready[0]);
    }
    Sleepers(const Sleepers&) = delete;
    Sleepers& operator=(const Sleepers&) = delete;
    ~Sleepers() {
        if (pid_ <= 0)
            return;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }

private:
    pid_t pid_ = -1;
};

// What others see of a swap: the longest time in which a busy task did not run, and the longest fork.
class Silence {
public:
    // With a CPU of its own, which nobody else may use, the busy task waits for nobody's turn.
    explicit Silence(const std::string& cgroup = "", std::optional<int> cpu = {})
        : cgroup_(cgroup)
        , shared_(static_cast<Shared*>(
              ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
        start([this, cpu] {
            if (cpu)
                stay_on({*cpu});
            for (auto last = Clock::now();;) {
                const auto now = Clock::now();
                raise(shared_->running_us, now - last);
                last = now;
            }
        });
        start([this] {
            for (;;) {
                const auto begin = Clock::now();
                const pid_t child = ::fork();
                if (child == 0)
                    ::_exit(0);
                raise(shared_->fork_us, Clock::now() - begin);
                ::waitpid(child, nullptr, 0);
                ::usleep(1000);
            }
        });
    }
    Silence(const Silence&) = delete;
    Silence& operator=(const Silence&) = delete;
    ~Silence() {
        for (const pid_t child : children_) {
            ::kill(child, SIGKILL);
            ::waitpid(child, nullptr, 0);
        }
    }
    void reset() {
        shared_->running_us = 0;
        shared_->fork_us = 0;
    }
    [[nodiscard]] double running_ms() const { return static_cast<double>(shared_->running_us) / 1e3; }
    [[nodiscard]] double fork_ms() const { return static_cast<double>(shared_->fork_us) / 1e3; }

private:
    using Clock = std::chrono::steady_clock;
    struct Shared {
        std::atomic<std::int64_t> running_us = 0;
        std::atomic<std::int64_t> fork_us = 0;
    };
    static void raise(std::atomic<std::int64_t>& most, Clock::duration time) {
        const auto us = std::chrono::duration_cast<std::chrono::microseconds>(time).count();
        if (us > most)
            most = us;
    }
    template <typename Work>
    void start(Work work) {
        const pid_t child = ::fork();
        if (child == 0) {
            enter_cgroup(cgroup_);
            work();
            ::_exit(0);
        }
        children_.push_back(child);
    }

    std::string cgroup_;
    Shared* shared_;
    std::vector<pid_t> children_;
};

} // namespace scxhost
