// SPDX-License-Identifier: GPL-2.0-only
//
// One scheduler from attach to detach: attach and confirm, watch it, read its statistics, detach. The kernel's link
// never signals an ejection, so three things are watched: the kernel's uevents (at once), the exit record and sysfs (at
// every statistics interval, in case an event was lost).
#pragma once

#include "host/base/result.hpp"
#include "host/supervisor/attach.hpp"
#include "host/supervisor/prepared_scheduler.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace scxhost {

struct Sample {
    std::chrono::nanoseconds since_start;
    std::vector<std::int64_t> values; // parallel to the object's declared statistics
};

// What a session tells while it goes on. All calls come from run()'s thread.
class SessionListener {
public:
    virtual ~SessionListener() = default;
    virtual void on_enabled(const Attached& attached) = 0;
    // Returns false to end the session: nobody reads the output any more.
    virtual bool on_sample(const Sample& sample) = 0;
    // A failure that the session survives; the text says what was ignored.
    virtual void on_warning(const Error& error) = 0;
};

enum class SessionEnd {
    kRequested, // a signal, or the listener
    kTimeUp,
    kLeft,     // the kernel took it out, or it left by itself: see the exit report
    kReplaced, // somebody else's scheduler runs now
};

struct SessionOutcome {
    SessionEnd end = SessionEnd::kRequested;
    ExitReport exit;        // after detaching: UNREG when we did it
    std::string other_name; // of kReplaced
    std::chrono::nanoseconds duration{};
};

struct SessionLimits {
    std::chrono::nanoseconds statistics_interval = std::chrono::seconds(1);
    std::optional<std::chrono::nanoseconds> duration; // unlimited when not set
};

// Attaches a loaded scheduler and stays until it ends. SIGINT, SIGTERM and SIGHUP end it cleanly; a second one of them
// ends the process at once, and the kernel then detaches. Errors: those of attach_and_confirm(), and kInternal.
Result<SessionOutcome> run_session(PreparedScheduler& scheduler, const SessionLimits& limits,
                                   SessionListener& listener);

} // namespace scxhost
