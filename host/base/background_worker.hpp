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
    // Waits for the job that is running, unless it was abandoned; those behind it are destroyed without having run.
    ~BackgroundWorker();

    // The end waits for nothing any more: for jobs that own all they use, where the loop's thread must not wait for a
    // thread that the scheduler under watch may starve. No completion runs from now on.
    void abandon();

    void submit(Job job);

    // Waits for all jobs, and runs their completions here: on the loop's thread, when the loop runs no more.
    void drain();

private:
    // The thread's too: it may outlive an abandoned worker.
    struct State {
        EventFd finished;      // for the loop: a job is done
        EventFd wanted;        // for the thread: a job waits, or it is to end
        InheritingMutex mutex; // for the four below
        std::deque<Job> jobs;
        std::deque<Completion> completions;
        bool ending = false;
        bool busy = false; // with a job
    };

    BackgroundWorker() = default;
    static void work(State& state);
    void deliver();
    void end();

    std::shared_ptr<State> state_ = std::make_shared<State>();
    EventLoop::Watch watch_;
    Thread thread_;
};

} // namespace scxhost
