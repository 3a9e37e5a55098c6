// SPDX-License-Identifier: GPL-2.0-only
//
// What tests in a guest need besides processes to schedule: files of the kernel, and waiting.
#pragma once

#include "host/measure/children.hpp"

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace scxhost {

// Tasks that never sleep, one for each CPU and `more`: with one more something is always queued.
void fill_cpus(Children& crowd, long more);

// Threads that exist, as /proc shows them.
std::uint64_t count_tasks();

// A number from the environment, for what is too long for every run: SCX_TEST_FORKS=20000.
std::uint64_t from_environment(const char* variable, std::uint64_t otherwise);

// "ext.enabled" of /proc/PID/sched: whether sched_ext schedules the task. nullopt: the kernel does not say.
std::optional<bool> scheduled_by_ext(pid_t pid);

std::string read_text(const std::string& path);
void write_text(const std::string& path, const std::string& text); // throws when it cannot

// Run time in ns that the kernel has counted for these tasks.
std::uint64_t run_time(const std::vector<pid_t>& pids);

// Where it runs, or ran last.
int cpu_of(pid_t pid);

// SIGSTOP or SIGCONT for these processes; returns when all have stopped.
void tell(const std::vector<pid_t>& pids, int signal);

// Cgroups with the cpu controller, named /PREFIX-NAME; a NAME with a slash is below another one. They throw,
// as the functions above.
class CpuCgroups {
public:
    explicit CpuCgroups(std::string prefix);

    void make(const std::string& name, int weight = 100);
    void remove_all();
    void set_weight(const std::string& name, int weight) const;
    void put(pid_t pid, const std::string& name) const;
    [[nodiscard]] std::string path(const std::string& name) const;

private:
    std::string prefix_;
    std::vector<std::string> names_;
};

// A cgroup is busy until the last of its tasks has been reaped. One that is not there is fine; throws when it stays.
void remove_cgroup(const std::string& path);

// Waits until the condition holds; false at the deadline, which is far beyond what anything takes.
bool wait_until(const std::function<bool()>& condition);

} // namespace scxhost
