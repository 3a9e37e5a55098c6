// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/background_worker.hpp"

#include <cxxabi.h>

#include <exception>
#include <mutex>

namespace scxhost {

Result<std::unique_ptr<BackgroundWorker>> BackgroundWorker::start(EventLoop& loop) {
    std::unique_ptr<BackgroundWorker> worker(new BackgroundWorker());
    if (!worker->finished_ || !worker->wanted_)
        return EventFd::no_descriptor();
    worker->watch_ = SCXHOST_TRY(loop.watch(worker->finished_.get(), {}, [raw = worker.get()] { raw->deliver(); }));
    worker->thread_ = SCXHOST_TRY(Thread::start([raw = worker.get()] { raw->work(); }));
    return worker;
}

BackgroundWorker::~BackgroundWorker() {
    {
        const std::scoped_lock lock(mutex_);
        ending_ = true;
    }
    wanted_.signal();
    thread_.join();
}

void BackgroundWorker::submit(Job job) {
    {
        const std::scoped_lock lock(mutex_);
        jobs_.push_back(std::move(job));
    }
    wanted_.signal();
}

void BackgroundWorker::drain() {
    const auto at_work = [this] {
        const std::scoped_lock lock(mutex_);
        return !jobs_.empty() || busy_;
    };
    while (at_work()) {
        (void)finished_.wait();
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

void BackgroundWorker::work() {
    for (;;) {
        Job job;
        {
            const std::scoped_lock lock(mutex_);
            if (ending_)
                return;
            if (!jobs_.empty()) {
                job = std::move(jobs_.front());
                jobs_.pop_front();
                busy_ = true;
            }
        }
        if (!job) {
            (void)wanted_.wait();
            wanted_.consume();
            continue;
        }
        Completion completion = carry_out(std::move(job)); // what the job holds ends on this thread
        {
            const std::scoped_lock lock(mutex_);
            completions_.push_back(std::move(completion));
            busy_ = false;
        }
        finished_.signal();
    }
}

void BackgroundWorker::deliver() {
    finished_.consume();
    std::deque<Completion> ready;
    {
        const std::scoped_lock lock(mutex_);
        ready.swap(completions_);
    }
    for (const Completion& completion : ready)
        if (completion)
            completion();
}

} // namespace scxhost
