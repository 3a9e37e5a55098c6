// SPDX-License-Identifier: GPL-2.0-only
#include "host/supervisor/away_time.hpp"

#include <algorithm>

namespace scxhost {

void AwayTime::begin(Clock::time_point now) {
    if (!since_)
        since_ = now;
}

std::chrono::nanoseconds AwayTime::end(Clock::time_point now) {
    if (!since_)
        return {};
    const std::chrono::nanoseconds took = now - *since_;
    past_ = totals(now);
    since_.reset();
    return took;
}

AwayTotals AwayTime::totals(Clock::time_point now) const {
    AwayTotals totals = past_;
    if (!since_)
        return totals;
    const std::chrono::nanoseconds so_far = now - *since_;
    ++totals.count;
    totals.total += so_far;
    totals.longest = std::max(totals.longest, so_far);
    return totals;
}

} // namespace scxhost
