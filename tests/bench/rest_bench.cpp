// SPDX-License-Identifier: GPL-2.0-only
//
// Measures in a guest what a host costs at rest: `scxhost run PLUGIN --quiet`, past its probation, and nobody who asks.
// Wake-ups are the times that one of its threads went to sleep; memory is what the kernel says of the process.
#include "tests/bench/bench.hpp"
#include "tests/vm/host_process.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <signal.h>
#include <sys/types.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace scxhost {
namespace {

struct Arguments {
    bool json = false;
    int seconds = 60;
};

void define(CLI::App& app, Arguments& arguments) {
    app.add_flag("--json", arguments.json, "All figures, for programs");
    app.add_option("--seconds", arguments.seconds, "How long nobody asks")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
}

// A number of a line "FIELD: NUMBER" of a file of /proc.
std::int64_t field_of(const std::filesystem::path& file, const std::string& field) {
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);)
        if (line.starts_with(field + ":"))
            return std::stoll(line.substr(field.size() + 1));
    throw std::runtime_error(fmt::format("{} has no {}", file.string(), field));
}

struct Counts {
    std::int64_t wakeups = 0;
    double cpu_seconds = 0;
};

Counts counts_of(pid_t pid) {
    Counts counts;
    for (const auto& task : std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid))) {
        counts.wakeups += field_of(task.path() / "status", "voluntary_ctxt_switches");
        double nanoseconds = 0;
        std::ifstream(task.path() / "schedstat") >> nanoseconds;
        counts.cpu_seconds += nanoseconds / 1e9;
    }
    return counts;
}

struct AtRest {
    const char* plugin;
    double wakeups_per_second;
    double cpu_ms_per_second;
    double resident_mib;
    double anonymous_mib;
};

AtRest measure(const char* plugin, int seconds) {
    HostProcess host({"run", plugin, "--json", "--quiet", "--set", "swap.probation=1s"});
    if (!host.next_event("settled"))
        throw std::runtime_error(fmt::format("{} did not become good: {}{}", plugin, host.out(), host.err()));
    std::this_thread::sleep_for(std::chrono::seconds(5)); // what comes after a start
    const Counts before = counts_of(host.pid());
    std::this_thread::sleep_for(std::chrono::seconds(seconds));
    const Counts after = counts_of(host.pid());
    const auto status = fmt::format("/proc/{}/status", host.pid());
    AtRest result{.plugin = plugin,
                  .wakeups_per_second = static_cast<double>(after.wakeups - before.wakeups) / seconds,
                  .cpu_ms_per_second = (after.cpu_seconds - before.cpu_seconds) * 1e3 / seconds,
                  .resident_mib = static_cast<double>(field_of(status, "VmRSS")) / 1024,
                  .anonymous_mib = static_cast<double>(field_of(status, "RssAnon")) / 1024};
    host.signal(SIGTERM);
    if (host.wait() != 0)
        throw std::runtime_error(fmt::format("{} did not end in order: {}", plugin, host.err()));
    return result;
}

void run(const Arguments& arguments) {
    nlohmann::json rows = nlohmann::json::array();
    if (!arguments.json)
        fmt::print("{:<14}{:>14}{:>14}{:>14}{:>14}\n", "plugin", "wake-ups/s", "CPU ms/s", "resident MiB", "anonymous");
    for (const char* plugin : {"simple", "qmap", "interactive"}) {
        const AtRest row = measure(plugin, arguments.seconds);
        if (!arguments.json)
            fmt::print("{:<14}{:>14.2f}{:>14.3f}{:>14.1f}{:>14.1f}\n", row.plugin, row.wakeups_per_second,
                       row.cpu_ms_per_second, row.resident_mib, row.anonymous_mib);
        rows.push_back({{"plugin", row.plugin},
                        {"wakeups_per_second", row.wakeups_per_second},
                        {"cpu_ms_per_second", row.cpu_ms_per_second},
                        {"resident_mib", row.resident_mib},
                        {"anonymous_mib", row.anonymous_mib}});
    }
    if (arguments.json)
        fmt::print("{}\n", rows.dump());
}

} // namespace
} // namespace scxhost

int main(int argc, char** argv) {
    return scxhost::bench_main("rest_bench", argc, argv, scxhost::define, scxhost::run);
}
