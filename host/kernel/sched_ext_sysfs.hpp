// SPDX-License-Identifier: GPL-2.0-only
//
// What sched_ext is doing now, as the kernel tells it under /sys/kernel/sched_ext. The only trustworthy answer to "is a
// scheduler running, and whose": a link that attached without an error is none, because the kernel may disable the
// scheduler right after.
#pragma once

#include "host/base/result.hpp"
#include "host/base/unique_fd.hpp"

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace scxhost {

enum class SchedExtState {
    kEnabling,
    kEnabled,
    kDisabling,
    kDisabled,
    kUnknown, // a word that this host does not know; see SchedExtStatus::state_text
};

// The kernel's own word for a state ("enabled"); "unknown" for kUnknown.
[[nodiscard]] std::string_view to_string(SchedExtState state);

// A scheduler's event counters by their names (from 6.15).
using SchedExtEvents = std::map<std::string, std::int64_t, std::less<>>;

// On which CPUs a sub-scheduler may do what (7.3), by the names of its capabilities: lists of topological ids, such as
// "0-3,8", which is empty where it has none.
using SchedExtCaps = std::map<std::string, std::string, std::less<>>;

// One reading. The kernel offers no atomic view of its files, so while a scheduler comes or goes the members may belong
// to slightly different moments; `state` is read last.
struct SchedExtStatus {
    SchedExtState state = SchedExtState::kUnknown;
    std::string state_text;         // as read
    std::optional<std::string> ops; // name of the root scheduler; nullopt when there is none
    std::uint64_t enable_seq = 0;   // schedulers enabled since boot
    std::uint64_t nr_rejected = 0;  // tasks refused because their scheduler disallowed them
    std::uint64_t hotplug_seq = 0;  // CPU hotplug events since boot
    bool switch_all = false;        // every task of the fair class is in sched_ext, not only those that asked for it
    SchedExtEvents events;          // the root scheduler's
};

class SchedExtSysfs {
public:
    static constexpr const char* kRoot = "/sys/kernel/sched_ext";

    explicit SchedExtSysfs(std::filesystem::path root = kRoot);

    // Has this kernel sched_ext at all?
    [[nodiscard]] bool present() const;

    // kUnsupported when the kernel has no sched_ext, kIo when a file cannot be read or holds no number.
    [[nodiscard]] Result<SchedExtStatus> snapshot() const;
    // The event counters of the root scheduler, or of the one below a cgroup, given by the cgroup's id (7.3.4: each has
    // its own). Empty: there is no scheduler, or the kernel does not tell.
    [[nodiscard]] SchedExtEvents events(std::uint64_t sub_cgroup = 0) const;
    // Of the scheduler below a cgroup, what the one above it has granted. Empty: as for events().
    [[nodiscard]] SchedExtCaps caps(std::uint64_t sub_cgroup) const;

private:
    [[nodiscard]] std::string read_of_scheduler(std::uint64_t sub_cgroup, const char* file) const;

    std::filesystem::path root_;
};

// The three facts that confirm a start, and no more: for the swap window, where nothing is to be allocated and every
// file counts. Keeps open what stays the same file from one scheduler to the next.
class SchedExtProbe {
public:
    struct Reading {
        SchedExtState state = SchedExtState::kUnknown; // also when it could not be read
        std::uint64_t enable_seq = 0;
        std::array<char, 128> ops{}; // the scheduler's name, zero-terminated; empty when there is none

        [[nodiscard]] std::string_view ops_name() const { return ops.data(); }
    };

    // Errors: as snapshot().
    static Result<SchedExtProbe> open(const std::filesystem::path& root = SchedExtSysfs::kRoot);

    // The state is read last, as in a snapshot. Of the scheduler below a cgroup, given by the cgroup's id, the kernel
    // shows the name alone: state and enable_seq are the root scheduler's.
    [[nodiscard]] Reading read(std::uint64_t sub_cgroup = 0) const;
    // The same for who reads again and again, of a scheduler that is just being attached: `below` is the
    // sub-scheduler's folder, opened once it is there.
    [[nodiscard]] Reading read(std::uint64_t sub_cgroup, UniqueFd& below) const;
    // CPU hotplug events since boot; 0 where the kernel does not count them.
    [[nodiscard]] std::uint64_t hotplug_seq() const;

private:
    SchedExtProbe() = default;

    UniqueFd folder_;
    UniqueFd state_;
    UniqueFd enable_seq_;
    UniqueFd hotplug_seq_;
};

} // namespace scxhost
