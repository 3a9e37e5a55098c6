// SPDX-License-Identifier: GPL-2.0-only
#include "host/supervisor/swap_window.hpp"

namespace scxhost {
namespace {

using Clock = std::chrono::steady_clock;

// By another exit than the one that our detach makes.
bool left_by_itself(const Scheduler& scheduler) {
    return scheduler.has_left() && scheduler.exit_kind() != static_cast<std::uint32_t>(ExitKind::kUnreg);
}

} // namespace

WindowResult swap_in(Scheduler& to, Scheduler* from, std::optional<Attached> from_attached, const SchedExtProbe& probe,
                     RcuExpediting* rcu, DeadLinks* dead) {
    WindowResult result;
    const AttachBase base = ready_to_attach(to, probe);
    if (Result<> early = to.attach_early_programs(); !early) {
        result.programs_failed = true;
        result.error = std::move(early).error();
        result.running = std::move(from_attached);
        return result;
    }
    if (from != nullptr)
        from->detach_programs(); // it runs on without them until the window opens
    result.times.rcu_expedited = rcu != nullptr && rcu->raise();

    const Clock::time_point start = Clock::now();
    result.times.start = start;
    Result<> disabled;
    if (from_attached)
        disabled = from_attached->link.disable();
    result.times.detach = Clock::now() - start;
    result.from_had_left = from != nullptr && left_by_itself(*from);
    if (dead != nullptr)
        dead->detach(probe);
    Result<Attached> attached = attach_and_confirm(to, probe, base);
    const Clock::time_point end = Clock::now();

    if (attached) {
        if (Result<> programs = to.attach_programs(); !programs) {
            (void)attached->link.detach();
            result.programs_failed = true;
            attached = fail(std::move(programs).error());
        }
    }
    if (attached) {
        result.times.gap = end - start;
        result.times.attach = attached->attach_time;
        result.times.confirm = attached->confirm_time;
        result.running = *std::move(attached);
    } else {
        result.error = std::move(attached).error();
        to.detach_programs();
        if (!disabled)
            result.error->what += "; " + disabled.error().what;
        if (from_attached && !result.from_had_left) {
            // The same object cannot be attached again before its old link is gone.
            from_attached->link.close();
            Result<> programs = from->attach_early_programs();
            Result<Attached> restored = attach_and_confirm(*from, probe, ready_to_attach(*from, probe));
            result.times.gap = Clock::now() - start;
            if (restored) {
                result.running = *std::move(restored);
                if (programs)
                    programs = from->attach_programs();
                if (!programs)
                    result.restore_error = std::move(programs).error();
            } else {
                result.restore_error = std::move(restored).error();
            }
        }
    }
    if (result.times.rcu_expedited)
        rcu->restore();
    return result;
}

} // namespace scxhost
