// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/background_worker.hpp"

#include <sys/eventfd.h>

#include <cerrno>

namespace scxhost {

Result<std::unique_ptr<BackgroundWorker>> BackgroundWorker::start(EventLoop& loop) {
    std::unique_ptr<BackgroundWorker> worker(new BackgroundWorker());
    worker->wakeup_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!worker->wakeup_)
        return fail_errno(ErrorKind::kInternal, "cannot make an event descriptor", errno);
    worker->watch_ = SCXHOST_TRY(loop.watch(worker->wakeup_.get(), {}, [raw = worker.get()] { raw->deliver(); }));
    worker->thread_ = SCXHOST_TRY(Thread::start([raw = worker.get()] { raw->work(); }));
    return worker;
}

BackgroundWorker::~BackgroundWorker() {
    {
        const std::scoped_lock lock(mutex_);
        ending_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void BackgroundWorker::submit(Job job) {
    {
        const std::scoped_lock lock(mutex_);
        jobs_.push_back(std::move(job));
    }
    changed_.notify_all();
}

void BackgroundWorker::drain() {
    {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return jobs_.empty() && !busy_; });
    }
    deliver();
}

void BackgroundWorker::work() {
    for (;;) {
        Job job;
        {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [this] { return ending_ || !jobs_.empty(); });
            if (ending_)
                return;
            job = std::move(jobs_.front());
            jobs_.pop_front();
            busy_ = true;
        }
        Completion completion = job();
        job = nullptr; // what it holds ends on this thread
        {
            const std::scoped_lock lock(mutex_);
            completions_.push_back(std::move(completion));
            busy_ = false;
        }
        changed_.notify_all();
        ::eventfd_write(wakeup_.get(), 1);
    }
}

void BackgroundWorker::deliver() {
    eventfd_t count = 0;
    ::eventfd_read(wakeup_.get(), &count);
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
