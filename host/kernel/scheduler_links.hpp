// SPDX-License-Identifier: GPL-2.0-only
//
// The links (bpf_link) by which schedulers are attached, whoever attached them: which there are, which of them are
// dead, who holds one, and how to end it. The kernel ends a scheduler when its link goes: with the last process that
// holds it and the last pin in a bpffs.
#pragma once

#include "host/base/result.hpp"
#include "host/base/unique_fd.hpp"
#include "host/kernel/kernel_btf.hpp"
#include "host/kernel/sched_ext_sysfs.hpp"

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {

// A link of a sched_ext struct_ops, held open: its id is nobody else's as long as this lives.
struct SchedulerLink {
    std::uint32_t id = 0;
    std::string ops_name;         // as in root/ops while the scheduler runs
    std::uint64_t sub_cgroup = 0; // the id of a sub-scheduler's cgroup; 0 for one of the machine
    UniqueFd fd;
};

// All of them, in the order of their ids, which is that of their making until the kernel's counter wraps. A link that
// was detached is none any more. Errors: kPermission (the kernel asks for CAP_SYS_ADMIN), kIo.
[[nodiscard]] Result<std::vector<SchedulerLink>> list_scheduler_links(const KernelBtf& kernel);

// The links of schedulers that the kernel has ended while somebody still holds the link. `kernel` was read after the
// links were listed. Empty while the kernel is at it (enabling, disabling). Links of sub-schedulers are left out: what
// shows whether these run is not in `kernel`.
[[nodiscard]] std::vector<SchedulerLink> dead_links(std::vector<SchedulerLink> links,
                                                    const SchedExtProbe::Reading& kernel);

// From 6.16 to 7.0 the kernel does not know whose a link is when it goes: the holder of a dead one closes it, and the
// scheduler that runs by then is ended (exit kind UNREG). So the dead links are detached before another scheduler is
// attached, while none runs: first found, then, in the window, detached.
class DeadLinks {
public:
    // Those that are dead now, held open. Errors: as list_scheduler_links().
    static Result<DeadLinks> find(const KernelBtf& kernel, const SchedExtProbe& probe);

    [[nodiscard]] const std::vector<SchedulerLink>& links() const { return links_; }
    // Nothing when some scheduler runs, which a detach might end. No memory; a link that has gone by itself is passed.
    // To be kept for the window only: whoever closes a dead link last is the one who ends another scheduler with it.
    void detach(const SchedExtProbe& probe);

private:
    std::vector<SchedulerLink> links_;
};

struct LinkOwners {
    struct Process {
        pid_t pid = 0;
        std::string name; // comm
    };
    std::vector<std::filesystem::path> pins; // in the bpffs that this process sees
    std::vector<Process> processes;          // in the PID namespace of this process
};

// As many descriptors as a machine has: for callers that have the time.
inline constexpr std::size_t kAllDescriptors = std::numeric_limits<std::size_t>::max();

// Walks each bpffs and each process's descriptors: takes its time. What cannot be read is left out, and so is what
// comes after `max_descriptors`.
[[nodiscard]] LinkOwners find_link_owners(std::uint32_t link_id, std::size_t max_descriptors = kAllDescriptors);

// How to end a scheduler that is in the way: "its link 12 is held by scx_x (pid 345): end that process" or "its link 12
// is pinned at /sys/fs/bpf/x and no process holds it: rm /sys/fs/bpf/x". Empty when its link cannot be found.
[[nodiscard]] std::string how_to_end(const KernelBtf& kernel, std::string_view ops_name,
                                     std::size_t max_descriptors = kAllDescriptors);
// The same, of what is known; pure.
[[nodiscard]] std::string describe_owners(std::uint32_t link_id, const LinkOwners& owners);

} // namespace scxhost
