// SPDX-License-Identifier: GPL-2.0-only
//
// What the supervisor tells, as data: swaps and exits, in the JSON that `run --json`, the control socket and incident
// records share.
#pragma once

#include "host/base/result.hpp"
#include "host/bpf/exit_report.hpp"
#include "host/plugins/plugin.hpp"
#include "host/supervisor/away_time.hpp"
#include "host/supervisor/lifecycle.hpp"
#include "host/supervisor/scheduler.hpp"
#include "host/supervisor/swap_window.hpp"

#include <nlohmann/json_fwd.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace scxhost {

// The name of the seat that there always is; the others have their branches' names.
inline constexpr const char* kMachineSeat = "machine";

// One request for a scheduler and what became of it.
struct SwapReport {
    std::string from;                   // title; empty: the kernel's own scheduler
    std::string to;                     // title, or the plugin's or object's name as long as it is not known
    std::optional<SwapOutcome> outcome; // nullopt: not known yet; with `switched` it is on probation
    bool switched = false;              // the kernel confirmed it
    std::chrono::nanoseconds prepare{};
    WindowTimes window;
    std::size_t tasks = 0; // on the machine, or in its cgroup, when the window began: each is moved
    // How long the tasks of a branch were with the scheduler above it before this one had them; 0: they were not.
    std::chrono::nanoseconds away{};
    std::string running; // title of what runs after it; empty: the kernel's own scheduler
    std::optional<Error> error;
    std::shared_ptr<const std::string> incident; // path of the error's record; empty or nullptr: there is none
};

// Where a scheduler runs and how it does, as plain data. Texts that are not known are empty.
struct SeatStatus {
    struct Running {
        std::string name; // of the policy, without its version
        std::string title;
        std::string ops_name;
        std::string build_id;
        std::uint64_t enable_seq = 0;
        std::chrono::nanoseconds since_start{};
        std::optional<PluginHang> hang;
        std::string config; // the file
        std::string object; // the file of one that is no plugin's; empty for every other
        std::vector<std::pair<std::string, std::string>> options;
        std::optional<SchedulerProcess> process;
    };
    struct StoodDown {
        StandDownReason reason{};
        std::string message;
    };

    std::string seat;                 // its name
    std::string above;                // the name of the seat that it is below; empty: none
    std::string cgroup;               // of a branch
    std::optional<std::size_t> tasks; // in its cgroup; nullopt: not known, or the machine's
    SchedExtCaps caps;                // that the scheduler above has granted to what runs in a branch
    std::optional<std::size_t> cpus;  // on which it may put tasks by these; nullopt: not known, or the machine's
    Phase phase{};
    std::optional<Running> running;
    SchedExtProbe::Reading kernel; // what the kernel says
    bool agrees = false;           // it says what the host believes
    std::string kept;
    std::string last_good;
    std::vector<std::string> fallback;
    std::vector<Quarantined> quarantine;
    std::optional<StoodDown> stood_down;
    std::string preparing;
    std::string waits_for; // why a branch is waiting
    std::optional<SwapReport> last_swap;
    std::size_t recent_failures = 0;
    AwayTotals away; // as the host sees it: the kernel may have ended what ran a moment earlier
};

// Counts since the host began.
struct SeatTotals {
    std::array<std::uint64_t, kSwapOutcomes> swaps{}; // requests by SwapOutcome
    std::uint64_t gaps = 0;                           // switches from one scheduler to another, whoever wanted them
    std::chrono::nanoseconds gap_time{};              // of all of them
    std::uint64_t failures = 0;                       // what counts towards restart.limit
};

[[nodiscard]] nlohmann::json to_json(const SwapReport& report);
[[nodiscard]] nlohmann::json to_json(const ExitReport& exit);
[[nodiscard]] nlohmann::json options_json(const SchedulerFacts& facts);
// Without its output.
[[nodiscard]] nlohmann::json to_json(const SchedulerProcess& process);
[[nodiscard]] nlohmann::json to_json(const PluginHang& hang);

// null in place of an empty text.
[[nodiscard]] nlohmann::json or_null(const std::string& text);
[[nodiscard]] double milliseconds(std::chrono::nanoseconds duration);
[[nodiscard]] double seconds(std::chrono::nanoseconds duration);

} // namespace scxhost
