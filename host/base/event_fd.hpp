// SPDX-License-Identifier: GPL-2.0-only
//
// A descriptor that one thread makes readable and another one waits for.
//
// Between the event loop and ordinary threads it stands where a condition variable would: glibc's keeps a lock of its
// own that inherits no priority, and a notifier may have to wait in it for waiters that the scheduler under watch
// starves.
#pragma once

#include "host/base/result.hpp"
#include "host/base/unique_fd.hpp"

#include <chrono>
#include <optional>

namespace scxhost {

class EventFd {
public:
    using Clock = std::chrono::steady_clock;

    // False afterwards: the process has no descriptor left. Whoever needs it fails with no_descriptor().
    EventFd();
    [[nodiscard]] explicit operator bool() const { return static_cast<bool>(fd_); }
    [[nodiscard]] static std::unexpected<Error> no_descriptor();

    // Makes it readable. Any thread, and in a signal handler; never waits.
    void signal() const;
    // Makes it unreadable again.
    void consume() const;
    // Until it is readable, for ever without a deadline. False: at the deadline it was not.
    [[nodiscard]] bool wait(std::optional<Clock::time_point> deadline = std::nullopt) const;

    [[nodiscard]] int get() const { return fd_.get(); }

private:
    UniqueFd fd_;
};

} // namespace scxhost
