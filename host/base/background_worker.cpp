// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/background_worker.hpp"

#include <cxxabi.h>

#include <exception>
#include <mutex>

namespace scxhost {

Result<std::unique_ptr<BackgroundWorker>> BackgroundWorker::start(EventLoop& loop) {
    std::unique_ptr<BackgroundWorker> worker(new BackgroundWorker());
    const State& state = *worker->state_;
    if (!state.finished || !state.wanted)
        return EventFd::no_descriptor();
    worker->watch_ = SCXHOST_TRY(loop.watch(state.finished.get(), {}, [raw = worker.get()] { raw->deliver(); }));
    worker->thread_ = SCXHOST_TRY(Thread::start([shared = worker->state_] { work(*shared); }));
    return worker;
}

BackgroundWorker::~BackgroundWorker() {
    end();
    thread_.join();
}

void BackgroundWorker::end() {
    {
        const std::scoped_lock lock(state_->mutex);
        state_->ending = true;
    }
    state_->wanted.signal();
}

void BackgroundWorker::abandon() {
    watch_.reset();
    end();
    thread_.detach();
}

void BackgroundWorker::submit(Job job) {
    {
        const std::scoped_lock lock(state_->mutex);
        state_->jobs.push_back(std::move(job));
    }
    state_->wanted.signal();
}

void BackgroundWorker::drain() {
    const auto at_work = [this] {
        const std::scoped_lock lock(state_->mutex);
        return !state_->jobs.empty() || state_->busy;
    };
    while (at_work()) {
        (void)state_->finished.wait();
        deliver();
    }
    deliver();
}

namespace {

// What the loop's thread is to do after the job.
BackgroundWorker::Completion carry_out(BackgroundWorker::Job job) {
    try {
        return job();
    } catch (const abi::__forced_unwind&) {
        throw; // the thread is being ended: that is no failure of the job
    } catch (...) {
        return [failure = std::current_exception()] { std::rethrow_exception(failure); };
    }
}

} // namespace

void BackgroundWorker::work(State& state) {
    for (;;) {
        Job job;
        {
            const std::scoped_lock lock(state.mutex);
            if (state.ending)
                return;
            if (!state.jobs.empty()) {
                job = std::move(state.jobs.front());
                state.jobs.pop_front();
                state.busy = true;
            }
        }
        if (!job) {
            (void)state.wanted.wait();
            state.wanted.consume();
            continue;
        }
        Completion completion = carry_out(std::move(job)); // what the job holds ends on this thread
        {
            const std::scoped_lock lock(state.mutex);
            state.completions.push_back(std::move(completion));
            state.busy = false;
        }
        state.finished.signal();
    }
}

void BackgroundWorker::deliver() {
    state_->finished.consume();
    std::deque<Completion> ready;
    {
        const std::scoped_lock lock(state_->mutex);
        ready.swap(state_->completions);
    }
    for (const Completion& completion : ready)
        if (completion)
            completion();
}

} // namespace scxhost
