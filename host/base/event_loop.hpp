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

    // Which handlers come first when several sources are ready. What decides about the scheduler never waits for a
    // client of the control socket.
    enum class Priority {
        kSignals,
        kNormal,  // uevents, timers, what other threads report
        kClients, // whoever talks to the host from outside
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
        // While it is disabled the loop does not look at the descriptor, not even for its other end's hang-up.
        Result<> enable(bool enabled);
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

    Result<Watch> watch(int fd, Interest interest, Handler handler, Priority priority = Priority::kNormal);
    // Once; the handle stays, spent.
    Result<Watch> timer(std::chrono::nanoseconds delay, Handler handler, Priority priority = Priority::kNormal);

    // Each of these lives as long as the loop.
    Result<> on_readable(int fd, Handler handler);
    // Blocks the signal in this thread, so that only the loop sees it. Does nothing for one that is_ignored(): who
    // started this process, with nohup for instance, wants it to have no effect.
    Result<> on_signal(int signal, Handler handler);
    // At now + period, then every period. Missed ticks are skipped, not made up for.
    Result<> every(std::chrono::nanoseconds period, Handler handler);
    // Once.
    Result<> after(std::chrono::nanoseconds delay, Handler handler);
    // Pings the service manager's watchdog, where there is one, for as long as the loop turns.
    Result<> keep_service_alive();

    // Runs handlers until stop(), or until one of them throws: that ends the loop with kInternal, since nobody knows
    // what the handler had left to do. After either it runs no more.
    Result<> run();
    // Waits until there is something to do, `patience` at most, and runs the handlers of one source.
    Result<> turn(std::chrono::nanoseconds patience);
    void stop();

    // systemd's own, for what of its libraries runs on a loop. Its end is the loop's.
    [[nodiscard]] sd_event* native() const { return event_.get(); }

private:
    explicit EventLoop(sd_event* event);
    Result<> thrown(); // what a handler threw, as an error
    Result<std::unique_ptr<Source>> make_timer(std::chrono::nanoseconds delay, std::chrono::nanoseconds period,
                                               Handler handler);

    // Where the sources leave what a handler threw; does not move with the loop.
    struct Failure;
    struct Unref {
        void operator()(sd_event* event) const;
    };
    std::shared_ptr<Failure> failure_;
    std::unique_ptr<sd_event, Unref> event_;
    std::vector<std::unique_ptr<Source>> sources_; // after event_, so that they are gone before it
};

// Whether the process has a signal ignored: by its own choice, or as it was started.
[[nodiscard]] bool is_ignored(int signal);

} // namespace scxhost
