// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/event_fd.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>

#include <algorithm>
#include <cerrno>

namespace scxhost {

EventFd::EventFd()
    : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

std::unexpected<Error> EventFd::no_descriptor() {
    return fail_errno(ErrorKind::kInternal, "cannot make an event descriptor", EMFILE);
}

void EventFd::signal() const {
    ::eventfd_write(fd_.get(), 1);
}

void EventFd::consume() const {
    eventfd_t count = 0;
    ::eventfd_read(fd_.get(), &count);
}

bool EventFd::wait(std::optional<Clock::time_point> deadline) const {
    for (;;) {
        timespec timeout{};
        if (deadline) {
            const std::chrono::nanoseconds left = std::max(*deadline - Clock::now(), Clock::duration::zero());
            timeout = {.tv_sec = left.count() / 1'000'000'000, .tv_nsec = left.count() % 1'000'000'000};
        }
        pollfd entry = {.fd = fd_.get(), .events = POLLIN, .revents = 0};
        const int ready = ::ppoll(&entry, 1, deadline ? &timeout : nullptr, nullptr);
        if (ready >= 0)
            return ready > 0;
    }
}

} // namespace scxhost
