// SPDX-License-Identifier: GPL-2.0-only
//
// Runs a workload, a command with all the processes that it starts, and measures what that took.
#pragma once

#include "host/base/event_fd.hpp"
#include "host/base/result.hpp"
#include "host/measure/figure.hpp"

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace scxhost {

struct MeasuredRun {
    std::chrono::nanoseconds wall{};
    std::vector<Figure> figures; // times, context switches, pressure, energy: as far as the machine has them
    std::string output;          // of the workload, standard output and error; of a long one the last megabyte
    bool stopped = false;        // by `stop`; then nothing was measured
};

// Starts the command, without a terminal to read from and in a process group of its own, and waits for its end. What is
// left of the group then is killed. When `stop` becomes readable, the group is told to end (SIGTERM), and is killed two
// seconds later. The workload dies with the calling thread, which must be the process's only one, and whose children
// are waited for here. `root` is for tests: where proc/ and sys/ are.
// Errors: kUsage: the command cannot be started, or it failed; the detail is the end of its output.
[[nodiscard]] Result<MeasuredRun> run_measured(const std::vector<std::string>& command, const EventFd& stop,
                                               const std::filesystem::path& root = "/");

} // namespace scxhost
