// SPDX-License-Identifier: GPL-2.0-only
//
// A limit on how often something happens: some at once, and then so many a second. Pure: the time is told.
#pragma once

#include <algorithm>
#include <chrono>

namespace scxhost {

class TokenBucket {
public:
    using Clock = std::chrono::steady_clock;
    using Seconds = std::chrono::duration<double>;

    // `burst` of them at once, at least 1; `per_second` on average, more than 0.
    TokenBucket(double burst, double per_second, Clock::time_point now)
        : burst_(burst)
        , per_second_(per_second)
        , tokens_(burst)
        , last_(now) {}

    // False: not now, but after wait().
    bool take(Clock::time_point now) {
        refill(now);
        if (tokens_ < 1)
            return false;
        tokens_ -= 1;
        return true;
    }

    // Takes what was used already, whether it was there or not. False: nothing is left until wait() is over.
    bool charge(double tokens, Clock::time_point now) {
        refill(now);
        tokens_ -= tokens;
        return tokens_ >= 1;
    }

    // From the last take() or charge() until the next take() that succeeds; a little longer rather than shorter.
    [[nodiscard]] std::chrono::nanoseconds wait() const {
        const Seconds missing(std::max(0.0, 1 - tokens_) / per_second_);
        return std::chrono::ceil<std::chrono::microseconds>(missing) + std::chrono::microseconds(1);
    }

private:
    void refill(Clock::time_point now) {
        tokens_ = std::min(burst_, tokens_ + Seconds(now - last_).count() * per_second_);
        last_ = now;
    }

    double burst_;
    double per_second_;
    double tokens_;
    Clock::time_point last_;
};

} // namespace scxhost
