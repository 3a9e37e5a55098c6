// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/event_loop.hpp"

#include <cxxabi.h>
#include <signal.h>
#include <sys/epoll.h>
#include <systemd/sd-event.h>
#include <time.h>

#include <algorithm>
#include <exception>
#include <optional>

namespace scxhost {
namespace {

constexpr std::uint64_t kTimerAccuracyUs = 1000;

std::uint64_t to_us(std::chrono::nanoseconds duration) {
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(duration).count());
}

Result<> check(int code, const char* what) {
    if (code < 0)
        return fail_errno(ErrorKind::kInternal, what, -code);
    return {};
}

std::int64_t sd_priority(EventLoop::Priority priority) {
    switch (priority) {
    case EventLoop::Priority::kSignals:
        return SD_EVENT_PRIORITY_IMPORTANT;
    case EventLoop::Priority::kNormal:
        break;
    case EventLoop::Priority::kClients:
        return SD_EVENT_PRIORITY_IDLE;
    }
    return SD_EVENT_PRIORITY_NORMAL;
}

// Of the exception that is being handled.
std::string exception_text() {
    try {
        throw;
    } catch (const abi::__forced_unwind&) {
        throw;
    } catch (const std::exception& exception) {
        return exception.what();
    } catch (...) {
        return "something that is no std::exception";
    }
}

} // namespace

struct EventLoop::Failure {
    std::optional<Error> error;
};

struct EventLoop::Source {
    std::shared_ptr<Handler> handler;
    std::shared_ptr<Failure> failure;
    std::uint64_t period_us = 0;
    sd_event_source* source = nullptr;

    Source(Handler function, std::shared_ptr<Failure> failed)
        : handler(std::make_shared<Handler>(std::move(function)))
        , failure(std::move(failed)) {}
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;
    ~Source() { sd_event_source_disable_unref(source); }

    // The frames above this one are sd-event's, in C: no exception may pass through them.
    static int fire(sd_event_source* source, void* opaque) {
        // The handler may end its own source.
        const std::shared_ptr<Handler> handler = static_cast<Source*>(opaque)->handler;
        const std::shared_ptr<Failure> failure = static_cast<Source*>(opaque)->failure;
        sd_event* const event = sd_event_source_get_event(source);
        try {
            (*handler)();
        } catch (const abi::__forced_unwind&) {
            throw; // pthread_exit() or a cancellation: swallowing it ends the process
        } catch (...) {
            if (!failure->error)
                failure->error = Error{.kind = ErrorKind::kInternal,
                                       .what = "a handler of the event loop failed: " + exception_text(),
                                       .hint = "this is a mistake in scxhost, or it is out of memory"};
            sd_event_exit(event, 0);
        }
        return 0;
    }
    static int on_io(sd_event_source* source, int, std::uint32_t, void* opaque) { return fire(source, opaque); }
    static int on_signal(sd_event_source* source, const signalfd_siginfo*, void* opaque) {
        return fire(source, opaque);
    }
    static int on_time(sd_event_source* source, std::uint64_t due, void* opaque) {
        const std::uint64_t period = static_cast<Source*>(opaque)->period_us;
        if (period > 0) {
            std::uint64_t now = 0;
            sd_event_now(sd_event_source_get_event(source), CLOCK_MONOTONIC, &now);
            const std::uint64_t missed = now > due ? (now - due) / period : 0;
            sd_event_source_set_time(source, due + (missed + 1) * period);
            sd_event_source_set_enabled(source, SD_EVENT_ON);
        }
        return fire(source, opaque);
    }
};

void EventLoop::Unref::operator()(sd_event* event) const {
    sd_event_unref(event);
}

EventLoop::EventLoop(sd_event* event)
    : failure_(std::make_shared<Failure>())
    , event_(event) {}
EventLoop::EventLoop(EventLoop&&) noexcept = default;
EventLoop& EventLoop::operator=(EventLoop&&) noexcept = default;
EventLoop::~EventLoop() = default;

Result<EventLoop> EventLoop::make() {
    sd_event* event = nullptr;
    SCXHOST_TRY(check(sd_event_new(&event), "cannot create the event loop"));
    return EventLoop(event);
}

namespace {

std::uint32_t epoll_events(EventLoop::Interest interest) {
    return (interest.readable ? EPOLLIN : 0U) | (interest.writable ? EPOLLOUT : 0U);
}

} // namespace

EventLoop::Watch::Watch() = default;
EventLoop::Watch::Watch(Watch&&) noexcept = default;
EventLoop::Watch& EventLoop::Watch::operator=(Watch&&) noexcept = default;
EventLoop::Watch::~Watch() = default;
void EventLoop::Watch::reset() {
    source_.reset();
}
EventLoop::Watch::Watch(std::unique_ptr<Source> source)
    : source_(std::move(source)) {}

Result<> EventLoop::Watch::set(Interest interest) {
    return check(sd_event_source_set_io_events(source_->source, epoll_events(interest)), "cannot watch a descriptor");
}

Result<> EventLoop::Watch::enable(bool enabled) {
    return check(sd_event_source_set_enabled(source_->source, enabled ? SD_EVENT_ON : SD_EVENT_OFF),
                 "cannot watch a descriptor");
}

Result<EventLoop::Watch> EventLoop::watch(int fd, Interest interest, Handler handler, Priority priority) {
    auto source = std::make_unique<Source>(std::move(handler), failure_);
    SCXHOST_TRY(
        check(sd_event_add_io(event_.get(), &source->source, fd, epoll_events(interest), Source::on_io, source.get()),
              "cannot watch a descriptor"));
    sd_event_source_set_priority(source->source, sd_priority(priority));
    return Watch(std::move(source));
}

Result<> EventLoop::on_readable(int fd, Handler handler) {
    Watch watched = SCXHOST_TRY(watch(fd, {}, std::move(handler)));
    sources_.push_back(std::move(watched.source_));
    return {};
}

Result<> EventLoop::on_signal(int signal, Handler handler) {
    if (is_ignored(signal))
        return {};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    SCXHOST_TRY(check(-::pthread_sigmask(SIG_BLOCK, &set, nullptr), "cannot block a signal"));
    auto source = std::make_unique<Source>(std::move(handler), failure_);
    SCXHOST_TRY(check(sd_event_add_signal(event_.get(), &source->source, signal, Source::on_signal, source.get()),
                      "cannot watch a signal"));
    // Before anything else that is pending: the user wants out.
    sd_event_source_set_priority(source->source, sd_priority(Priority::kSignals));
    sources_.push_back(std::move(source));
    return {};
}

Result<std::unique_ptr<EventLoop::Source>> EventLoop::make_timer(std::chrono::nanoseconds delay,
                                                                 std::chrono::nanoseconds period, Handler handler) {
    auto source = std::make_unique<Source>(std::move(handler), failure_);
    source->period_us = to_us(period);
    SCXHOST_TRY(check(sd_event_add_time_relative(event_.get(), &source->source, CLOCK_MONOTONIC, to_us(delay),
                                                 kTimerAccuracyUs, Source::on_time, source.get()),
                      "cannot set a timer"));
    return source;
}

Result<EventLoop::Watch> EventLoop::timer(std::chrono::nanoseconds delay, Handler handler, Priority priority) {
    std::unique_ptr<Source> source = SCXHOST_TRY(make_timer(delay, {}, std::move(handler)));
    sd_event_source_set_priority(source->source, sd_priority(priority));
    return Watch(std::move(source));
}

Result<> EventLoop::every(std::chrono::nanoseconds period, Handler handler) {
    sources_.push_back(SCXHOST_TRY(make_timer(period, period, std::move(handler))));
    return {};
}

Result<> EventLoop::after(std::chrono::nanoseconds delay, Handler handler) {
    sources_.push_back(SCXHOST_TRY(make_timer(delay, {}, std::move(handler))));
    return {};
}

Result<> EventLoop::keep_service_alive() {
    return check(sd_event_set_watchdog(event_.get(), 1), "cannot keep the service manager's watchdog quiet");
}

Result<> EventLoop::run() {
    SCXHOST_TRY(check(sd_event_loop(event_.get()), "the event loop failed"));
    return thrown();
}

Result<> EventLoop::turn(std::chrono::nanoseconds patience) {
    const auto usec = std::chrono::ceil<std::chrono::microseconds>(patience).count();
    SCXHOST_TRY(
        check(std::min(0, sd_event_run(event_.get(), static_cast<std::uint64_t>(usec))), "the event loop failed"));
    return thrown();
}

Result<> EventLoop::thrown() {
    if (failure_->error)
        return fail(*std::move(failure_->error));
    return {};
}

void EventLoop::stop() {
    sd_event_exit(event_.get(), 0);
}

bool is_ignored(int signal) {
    struct sigaction action{};
    return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

} // namespace scxhost
