// SPDX-License-Identifier: GPL-2.0-only
//
// Events that the kernel sends when a scheduler appears or disappears. They are how the host learns at once that its
// scheduler was ejected, or that somebody else attached one: the BPF link's descriptor never signals that.
#pragma once

#include "host/base/result.hpp"
#include "host/base/unique_fd.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace scxhost {

struct SchedExtUevent {
    enum class Action { kAdded, kRemoved };

    Action action = Action::kAdded;
    std::string ops;          // name of the scheduler; empty when the kernel did not tell (removals before 7.0)
    std::string devpath;      // as in the message, "/kernel/sched_ext/root" for the root scheduler
    std::uint64_t seqnum = 0; // the kernel's number of the event, rising; 0 when the message has none

    // The root scheduler, not one of the sub-schedulers below it (from 7.1).
    [[nodiscard]] bool is_root() const { return devpath == "/kernel/sched_ext/root"; }
};

// Reads one message of the kernel (a head line, then KEY=VALUE strings, each ended by a zero byte). nullopt when it is
// not about a scheduler coming or going.
[[nodiscard]] std::optional<SchedExtUevent> parse_sched_ext_uevent(std::string_view message);

// Whether it says that a CPU has come or gone (cpuhp's KOBJ_ONLINE and KOBJ_OFFLINE, drivers/base/core.c).
[[nodiscard]] bool is_cpu_hotplug_uevent(std::string_view message);

class UeventMonitor {
public:
    struct Batch {
        std::vector<SchedExtUevent> events; // in the order in which they were sent
        bool cpus_changed = false;          // some have come or gone
        bool lost = false;                  // the kernel dropped some: read SchedExtSysfs again
    };

    // Starts to listen; events from before are not seen, so open the monitor before the first snapshot. Works without
    // privileges. Events reach network namespaces of the initial user namespace only.
    [[nodiscard]] static Result<UeventMonitor> open();

    // For poll or epoll; readable when drain() has something to return. Non-blocking.
    [[nodiscard]] int fd() const { return socket_.get(); }

    // Everything that has arrived. Messages that did not come from the kernel are dropped.
    [[nodiscard]] Result<Batch> drain();

private:
    explicit UeventMonitor(UniqueFd socket)
        : socket_(std::move(socket)) {}

    UniqueFd socket_;
};

} // namespace scxhost
