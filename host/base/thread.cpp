// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/thread.hpp"

#include <signal.h>
#include <time.h>

#include <memory>

namespace scxhost {
namespace {

void* run(void* opaque) {
    const std::unique_ptr<std::function<void()>> body(static_cast<std::function<void()>*>(opaque));
    (*body)();
    return nullptr;
}

} // namespace

Result<Thread> Thread::start(std::function<void()> body) {
    auto own = std::make_unique<std::function<void()>>(std::move(body));
    sigset_t all;
    sigset_t old;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_t handle{};
    const int error = ::pthread_create(&handle, nullptr, run, own.get());
    ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
    if (error != 0)
        return fail_errno(ErrorKind::kInternal, "cannot start a thread", error);
    (void)own.release(); // run() has it
    return Thread(handle);
}

void Thread::join() {
    if (handle_)
        ::pthread_join(*handle_, nullptr);
    handle_.reset();
}

bool Thread::join_for(std::chrono::nanoseconds patience) {
    timespec deadline{};
    ::clock_gettime(CLOCK_MONOTONIC, &deadline);
    const std::chrono::nanoseconds at = std::chrono::nanoseconds(deadline.tv_nsec) + patience;
    deadline.tv_sec += at / std::chrono::seconds(1);
    deadline.tv_nsec = (at % std::chrono::seconds(1)).count();
    if (handle_ && ::pthread_clockjoin_np(*handle_, nullptr, CLOCK_MONOTONIC, &deadline) != 0)
        return false;
    handle_.reset();
    return true;
}

void Thread::detach() {
    if (handle_)
        ::pthread_detach(*handle_);
    handle_.reset();
}

InheritingMutex::InheritingMutex() {
    pthread_mutexattr_t attributes;
    ::pthread_mutexattr_init(&attributes);
    ::pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
    ::pthread_mutex_init(&mutex_, &attributes);
    ::pthread_mutexattr_destroy(&attributes);
}

} // namespace scxhost
