// SPDX-License-Identifier: GPL-2.0-only
//
// Somebody's scheduler program, unmodified, hosted: started, held where it asks the kernel to attach its scheduler,
// given the link that we made, watched, ended.
//
//   start() ──► held ──► attach() … hand_over() ──► runs ──► held again (it restarts itself)
//                 │                                   │
//                 └──────────► refuse(), end() ◄──────┘ ──► ended
//
// All calls and all answers are on the event loop's thread, which never waits for the program: what could take as long
// as the program wants runs on a worker.
#pragma once

#include "host/base/background_worker.hpp"
#include "host/base/event_loop.hpp"
#include "host/base/result.hpp"
#include "host/base/unique_fd.hpp"
#include "host/kernel/ops_layout.hpp"
#include "host/programs/held_scheduler.hpp"
#include "host/programs/link_gate.hpp"
#include "host/programs/program_cgroup.hpp"
#include "host/programs/program_output.hpp"
#include "host/programs/program_process.hpp"

#include <signal.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {

struct ProgramSettings {
    ProgramCommand command;
    ProgramLimits limits;
    std::vector<std::string> variables = {};                           // of its object, to be shown as statistics
    std::chrono::nanoseconds start_timeout = std::chrono::seconds(30); // until it asks to attach
    std::chrono::nanoseconds end_patience = std::chrono::seconds(2);   // with SIGINT, and then with SIGTERM
};

class HeldProgram {
public:
    struct Listener {
        // It asks to attach: scheduler() is there. Or why it never will, after which it is ended: kObject, it ended
        // before; kUnsupported, in a way that cannot be hosted; and whatever start_process() and LinkGate say. Comes
        // again when the program asks again.
        std::function<void(Result<>)> held;
        // Its process is gone, and the cgroup with all that was in it, as far as that can be had in five seconds. Once,
        // and last. Not from inside start() or the destructor; the program may be destroyed after it, not inside.
        std::function<void(const ProcessEnd& end)> ended;
        // Something about it is not as it should be, and it goes on: kIo, it does not see the kernel's real state;
        // kUnsupported, it asked to attach a second scheduler beside the one that runs, which was refused. May be
        // empty.
        std::function<void(Error error)> warned;
        // It wrote something: what has come since the last call, as it is. May be empty.
        std::function<void(std::string_view text)> output;
    };

    // Errors: check_program_rights()'s; ProgramCgroup's; start_process()'s.
    static Result<std::unique_ptr<HeldProgram>> start(EventLoop& loop, ProgramSettings settings,
                                                      std::vector<OpsLayout> layouts, Listener listener);
    HeldProgram(const HeldProgram&) = delete;
    HeldProgram& operator=(const HeldProgram&) = delete;
    // Kills what is left; one that was asked to end gets its time before. Waits only when the process has not ended. No
    // listener is called any more.
    ~HeldProgram();

    // What it asked to attach last; nullptr until then. It stays readable for who keeps it, also when the program asks
    // for another one or is dead.
    [[nodiscard]] const std::shared_ptr<const HeldScheduler>& scheduler() const { return scheduler_; }
    [[nodiscard]] bool is_held() const { return call_ != nullptr; }
    [[nodiscard]] pid_t pid() const { return process_.pid; }
    [[nodiscard]] const ProgramOutput& output() const { return output_; }
    [[nodiscard]] const ProgramCgroup& cgroup() const { return cgroup_; }

    // The call that is held returns this link, and from then on only the program holds it. `done` comes when it has
    // taken it, which needs that the scheduler runs it.
    void hand_over(UniqueFd link, std::function<void(Result<>)> done = {});
    // The call that is held fails with a positive error number. Who is refused and asks again and again is not answered
    // any more: its call waits until it is ended.
    void refuse(int error);

    // Asks it to end: the call that is held is refused (ECANCELED), or returns `dead_link`. Then SIGINT, SIGTERM and
    // cgroup.kill, each end_patience after the one before; the SIGINT at once, unless the program's exit record says
    // that its scheduler has left: it sees that by itself, and has the first end_patience to report why. Once; more
    // calls do nothing.
    void end(UniqueFd dead_link = {});

    // How its process has ended, or does within `patience`; nullopt: it lives. Never waits longer than that.
    [[nodiscard]] std::optional<ProcessEnd> wait_for_end(std::chrono::nanoseconds patience) const;

private:
    HeldProgram(EventLoop& loop, ProgramSettings settings, std::vector<OpsLayout> layouts, Listener listener,
                ProgramCgroup cgroup);
    Result<> watch();
    void on_setup();
    void listen();
    struct Asked {
        LinkGate::HeldCall call;
        Result<std::shared_ptr<const HeldScheduler>> scheduler;
    };
    void on_held(Result<std::optional<Asked>> asked);
    [[nodiscard]] bool scheduler_runs() const;
    [[nodiscard]] std::optional<std::uint32_t> exit_kind() const;
    void on_output();
    void read_output();
    void on_exit();
    void finish();
    void fail_start(Error error);
    void escalate();
    void escalate_later();
    void send_signal(int signal) const;
    [[nodiscard]] Error ended_early() const;
    [[nodiscard]] Error asked_too_late() const;
    [[nodiscard]] ProcessEnd describe_end(const siginfo_t& info) const;
    [[nodiscard]] std::string name() const;

    EventLoop& loop_;
    ProgramSettings settings_;
    std::vector<OpsLayout> layouts_;
    Listener listener_;
    ProgramCgroup cgroup_;
    ProgramProcess process_;
    ProgramOutput output_;
    std::shared_ptr<LinkGate> gate_; // the worker's jobs hold it too
    std::shared_ptr<LinkGate::HeldCall> call_;
    std::shared_ptr<const HeldScheduler> scheduler_;
    std::optional<ProcessEnd> end_; // nullopt while it lives
    bool listening_ = false;
    bool handed_over_ = false; // scheduler_ was attached
    int refusals_ = 0;
    int removals_ = 0;    // of the cgroup, tried
    bool failed_ = false; // held() has told so
    int ending_ = 0;      // steps of the end that were taken: its own time, SIGINT, SIGTERM
    EventLoop::Watch setup_watch_;
    EventLoop::Watch output_watch_;
    EventLoop::Watch exit_watch_;
    EventLoop::Watch start_timer_;
    EventLoop::Watch end_timer_;
    EventLoop::Watch output_timer_;
    std::unique_ptr<BackgroundWorker> worker_; // the last one: it ends first
};

} // namespace scxhost
