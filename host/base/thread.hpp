// SPDX-License-Identifier: GPL-2.0-only
//
// Threads beside the event loop's, and the lock that it shares with them.
#pragma once

#include "host/base/result.hpp"

#include <pthread.h>

#include <chrono>
#include <functional>
#include <optional>
#include <utility>

namespace scxhost {

// A thread with all signals blocked: they are the event loop's. std::thread cannot give up joining.
class Thread {
public:
    // kInternal: the system has none left.
    static Result<Thread> start(std::function<void()> body);

    Thread() = default; // none
    Thread(Thread&& other) noexcept
        : handle_(std::exchange(other.handle_, std::nullopt)) {}
    Thread& operator=(Thread&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~Thread() { join(); }

    // These do nothing when it was joined or detached.
    void join();
    bool join_for(std::chrono::nanoseconds patience); // false: it has not ended
    void detach();

    [[nodiscard]] bool joinable() const { return handle_.has_value(); }
    [[nodiscard]] pthread_t handle() const { return *handle_; } // of a joinable one

private:
    explicit Thread(pthread_t handle)
        : handle_(handle) {}

    std::optional<pthread_t> handle_;
};

// A mutex between the event loop's thread and others. The loop runs at real-time priority; the others are scheduled by
// the very policy that it watches, and one that is starved while it holds the mutex would stop the loop too. So who
// holds it inherits the priority of who waits for it.
class InheritingMutex {
public:
    InheritingMutex();
    InheritingMutex(const InheritingMutex&) = delete;
    InheritingMutex& operator=(const InheritingMutex&) = delete;
    ~InheritingMutex() { ::pthread_mutex_destroy(&mutex_); }

    void lock() { ::pthread_mutex_lock(&mutex_); }
    void unlock() { ::pthread_mutex_unlock(&mutex_); }

private:
    pthread_mutex_t mutex_;
};

} // namespace scxhost
