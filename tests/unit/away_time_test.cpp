// SPDX-License-Identifier: GPL-2.0-only
#include "host/supervisor/away_time.hpp"

#include <gtest/gtest.h>

namespace scxhost {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr AwayTime::Clock::time_point at(int second) {
    return AwayTime::Clock::time_point(seconds(second));
}

TEST(AwayTime, IsCountedUpToNow) {
    AwayTime away;
    EXPECT_EQ(away.totals(at(9)).count, 0U);
    away.begin(at(10));
    away.begin(at(12)); // it is away already
    EXPECT_EQ(away.totals(at(13)).count, 1U);
    EXPECT_EQ(away.totals(at(13)).total, seconds(3));
    EXPECT_EQ(away.totals(at(13)).longest, seconds(3));
    EXPECT_EQ(away.end(at(15)), seconds(5));
    EXPECT_EQ(away.end(at(20)), nanoseconds(0));
    EXPECT_EQ(away.totals(at(30)).total, seconds(5)) << "it is there";
    away.begin(at(40));
    EXPECT_EQ(away.end(at(42)), seconds(2));
    const AwayTotals all = away.totals(at(50));
    EXPECT_EQ(all.count, 2U);
    EXPECT_EQ(all.total, seconds(7));
    EXPECT_EQ(all.longest, seconds(5));
}

} // namespace
} // namespace scxhost
