// SPDX-License-Identifier: GPL-2.0-only
//
// RAII over systemd's event loop: descriptors, signals, timers. One loop, one thread; handlers run inside run().
#pragma once

#include "host/base/result.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

struct sd_event;
struct sd_event_source;

namespace scxhost {

class EventLoop {
public:
    static Result<EventLoop> make();
    EventLoop(EventLoop&&) noexcept;
    EventLoop& operator=(EventLoop&&) noexcept;
    ~EventLoop();

    using Handler = std::function<void()>;

    // Each source lives as long as the loop.
    Result<> on_readable(int fd, Handler handler);
    // Blocks the signal in this thread, so that only the loop sees it.
    Result<> on_signal(int signal, Handler handler);
    // At now + period, then every period. Missed ticks are skipped, not made up for.
    Result<> every(std::chrono::nanoseconds period, Handler handler);
    // Once.
    Result<> after(std::chrono::nanoseconds delay, Handler handler);

    // Runs handlers until stop().
    Result<> run();
    void stop();

private:
    struct Source;
    explicit EventLoop(sd_event* event);
    Result<> add_timer(std::chrono::nanoseconds delay, std::chrono::nanoseconds period, Handler handler);

    struct Unref {
        void operator()(sd_event* event) const;
    };
    std::unique_ptr<sd_event, Unref> event_;
    std::vector<std::unique_ptr<Source>> sources_; // after event_, so that they are gone before it
};

} // namespace scxhost
