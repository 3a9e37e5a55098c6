// SPDX-License-Identifier: GPL-2.0-only
//
// The thread on which all code of one plugin instance runs, one call after the other. Foreign code may hang: the host's
// own threads wait for it only as long as they say, and know which call it is that does not return.
//
// Nothing that such a call may still use goes away under it: what a call needs it must own, and it ends with the call,
// whoever has stopped waiting. The one thread of a plugin that never returns stays until the process ends.
#pragma once

#include "host/base/result.hpp"
#include "host/base/thread.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace scxhost {

class PluginThread {
public:
    using Clock = std::chrono::steady_clock;
    using Call = std::move_only_function<Result<>()>;

    // `name` is for people who look at the threads of the process. kInternal: the system has no thread left.
    static Result<std::unique_ptr<PluginThread>> start(const std::string& name);
    PluginThread(const PluginThread&) = delete;
    PluginThread& operator=(const PluginThread&) = delete;
    ~PluginThread(); // end() without waiting, unless that was called

    // The following from one thread, which is not this one. `callback` is a literal: what the call is named by.

    // Waits for the result, until `allowance` after the call began, or a second when it does not begin. nullopt: it did
    // not come in time; the call goes on, and outcomes() will have the result.
    [[nodiscard]] std::optional<Result<>> run(const char* callback, std::chrono::nanoseconds allowance, Call call);
    // Waits for nothing; outcomes() will have the result.
    void post(const char* callback, std::chrono::nanoseconds allowance, Call call);
    // After this, nothing more: makes the last call and ends the thread. False: it did not end in time. It is left
    // behind, and ends when what hangs returns and the calls after it, the last one too, are made; `afterwards` is then
    // called on some thread, once nothing of this one is left.
    bool end(const char* callback, std::chrono::nanoseconds allowance, Call last, std::function<void()> afterwards);

    // Calls wait or are being made.
    [[nodiscard]] bool busy() const;
    // The call that is being made.
    struct Current {
        const char* callback;
        std::chrono::nanoseconds since; // it began
        std::chrono::nanoseconds cpu;   // time that it has used of a CPU: whether it computes or waits
        bool hangs;                     // it has not returned within its allowance
    };
    [[nodiscard]] std::optional<Current> current() const;

    struct Outcome {
        const char* callback;
        Result<> result;
    };
    // Readable when outcomes() has something.
    [[nodiscard]] int fd() const;
    [[nodiscard]] std::vector<Outcome> outcomes();

    // Only from within a call: from now on, whenever `fd` is readable and no call waits, `call` is made. It must leave
    // the descriptor unreadable, sooner or later. Failures are among the outcomes, one a second at most.
    static void watch(int fd, const char* callback, std::chrono::nanoseconds allowance, Call call);
    // Only from within another call: no longer. Before the descriptor is closed.
    static void unwatch();

    // Threads of this process that were left behind and have not ended. While there are any, the process must end
    // without its libraries' destructors (std::_Exit): what hangs still uses them.
    static unsigned left_behind();

private:
    struct Shared;
    explicit PluginThread(std::shared_ptr<Shared> shared)
        : shared_(std::move(shared)) {}

    std::shared_ptr<Shared> shared_; // with the thread
    Thread thread_;
};

} // namespace scxhost
