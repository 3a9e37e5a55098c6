// SPDX-License-Identifier: GPL-2.0-only
#include "host/supervisor/attach.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <thread>

namespace scxhost {
namespace {

using Clock = std::chrono::steady_clock;

// EBUSY is transient while the kernel still disables a predecessor; that takes milliseconds.
constexpr auto kBusyPatience = std::chrono::milliseconds(200);
// The state settles before the attach call returns; a kernel that were to do it later gets this long.
constexpr auto kConfirmPatience = std::chrono::seconds(5);
constexpr auto kPollPause = std::chrono::microseconds(500);

Error busy_error(const Scheduler& scheduler, const SchedExtProbe::Reading& reading) {
    return {.kind = ErrorKind::kBusy,
            .what = fmt::format("cannot attach '{}': another scheduler is attached: {}", scheduler.facts().name,
                                reading.ops_name().empty() ? "(without a name)" : reading.ops_name()),
            .hint = fmt::format("stop it first: {}", kOneAtATime)};
}

// The kernel has no number for a sub-scheduler: it cannot outlive its parent, and its exit record tells when it left.
bool is_confirmed(const Scheduler& scheduler, const SchedExtProbe::Reading& reading, std::uint64_t enable_seq) {
    return reading.state == SchedExtState::kEnabled && reading.ops_name() == scheduler.facts().ops_name &&
           (reading.enable_seq == enable_seq || scheduler.facts().sub_cgroup != 0);
}

// Why a sub-scheduler has no place. The kernel (7.3.4) answers ENODEV in scx_sub_enable_workfn, the others in
// find_parent_sched.
Error no_place_error(const Scheduler& scheduler, int error) {
    const auto because = [&](std::string_view why, std::string hint) {
        return Error{.kind = ErrorKind::kAttach,
                     .what = fmt::format("cannot attach '{}' as a sub-scheduler: {}", scheduler.facts().name, why),
                     .hint = std::move(hint),
                     .sys_errno = error};
    };
    if (error == EBUSY)
        return because("a cgroup further down has one already", "stop that first: they are attached from the top down");
    if (error == EOPNOTSUPP)
        return because("the scheduler above it takes no sub-schedulers",
                       "choose one there that does: qmap in its cid form, for example");
    return because("no scheduler runs that it could be below",
                   "start one that takes sub-schedulers first, qmap for example");
}

Error not_started_error(const Scheduler& scheduler, const ExitReport& report) {
    std::string what = fmt::format("{} left as it was attached", scheduler.facts().title);
    what += report.left() ? ": " + describe_exit(report) : ", and keeps no record of why";
    // What a scheduler above answers that has its places taken (7.3.4: "parent rejected (-28)").
    const bool no_room = report.left() && report.message.starts_with("parent rejected") &&
                         report.message.find(fmt::format("({})", -ENOSPC)) != std::string::npos;
    return {.kind = ErrorKind::kAttach,
            .what = std::move(what),
            .hint = no_room
                        ? "the scheduler above it has no room for one more: its README says for how many; stop another "
                          "one there, or give this one a place below another branch"
                        : "",
            .detail = report.dump};
}

} // namespace

std::string describe_exit(const ExitReport& exit) {
    return fmt::format("{} (code {:#x}): {}{}{}", exit.kind_name(), static_cast<std::uint64_t>(exit.exit_code),
                       exit.reason, exit.message.empty() ? "" : ": ", exit.message);
}

AttachBase ready_to_attach(Scheduler& scheduler, const SchedExtProbe& probe) {
    scheduler.clear_exit_record();
    const SchedExtProbe::Reading reading = probe.read();
    return {.enable_seq = reading.enable_seq, .has_parent = reading.state == SchedExtState::kEnabled};
}

Result<Attached> attach_and_confirm(Scheduler& scheduler, const SchedExtProbe& probe, const AttachBase& base) {
    const std::uint64_t sub_cgroup = scheduler.facts().sub_cgroup;
    if (sub_cgroup != 0 && !base.has_parent)
        return fail(no_place_error(scheduler, ENODEV));
    const Clock::time_point start = Clock::now();
    Result<Attachment> link = scheduler.attach();
    while (!link && link.error().kind == ErrorKind::kBusy) {
        const SchedExtProbe::Reading reading = probe.read(sub_cgroup);
        const bool in_the_way =
            sub_cgroup == 0 ? reading.state == SchedExtState::kEnabled : !reading.ops_name().empty();
        if (in_the_way || Clock::now() - start > kBusyPatience)
            return fail(in_the_way || sub_cgroup == 0 ? busy_error(scheduler, reading)
                                                      : no_place_error(scheduler, EBUSY));
        std::this_thread::sleep_for(kPollPause);
        link = scheduler.attach();
    }
    if (const int error = link ? 0 : link.error().sys_errno;
        sub_cgroup != 0 && (error == EOPNOTSUPP || error == ENODEV))
        return fail(no_place_error(scheduler, error));
    if (!link)
        return fail(std::move(link).error());
    const Clock::time_point attached = Clock::now();

    UniqueFd below;
    for (;;) {
        const bool left = scheduler.has_left();
        const SchedExtProbe::Reading reading = probe.read(sub_cgroup, below);
        if (!left && is_confirmed(scheduler, reading, base.enable_seq + 1))
            return Attached{*std::move(link), reading.enable_seq, attached - start, Clock::now() - attached};
        // Left, or somebody else's, or the sequence moved on: it is over. Otherwise the kernel is still at it.
        const bool settling = reading.state == SchedExtState::kEnabling || reading.state == SchedExtState::kDisabling;
        if (!settling || Clock::now() - attached > kConfirmPatience) {
            SCXHOST_TRY(link->detach());
            return fail(not_started_error(scheduler, scheduler.read_exit_record().value_or(ExitReport{})));
        }
        std::this_thread::sleep_for(kPollPause);
    }
}

PresenceReport check_presence(const Scheduler& scheduler, const SchedExtProbe& probe, std::uint64_t enable_seq) {
    const std::uint64_t sub_cgroup = scheduler.facts().sub_cgroup;
    const SchedExtProbe::Reading reading = probe.read(sub_cgroup);
    const bool left = scheduler.has_left();
    if (!left && is_confirmed(scheduler, reading, enable_seq))
        return {};
    if (sub_cgroup != 0) {
        const bool is_other = !left && !reading.ops_name().empty() && reading.ops_name() != scheduler.facts().ops_name;
        return {is_other ? Presence::kReplaced : Presence::kLeft, std::string(is_other ? reading.ops_name() : "")};
    }
    if (reading.enable_seq == enable_seq)
        return {Presence::kLeft, {}};
    // Ours was ended for somebody else's, or left by itself before that came.
    const bool unregistered = !left || scheduler.exit_kind() == static_cast<std::uint32_t>(ExitKind::kUnreg);
    return {unregistered ? Presence::kReplaced : Presence::kLeft,
            std::string(reading.state == SchedExtState::kEnabled ? reading.ops_name() : "")};
}

} // namespace scxhost
