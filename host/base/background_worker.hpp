// SPDX-License-Identifier: GPL-2.0-only
//
// One thread beside the event loop, for work that takes long: loading a BPF object keeps the kernel's verifier busy for
// seconds, and meanwhile the loop has a scheduler to watch. Jobs run one after the other; what a job returns runs on
// the loop's thread.
#pragma once

#include "host/base/event_fd.hpp"
#include "host/base/event_loop.hpp"
#include "host/base/result.hpp"
#include "host/base/thread.hpp"

#include <deque>
#include <functional>
#include <memory>

namespace scxhost {

class BackgroundWorker {
public:
    // Runs on the loop's thread, or never when the worker ends before. What a job throws is thrown there again in place
    // of its completion.
    using Completion = std::function<void()>;
    using Job = std::move_only_function<Completion()>;

    // `loop` must outlive the worker.
    static Result<std::unique_ptr<BackgroundWorker>> start(EventLoop& loop);
    // Waits for the job that is running; those behind it are destroyed without having run.
    ~BackgroundWorker();

    void submit(Job job);

    // Waits for all jobs, and runs their completions here: on the loop's thread, when the loop runs no more.
    void drain();

private:
    BackgroundWorker() = default;
    void work();
    void deliver();

    EventFd finished_; // for the loop: a job is done
    EventFd wanted_;   // for the worker: a job waits, or it is to end
    EventLoop::Watch watch_;
    InheritingMutex mutex_; // for the four below
    std::deque<Job> jobs_;
    std::deque<Completion> completions_;
    bool ending_ = false;
    bool busy_ = false; // with a job
    Thread thread_;
};

} // namespace scxhost
