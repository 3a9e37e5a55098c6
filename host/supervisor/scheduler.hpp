// SPDX-License-Identifier: GPL-2.0-only
//
// What a source (a plugin, a bare object, a program) becomes when it has been prepared: verified by the kernel, one
// call away from being attached, kept or not. The supervisor knows schedulers by this interface alone, so the swap
// window and what follows from it are the same for all of them.
//
// Made on the worker, used on the event loop's thread from then on, destroyed on the worker again. Unless a comment
// says so, nothing here waits.
#pragma once

#include "host/base/result.hpp"
#include "host/bpf/declarations.hpp"
#include "host/bpf/exit_report.hpp"
#include "host/bpf/scheduler_object.hpp"
#include "host/plugins/plugin.hpp"
#include "host/programs/program_process.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace scxhost {

// What is fixed once it has been prepared.
struct SchedulerFacts {
    std::string name;                                          // of the policy: "qmap"
    std::string title;                                         // with its version, where it has one: "qmap 0.1.0"
    std::string ops_name;                                      // what the kernel shows in root/ops
    std::string build_id;                                      // hash of what was loaded
    std::uint64_t file_digest = 0;                             // of the whole file, a plugin's code included
    std::filesystem::path file;                                // it came from
    std::vector<std::pair<std::string, std::string>> options;  // as bound: key and text, those with defaults too
    std::vector<std::string> notes;                            // what was tolerated, one line each
    std::uint64_t sub_cgroup = 0;                              // id of the cgroup that it runs below; 0: the machine
    std::optional<std::chrono::milliseconds> watchdog_timeout; // nullopt: the kernel's own
    // Shared with samples, which outlive the scheduler.
    std::shared_ptr<const std::vector<StatisticDeclaration>> statistics;
};

// What its user-space half has to tell.
struct SchedulerNews {
    Result<> result = {};       // of something that was not waited for
    bool ticked = false;        // tick() has ended: what it set belongs to the sample that is due
    std::string output = {};    // what its process has written; foreign bytes
    bool process_ended = false; // and nothing in user space is left of it
};

// The process that a scheduler is, where it is one of its own.
struct SchedulerProcess {
    pid_t pid = 0;
    std::filesystem::path program; // as it was named
    std::vector<std::string> args;
    std::string output; // its last lines, made printable
};

class Scheduler {
public:
    Scheduler() = default;
    Scheduler(const Scheduler&) = delete;
    Scheduler& operator=(const Scheduler&) = delete;
    virtual ~Scheduler() = default; // may wait for the user-space half

    [[nodiscard]] virtual const SchedulerFacts& facts() const = 0;

    // --- Attaching, for attach.hpp and swap_window.hpp. What the window calls allocates nothing when it succeeds.

    virtual void clear_exit_record() = 0;
    // False: it has to be prepared anew before it can be attached.
    [[nodiscard]] virtual bool can_attach() const { return true; }
    // One system call. Success does not mean that the scheduler runs. Errors: as SchedulerObject::attach().
    virtual Result<Attachment> attach() = 0;
    // Its programs that are to see it being registered: before the window.
    virtual Result<> attach_early_programs() { return {}; }
    // Its programs that are no callbacks: after the window, and before the next one.
    virtual Result<> attach_programs() = 0;
    virtual void detach_programs() = 0;
    // ExitKind, or a number that this host does not know; 0 while it has not left, and of one that keeps no record.
    [[nodiscard]] virtual std::uint32_t exit_kind() const = 0;
    [[nodiscard]] bool has_left() const { return exit_kind() > static_cast<std::uint32_t>(ExitKind::kDone); }
    // nullopt: it keeps no record.
    [[nodiscard]] virtual std::optional<ExitReport> read_exit_record() const = 0;

    // --- Statistics.

    // One value for each of facts().statistics.
    virtual Result<std::vector<std::int64_t>> read_statistics() = 0;

    // --- Its user-space half, of which some have none.

    // Before its detach by us. Waits a second for the answer, at most.
    virtual Result<> before_detach() { return {}; }
    // The kernel has confirmed it; or it has left by itself.
    virtual void after_attach(Attachment& /*link*/) {}
    virtual void after_leaving() {}
    // Whether code of somebody else's may be called in this process for it, which may hang.
    [[nodiscard]] virtual bool can_hang() const { return false; }
    // Whether something of it wants to be called at each interval, also when nobody asks for statistics.
    [[nodiscard]] virtual bool ticks() const { return false; }
    // True when the next sample is to wait for the news of it.
    virtual bool begin_tick() { return false; }
    // Readable when news() has something; -1: never.
    [[nodiscard]] virtual int news_fd() const { return -1; }
    virtual std::vector<SchedulerNews> news() { return {}; }
    [[nodiscard]] virtual std::optional<PluginHang> hang() const { return std::nullopt; }

    // --- Its process, which most have none of.

    [[nodiscard]] virtual std::optional<SchedulerProcess> process() const { return std::nullopt; }
    // How it has ended, or does within `patience`, for which this waits; nullopt: it lives, or there is none.
    [[nodiscard]] virtual std::optional<ProcessEnd> wait_for_process_end(std::chrono::nanoseconds /*patience*/) const {
        return std::nullopt;
    }
    // Has ready what attach() needs to bring it back after something else was tried in its place. False: it is on its
    // way; ask again when there is news.
    virtual bool prepare_way_back() { return true; }
    virtual void drop_way_back() {}
    // Ends what needs the event loop to end, and takes its time; `ended` is called when it can be destroyed, on the
    // loop's thread, and perhaps before this returns. False: it can be destroyed right now, on any thread.
    virtual bool end(std::function<void()> /*ended*/) { return false; }
};

} // namespace scxhost
