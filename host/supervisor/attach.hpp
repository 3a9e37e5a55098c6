// SPDX-License-Identifier: GPL-2.0-only
//
// Attaching and confirming. A link that comes back proves nothing: when init or an init_task fails, the attach call
// succeeds and the kernel disables the scheduler right after (7.3.4, scx_enable). Running means: the kernel's state is
// enabled, root/ops shows our name, enable_seq moved by one, and our exit record is empty. For a sub-scheduler: the
// folder of its cgroup, below its parent's, shows our name, and our exit record is empty.
#pragma once

#include "host/base/result.hpp"
#include "host/bpf/exit_report.hpp"
#include "host/kernel/sched_ext_sysfs.hpp"
#include "host/supervisor/scheduler.hpp"

#include <chrono>
#include <string>
#include <string_view>

namespace scxhost {

// Why one is in another one's way, for hints.
inline constexpr std::string_view kOneAtATime = "only one scheduler at a time can have the machine, or a cgroup";

// "ERROR_STALL (code 0x0): reason: message": how a scheduler left, the same words whenever it did.
std::string describe_exit(const ExitReport& exit);

struct Attached {
    Attachment link;
    std::uint64_t enable_seq = 0;          // ours, as long as it runs; of a sub-scheduler the root scheduler's
    std::chrono::nanoseconds attach_time;  // the kernel's attach call, retries included
    std::chrono::nanoseconds confirm_time; // from there to the confirmation
};

// What the kernel says before an attach, and what that will be.
struct AttachBase {
    std::uint64_t enable_seq = 0;
    bool has_parent = false; // some scheduler runs that a sub-scheduler could be below
};

// What comes before an attach and need not be in the swap window; empties the exit record.
AttachBase ready_to_attach(Scheduler& scheduler, const SchedExtProbe& probe);

// Attaches a prepared scheduler and waits for the kernel's confirmation. On failure nothing is left attached. Errors:
// kBusy (another scheduler runs, it is named), kAttach (the kernel refused it, a sub-scheduler has no place, or the
// kernel disabled it at once: its exit record tells more). Allocates on failure only.
Result<Attached> attach_and_confirm(Scheduler& scheduler, const SchedExtProbe& probe, const AttachBase& base);

// Whether the scheduler that we attached still runs.
enum class Presence { kRunning, kLeft, kReplaced };
struct PresenceReport {
    Presence presence = Presence::kRunning;
    std::string other_name; // who runs by now, if somebody does
};
PresenceReport check_presence(const Scheduler& scheduler, const SchedExtProbe& probe, std::uint64_t enable_seq);

} // namespace scxhost
