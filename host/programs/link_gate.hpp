// SPDX-License-Identifier: GPL-2.0-only
//
// Where a program that we started is held: its bpf(BPF_LINK_CREATE) calls come here first, by a seccomp filter
// (SECCOMP_RET_USER_NOTIF), and the one that would attach its scheduler waits for us. All other links pass. The filter
// asks about no other call, and costs one comparison in those.
#pragma once

#include "host/base/event_fd.hpp"
#include "host/base/result.hpp"
#include "host/base/unique_fd.hpp"
#include "host/kernel/ops_layout.hpp"

#include <linux/filter.h>
#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace scxhost {

// The filter's program: for the one architecture that this host was built for; a call of another one ends the process.
extern const std::array<sock_filter, 11> kLinkFilter;

class LinkGate {
public:
    // A call that waits. The caller stands still until it is answered, or dies.
    struct HeldCall {
        std::uint64_t id = 0;
        pid_t thread = 0; // who called
        UniqueFd map;     // of the scheduler's struct_ops: our own descriptor of it
    };

    // `listener` is the filter's, `process` a pidfd of the program, `pid` its number. `layouts` tell which struct_ops
    // are schedulers.
    LinkGate(UniqueFd listener, UniqueFd process, pid_t pid, std::vector<OpsLayout> layouts);

    // Waits until the program asks for its scheduler's link, letting other links pass; nullopt: nobody is left who
    // could ask, or stop() was called. Any thread, one at a time; the memory of the program is read, which can take as
    // long as the program wants, but no longer than it lives. Errors, each of which has been answered to the program by
    // EPERM: kUnsupported, a child of the program asked; kPermission, its descriptor could not be taken (Yama's
    // ptrace_scope is 3, for example); kIo.
    Result<std::optional<HeldCall>> wait();
    // Ends wait(), now or when it comes. Any thread.
    void stop() const { stop_.signal(); }

    [[nodiscard]] int process() const { return process_.get(); }
    [[nodiscard]] const std::vector<OpsLayout>& layouts() const { return layouts_; }

    // Whether the program has a scheduler's map that is registered without a link, which no call of it asks for. Looks
    // at so many of its descriptors at most.
    [[nodiscard]] bool has_scheduler_without_link(std::size_t descriptors) const;

    // The call returns `link`, a descriptor of ours that the program gets a duplicate of. Waits until the program has
    // run and taken it. kIo with ENOENT or ESRCH: the caller is dead, or a signal has ended its call.
    Result<> hand_over(const HeldCall& call, int link) const;
    // The call fails with a positive error number.
    void refuse(const HeldCall& call, int error) const;

private:
    Result<std::optional<HeldCall>> inspect(std::uint64_t id, pid_t thread, std::uint64_t attr,
                                            std::uint64_t size) const;
    void answer(std::uint64_t id, int error, std::uint32_t flags) const;
    [[nodiscard]] std::optional<std::uint32_t> flags_of_scheduler(int map) const;

    UniqueFd listener_;
    UniqueFd process_;
    EventFd stop_;
    pid_t pid_;
    std::vector<OpsLayout> layouts_;
};

} // namespace scxhost
