// SPDX-License-Identifier: GPL-2.0-only
#include "host/measure/samples.hpp"

#include <gtest/gtest.h>

namespace scxhost {
namespace {

TEST(Samples, Percentiles) {
    EXPECT_EQ(percentile({}, 0.5), 0);
    EXPECT_EQ(percentile({7}, 0.01), 7);
    EXPECT_EQ(percentile({50, 15, 40, 20, 35}, 0.30), 20) << "nearest rank, the usual example";
    EXPECT_EQ(percentile({50, 15, 40, 20, 35}, 0.40), 20);
    EXPECT_EQ(percentile({50, 15, 40, 20, 35}, 0.5), 35);
    EXPECT_EQ(percentile({50, 15, 40, 20, 35}, 1), 50);
    EXPECT_EQ(percentile({50, 15, 40, 20, 35}, 0), 15);
}

// R: quantile(c(1, 2, 3, 4)), quantile(c(6, 7, 15, 36, 39, 40, 41, 42, 43, 47, 49))
TEST(Samples, QuartilesAreThoseOfR) {
    const Spread even = spread_of({4, 1, 3, 2});
    EXPECT_DOUBLE_EQ(even.lower, 1.75);
    EXPECT_DOUBLE_EQ(even.median, 2.5);
    EXPECT_DOUBLE_EQ(even.upper, 3.25);
    const Spread odd = spread_of({6, 7, 15, 36, 39, 40, 41, 42, 43, 47, 49});
    EXPECT_DOUBLE_EQ(odd.lower, 25.5);
    EXPECT_DOUBLE_EQ(odd.median, 40);
    EXPECT_DOUBLE_EQ(odd.upper, 42.5);
    EXPECT_EQ(spread_of({}).median, 0);
}

// Mann and Whitney (1947), table I: P(U <= u) for one side; twice that for both. The tables of critical values for
// 0.05, two-sided, say the same: 0 for 4 and 4, 2 for 5 and 5, 5 for 6 and 6, and none for 3 and 3.
TEST(MannWhitney, IsThatOfTheTables) {
    const Samples low3 = {1, 2, 3};
    const Samples high3 = {4, 5, 6};
    EXPECT_NEAR(mann_whitney_p(low3, high3), 0.100, 0.0005);
    EXPECT_NEAR(mann_whitney_p(high3, low3), 0.100, 0.0005) << "the same from either side";
    EXPECT_NEAR(mann_whitney_p(Samples{1, 2, 3, 4}, Samples{5, 6, 7, 8}), 2.0 / 70, 1e-12);
    EXPECT_NEAR(mann_whitney_p(Samples{1, 2, 3, 4, 5}, Samples{6, 7, 8, 9, 10}), 2.0 / 252, 1e-12);
    // U = 2 is significant, U = 3 is not.
    EXPECT_NEAR(mann_whitney_p(Samples{1, 2, 3, 4, 7}, Samples{5, 6, 8, 9, 10}), 8.0 / 252, 1e-12);
    EXPECT_NEAR(mann_whitney_p(Samples{1, 2, 3, 4, 8}, Samples{5, 6, 7, 9, 10}), 14.0 / 252, 1e-12);
    // 6 and 6, U = 5: 0.041.
    EXPECT_NEAR(mann_whitney_p(Samples{1, 2, 3, 4, 5, 11}, Samples{6, 7, 8, 9, 10, 12}), 0.0411, 0.0005);
}

TEST(MannWhitney, EqualSamplesShareTheirRanks) {
    EXPECT_DOUBLE_EQ(mann_whitney_p(Samples{5, 5, 5, 5}, Samples{5, 5, 5, 5}), 1);
    // Of the 6 ways to choose two of {1, 2, 2, 3}: the ranks 1, 2.5, 2.5, 4 have the mean 5 for two; {1, 2} and {2, 3}
    // are 1.5 away, as are four of the six; {1, 3} and {2, 2} are in the middle.
    EXPECT_NEAR(mann_whitney_p(Samples{1, 2}, Samples{2, 3}), 4.0 / 6, 1e-12);
    EXPECT_EQ(mann_whitney_p({}, Samples{1}), 1);
}

TEST(MannWhitney, FewSamplesSayNothing) {
    EXPECT_GE(least_mann_whitney_p(3, 3), kSignificance);
    EXPECT_LT(least_mann_whitney_p(4, 4), kSignificance);
    EXPECT_LT(least_mann_whitney_p(50, 50), 1e-20) << "as many as may be, and in a moment";
}

} // namespace
} // namespace scxhost
