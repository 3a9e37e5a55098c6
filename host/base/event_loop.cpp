// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/event_loop.hpp"

#include <signal.h>
#include <sys/epoll.h>
#include <systemd/sd-event.h>
#include <time.h>

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

} // namespace

struct EventLoop::Source {
    Handler handler;
    std::uint64_t period_us = 0;
    sd_event_source* source = nullptr;

    ~Source() { sd_event_source_disable_unref(source); }

    static int fire(void* opaque) {
        static_cast<Source*>(opaque)->handler();
        return 0;
    }
    static int on_io(sd_event_source*, int, std::uint32_t, void* opaque) { return fire(opaque); }
    static int on_signal(sd_event_source*, const signalfd_siginfo*, void* opaque) { return fire(opaque); }
    static int on_time(sd_event_source* source, std::uint64_t due, void* opaque) {
        const std::uint64_t period = static_cast<Source*>(opaque)->period_us;
        if (period > 0) {
            std::uint64_t now = 0;
            sd_event_now(sd_event_source_get_event(source), CLOCK_MONOTONIC, &now);
            const std::uint64_t missed = now > due ? (now - due) / period : 0;
            sd_event_source_set_time(source, due + (missed + 1) * period);
            sd_event_source_set_enabled(source, SD_EVENT_ON);
        }
        return fire(opaque);
    }
};

void EventLoop::Unref::operator()(sd_event* event) const {
    sd_event_unref(event);
}

EventLoop::EventLoop(sd_event* event)
    : event_(event) {}
EventLoop::EventLoop(EventLoop&&) noexcept = default;
EventLoop& EventLoop::operator=(EventLoop&&) noexcept = default;
EventLoop::~EventLoop() = default;

Result<EventLoop> EventLoop::make() {
    sd_event* event = nullptr;
    SCXHOST_TRY(check(sd_event_new(&event), "cannot create the event loop"));
    return EventLoop(event);
}

Result<> EventLoop::on_readable(int fd, Handler handler) {
    auto source = std::make_unique<Source>(Source{.handler = std::move(handler)});
    SCXHOST_TRY(check(sd_event_add_io(event_.get(), &source->source, fd, EPOLLIN, Source::on_io, source.get()),
                      "cannot watch a descriptor"));
    sources_.push_back(std::move(source));
    return {};
}

Result<> EventLoop::on_signal(int signal, Handler handler) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    SCXHOST_TRY(check(-::pthread_sigmask(SIG_BLOCK, &set, nullptr), "cannot block a signal"));
    auto source = std::make_unique<Source>(Source{.handler = std::move(handler)});
    SCXHOST_TRY(check(sd_event_add_signal(event_.get(), &source->source, signal, Source::on_signal, source.get()),
                      "cannot watch a signal"));
    // Before anything else that is pending: the user wants out.
    sd_event_source_set_priority(source->source, SD_EVENT_PRIORITY_IMPORTANT);
    sources_.push_back(std::move(source));
    return {};
}

Result<> EventLoop::add_timer(std::chrono::nanoseconds delay, std::chrono::nanoseconds period, Handler handler) {
    auto source = std::make_unique<Source>(Source{.handler = std::move(handler), .period_us = to_us(period)});
    SCXHOST_TRY(check(sd_event_add_time_relative(event_.get(), &source->source, CLOCK_MONOTONIC, to_us(delay),
                                                 kTimerAccuracyUs, Source::on_time, source.get()),
                      "cannot set a timer"));
    sources_.push_back(std::move(source));
    return {};
}

Result<> EventLoop::every(std::chrono::nanoseconds period, Handler handler) {
    return add_timer(period, period, std::move(handler));
}

Result<> EventLoop::after(std::chrono::nanoseconds delay, Handler handler) {
    return add_timer(delay, {}, std::move(handler));
}

Result<> EventLoop::run() {
    return check(sd_event_loop(event_.get()), "the event loop failed");
}

void EventLoop::stop() {
    sd_event_exit(event_.get(), 0);
}

} // namespace scxhost
