// SPDX-License-Identifier: GPL-2.0-only
//
// How long a seat's tasks have been without a scheduler of that seat, whatever the reason: for a moment while one is
// swapped for another, or for long while none is left to try.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace scxhost {

struct AwayTotals {
    std::uint64_t count = 0;          // how often, that of now included
    std::chrono::nanoseconds total{}; // up to now
    std::chrono::nanoseconds longest{};
};

class AwayTime {
public:
    using Clock = std::chrono::steady_clock;

    // They are without from now on; where they are already nothing changes. What comes before the seat's first
    // scheduler is no loss, and not for here.
    void begin(Clock::time_point now);
    // One has them, or there are none any more. How long they were without; 0: they were not.
    std::chrono::nanoseconds end(Clock::time_point now);

    [[nodiscard]] AwayTotals totals(Clock::time_point now) const;

private:
    AwayTotals past_;
    std::optional<Clock::time_point> since_;
};

} // namespace scxhost
