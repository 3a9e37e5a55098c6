// SPDX-License-Identifier: GPL-2.0-only
//
// The swap window: from the detach of one scheduler to the kernel's confirmation of the next. In it fork() and cgroup
// operations wait, and tasks run on the kernel's own schedulers, so nothing happens here that could happen before or
// after: both objects are loaded, every file that can be open is open, nothing is allocated, logged or told to a
// plugin.
#pragma once

#include "host/base/result.hpp"
#include "host/kernel/rcu_expediting.hpp"
#include "host/kernel/sched_ext_sysfs.hpp"
#include "host/kernel/scheduler_links.hpp"
#include "host/supervisor/attach.hpp"

#include <chrono>
#include <optional>

namespace scxhost {

struct WindowTimes {
    std::chrono::steady_clock::time_point start{}; // of the detach; the epoch: it did not come to that
    std::chrono::nanoseconds detach{};
    std::chrono::nanoseconds attach{};
    std::chrono::nanoseconds confirm{};
    std::chrono::nanoseconds gap{}; // from `start` to the confirmation, by the host's monotonic clock
    bool rcu_expedited = false;
};

struct WindowResult {
    std::optional<Attached> running; // nullopt: the kernel's own scheduler runs
    std::optional<Error> error;      // why the new one does not run; then `running` is the old one, if that came back
    std::optional<Error> restore_error; // why that does not run either, or not as it did
    bool programs_failed = false;       // `error` is about its other programs; the kernel had enabled it
    bool from_had_left = false; // the kernel had ended the old one before it was detached; then it does not go back
    WindowTimes times;
};

// Puts `to` in the place of `from`, or of the kernel's own scheduler when there is none; when that fails, `from` goes
// back, unless it had left by itself. The other programs of `from` are detached before the window and those of `to`
// attached after it: neither meets the other's scheduler. Those that are to see `to` being registered come before it;
// when one of them cannot be attached, nothing else is touched. `from_attached` is `from`'s and is used up. `rcu` may
// be null: grace periods are then waited for as usual. `dead`, which may be null too, is detached in between: until 7.0
// its end would be the end of whoever runs.
[[nodiscard]] WindowResult swap_in(Scheduler& to, Scheduler* from, std::optional<Attached> from_attached,
                                   const SchedExtProbe& probe, RcuExpediting* rcu, DeadLinks* dead = nullptr);

} // namespace scxhost
