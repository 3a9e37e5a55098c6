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

// A cgroup is busy until the last of its tasks has been reaped. One that is not there is fine; throws when it stays.
void remove_cgroup(const std::string& path);

// Waits until the condition holds; false at the deadline, which is far beyond what anything takes.
bool wait_until(const std::function<bool()>& condition);

} // namespace scxhost
