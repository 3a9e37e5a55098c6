// SPDX-License-Identifier: GPL-2.0-only
//
// What the machine counts as a whole: pressure (PSI) and energy (RAPL). Two readings tell what lies between them.
#pragma once

#include "host/measure/figure.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace scxhost {

struct MachineCounters {
    // Microseconds in which some task waited for it, by "cpu", "io" and "memory": proc/pressure (kernels with PSI).
    std::map<std::string, std::uint64_t> pressure_us;
    // Of one processor package; its counter starts again at 0 behind `range`.
    struct Energy {
        std::uint64_t microjoules = 0;
        std::uint64_t range = 0;
    };
    // By the name of its folder: sys/class/powercap/intel-rapl:N, which AMD's processors have too. Root's to read.
    std::map<std::string, Energy> energy;

    // What is not there is left out. `root` is where proc/ and sys/ are.
    [[nodiscard]] static MachineCounters read(const std::filesystem::path& root = "/");
};

// Pressure as a share of the time between the readings; energy of all packages.
[[nodiscard]] std::vector<Figure> figures_between(const MachineCounters& before, const MachineCounters& after,
                                                  std::chrono::nanoseconds time);

} // namespace scxhost
