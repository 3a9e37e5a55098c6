// SPDX-License-Identifier: GPL-2.0-only
//
// Processes for a scheduler to work on. All are children of the process that makes them, and gone when their owner is.
// What goes wrong is thrown, as std::runtime_error: it ends the workload that they are part of.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

namespace scxhost {

// What children share with their parent. Mapped anew for each Children; zero at first.
struct Board {
    static constexpr std::size_t kLog = 1 << 14;

    std::atomic<std::uint64_t> work[64];  // by child: how often it has gone round its loop
    std::atomic<std::uint32_t> last;      // the child that ran last, its index + 1
    std::atomic<std::uint32_t> nr_logged; // changes of `last`
    std::atomic<std::uint8_t> log[kLog];  // who came, each time
};

struct ChildSettings {
    int nice = 0;
    int cpu = -1;    // -1: any
    int policy = -1; // of sched_setscheduler; -1: as the parent's
};

class Children {
public:
    Children();
    Children(const Children&) = delete;
    Children& operator=(const Children&) = delete;
    ~Children(); // ends and reaps all

    using Body = std::function<void(Board& board, std::size_t index)>;
    // Starts one more; returns when it has its settings. `body` runs in the child, which ends after it.
    pid_t start(const Body& body, const ChildSettings& settings = {});
    pid_t sleeper(const ChildSettings& settings = {}); // sleeps until it is killed
    pid_t spinner(const ChildSettings& settings = {}); // never sleeps; says on the board when it has been given a CPU

    [[nodiscard]] Board& board() { return *board_; }
    [[nodiscard]] const std::vector<pid_t>& pids() const { return pids_; }
    void end_all();
    // Waits until all have ended by themselves. What the first one wrote to board().work[0].
    std::uint64_t join();

private:
    Board* board_;
    std::vector<pid_t> pids_;
};

// Starts `count` short processes, `at_once` of them living at any time. Returns how many forks failed; a failed fork is
// tried again after a short while and not counted as one of the processes.
std::uint64_t fork_storm(std::uint64_t count, unsigned at_once);

} // namespace scxhost
