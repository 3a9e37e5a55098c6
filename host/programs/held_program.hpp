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

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace scxhost {

struct ProgramSettings {
    ProgramCommand command;
    ProgramLimits limits;
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
        // Its process is gone, and the cgroup with all that was in it. Once, and last. Says how it ended: "exited with
        // status 1", "was killed by signal 9".
        std::function<void(const std::string& how)> ended;
    };

    // Errors: kPlugin, there is no such program, or it is no file that can be executed; kPermission, it is not trusted;
    // ProgramCgroup's; start_process()'s.
    static Result<std::unique_ptr<HeldProgram>> start(EventLoop& loop, ProgramSettings settings,
                                                      std::vector<OpsLayout> layouts, Listener listener);
    HeldProgram(const HeldProgram&) = delete;
    HeldProgram& operator=(const HeldProgram&) = delete;
    // Kills what is left. No listener is called any more.
    ~HeldProgram();

    // What it asked to attach last; nullptr until then.
    [[nodiscard]] const HeldScheduler* scheduler() const { return scheduler_ ? &*scheduler_ : nullptr; }
    [[nodiscard]] bool is_held() const { return call_ != nullptr; }
    [[nodiscard]] pid_t pid() const { return process_.pid; }
    [[nodiscard]] const ProgramOutput& output() const { return output_; }
    [[nodiscard]] const ProgramCgroup& cgroup() const { return cgroup_; }

    // The call that is held returns this link, and from then on only the program holds it. `done` comes when it has
    // taken it, which needs that the scheduler runs it.
    void hand_over(UniqueFd link, std::function<void(Result<>)> done = {});
    // The call that is held fails with a positive error number.
    void refuse(int error);

    // Asks it to end: refuses the call that is held (ECANCELED), then SIGINT, SIGTERM, cgroup.kill, each after
    // end_patience. Once; more calls do nothing.
    void end();

private:
    HeldProgram(EventLoop& loop, ProgramSettings settings, std::vector<OpsLayout> layouts, Listener listener,
                ProgramCgroup cgroup);
    Result<> watch();
    void on_setup();
    void listen();
    void on_held(Result<std::optional<LinkGate::HeldCall>> call);
    void on_output();
    void read_output();
    void on_exit();
    void finish();
    void fail_start(Error error);
    void escalate();
    void send_signal(int signal) const;
    [[nodiscard]] Error ended_early() const;
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
    std::optional<HeldScheduler> scheduler_;
    UniqueFd stop_;   // readable: the worker waits no longer
    std::string how_; // it ended; empty while it lives
    bool listening_ = false;
    bool failed_ = false; // held() has told so
    int ending_ = 0;      // steps of the end that were taken
    EventLoop::Watch setup_watch_;
    EventLoop::Watch output_watch_;
    EventLoop::Watch exit_watch_;
    EventLoop::Watch start_timer_;
    EventLoop::Watch end_timer_;
    EventLoop::Watch output_timer_;
    std::unique_ptr<BackgroundWorker> worker_; // the last one: it ends first
};

} // namespace scxhost
