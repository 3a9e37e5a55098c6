// SPDX-License-Identifier: GPL-2.0-only
#include "host/supervisor/away_time.hpp"

#include <algorithm>

namespace scxhost {

void AwayTime::begin(Clock::time_point now, bool had_one) {
    if (!absence_)
        absence_ = Absence{now, had_one};
}

std::chrono::nanoseconds AwayTime::end(Clock::time_point now) {
    if (!absence_)
        return {};
    const std::chrono::nanoseconds took = now - absence_->since;
    past_ = totals(now);
    absence_.reset();
    return took;
}

AwayTotals AwayTime::totals(Clock::time_point now) const {
    AwayTotals totals = past_;
    if (!absence_)
        return totals;
    const std::chrono::nanoseconds so_far = now - absence_->since;
    ++totals.count;
    totals.total += so_far;
    if (absence_->had_one)
        totals.longest = std::max(totals.longest, so_far);
    return totals;
}

} // namespace scxhost
