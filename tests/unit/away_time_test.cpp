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
    away.begin(at(10), true);
    away.begin(at(12), true); // it is away already
    EXPECT_EQ(away.totals(at(13)).count, 1U);
    EXPECT_EQ(away.totals(at(13)).total, seconds(3));
    EXPECT_EQ(away.totals(at(13)).longest, seconds(3));
    EXPECT_EQ(away.end(at(15)), seconds(5));
    EXPECT_EQ(away.end(at(20)), nanoseconds(0));
    EXPECT_EQ(away.totals(at(30)).total, seconds(5)) << "it is there";
    away.begin(at(40), true);
    EXPECT_EQ(away.end(at(42)), seconds(2));
    const AwayTotals all = away.totals(at(50));
    EXPECT_EQ(all.count, 2U);
    EXPECT_EQ(all.total, seconds(7));
    EXPECT_EQ(all.longest, seconds(5));
}

// To be loaded takes long, and took nothing from anybody.
TEST(AwayTime, BeforeTheFirstOneIsNotTheLongest) {
    AwayTime away;
    away.begin(at(0), false);
    EXPECT_EQ(away.totals(at(4)).longest, nanoseconds(0));
    EXPECT_EQ(away.end(at(5)), seconds(5));
    away.begin(at(7), true);
    (void)away.end(at(8));
    EXPECT_EQ(away.totals(at(9)).total, seconds(6));
    EXPECT_EQ(away.totals(at(9)).longest, seconds(1));
}

} // namespace
} // namespace scxhost
