// SPDX-License-Identifier: GPL-2.0-only
//
// An ordinary thread of the host's own, which the scheduler under watch schedules like any other task. Whether it comes
// to run when it is woken is a sign that the host can see for itself: a scheduler that runs nothing has done nothing
// wrong yet, by its exit record, until its watchdog comes, which may be half a minute later.
#pragma once

#include "host/base/event_loop.hpp"
#include "host/base/result.hpp"
#include "host/base/thread.hpp"
#include "host/base/unique_fd.hpp"

#include <functional>
#include <memory>

namespace scxhost {

class Canary {
public:
    // To be started before the loop's thread takes a real-time priority, which the thread would inherit.
    static Result<std::unique_ptr<Canary>> start(EventLoop& loop);
    ~Canary();

    // Wakes the thread. `answered` comes on the loop's thread once it has run; an earlier probe is forgotten.
    void probe(std::function<void()> answered);
    void forget() { answered_ = {}; }

private:
    Canary() = default;

    UniqueFd question_;
    UniqueFd answer_;
    EventLoop::Watch watch_;
    std::function<void()> answered_;
    std::uint64_t unanswered_ = 0; // probes
    Thread thread_;
};

} // namespace scxhost
