// SPDX-License-Identifier: GPL-2.0-only
//
// What schedulers want to know of the machine: its CPUs and how they share cores, caches and memory. Read from sysfs
// when it is asked for; a CPU that comes or goes later does not change what was read.
#pragma once

#include "host/base/result.hpp"

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

namespace scxhost {

// "0-3,8" as in sysfs: the numbers in it, in their order. kConfig: it is no such list, or a number is above 65535.
[[nodiscard]] Result<std::vector<std::uint32_t>> parse_cpu_list(std::string_view text);

// One number for each CPU, in the order of their numbers; 0 for one that is not online, -1 where the number is that of
// another CPU.
using PerCpu = std::vector<std::int64_t>;

struct MachineTopology {
    // `sysfs` is where sysfs is mounted. kUnsupported: it does not tell which CPUs there are. What else it does not
    // tell is taken as on a machine that has one of it.
    [[nodiscard]] static Result<MachineTopology> read(const std::filesystem::path& sysfs = "/sys");

    std::uint32_t cpus = 0;  // one more than the highest number that a CPU can have: the kernel's nr_cpu_ids
    std::uint32_t nodes = 1; // the same for memory nodes
    std::uint32_t llcs = 1;  // last-level caches of the CPUs that are online
    bool smt = false;        // some core has more than one thread online

    std::vector<std::uint32_t> possible; // CPUs that may come, those that are there included
    std::vector<std::uint32_t> online;

    PerCpu capacity;  // 1024 for the fastest: the kernel's, else from the firmware's performance, else from frequency
    PerCpu core;      // number of its core: 0, 1, 2, … in the order of their first CPUs
    PerCpu llc;       // number of its last-level cache, likewise
    PerCpu node;      // the kernel's number of its memory node
    PerCpu sibling;   // the first other thread of its core; -1: there is none
    PerCpu preferred; // the CPUs that are online, those with the greatest capacity first
};

} // namespace scxhost
