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
    struct Source;

public:
    // What a watched descriptor is to wake the loop for.
    struct Interest {
        bool readable = true;
        bool writable = false;
    };

    // Owns one source. Its end, which may come inside its own handler, ends the source; so does the loop's.
    class Watch {
    public:
        Watch();
        Watch(Watch&&) noexcept;
        Watch& operator=(Watch&&) noexcept;
        ~Watch();

        // Of a descriptor's watch only.
        Result<> set(Interest interest);
        void reset();
        [[nodiscard]] explicit operator bool() const { return source_ != nullptr; }

    private:
        friend class EventLoop;
        explicit Watch(std::unique_ptr<Source> source);
        std::unique_ptr<Source> source_;
    };

    static Result<EventLoop> make();
    EventLoop(EventLoop&&) noexcept;
    EventLoop& operator=(EventLoop&&) noexcept;
    ~EventLoop();

    using Handler = std::function<void()>;

    Result<Watch> watch(int fd, Interest interest, Handler handler);
    // Once; the handle stays, spent.
    Result<Watch> timer(std::chrono::nanoseconds delay, Handler handler);

    // Each of these lives as long as the loop.
    Result<> on_readable(int fd, Handler handler);
    // Blocks the signal in this thread, so that only the loop sees it.
    Result<> on_signal(int signal, Handler handler);
    // At now + period, then every period. Missed ticks are skipped, not made up for.
    Result<> every(std::chrono::nanoseconds period, Handler handler);
    // Once.
    Result<> after(std::chrono::nanoseconds delay, Handler handler);
    // Pings the service manager's watchdog, where there is one, for as long as the loop turns.
    Result<> keep_service_alive();

    // Runs handlers until stop().
    Result<> run();
    void stop();

private:
    explicit EventLoop(sd_event* event);
    Result<std::unique_ptr<Source>> make_timer(std::chrono::nanoseconds delay, std::chrono::nanoseconds period,
                                               Handler handler);

    struct Unref {
        void operator()(sd_event* event) const;
    };
    std::unique_ptr<sd_event, Unref> event_;
    std::vector<std::unique_ptr<Source>> sources_; // after event_, so that they are gone before it
};

} // namespace scxhost
