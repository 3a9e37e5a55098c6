// SPDX-License-Identifier: GPL-2.0-only
//
// What is made of the tracer's counts; that it counts is tested in a guest (tests/vm/compare_test.cpp).
#include "host/measure/wakeup_tracer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string_view>

namespace scxhost {
namespace {

double figure(const std::vector<Figure>& figures, std::string_view name) {
    const auto found = std::ranges::find(figures, name, &Figure::name);
    EXPECT_NE(found, figures.end()) << name;
    return found == figures.end() ? -1 : found->value;
}

TEST(WakeupTracer, BucketsAreASixteenthWideAndWithoutGaps) {
    EXPECT_EQ(largest_delay_of(0), 0U);
    EXPECT_EQ(largest_delay_of(15), 15U);
    EXPECT_EQ(largest_delay_of(16), 16U);
    EXPECT_EQ(largest_delay_of(31), 31U);
    EXPECT_EQ(largest_delay_of(32), 33U) << "32 and 33";
    for (std::size_t bucket = 16; bucket + 1 < WAKEUPS_BUCKETS; ++bucket) {
        const std::uint64_t below = largest_delay_of(bucket);
        const std::uint64_t width = largest_delay_of(bucket + 1) - below;
        EXPECT_GT(width, 0U);
        EXPECT_LE(width * 16, below + 1) << bucket;
    }
    EXPECT_EQ(largest_delay_of(WAKEUPS_BUCKETS - 1), (std::uint64_t{1} << WAKEUPS_MAX_BITS) - 1);
}

TEST(WakeupTracer, FiguresAreOfWhatCameBetween) {
    WakeupCounts before;
    before.delays[400] = 1000; // long ago
    before.lengths_ns[9] = 1'000'000;
    before.migrations = 5;
    WakeupCounts after = before;
    after.delays[20] += 98; // 20 ns
    after.delays[100] += 2;
    after.lengths_ns[0] += 50;
    after.lengths_ns[4] += 50;
    after.migrations += 3;
    const std::vector<Figure> figures = figures_between(before, after);
    EXPECT_DOUBLE_EQ(figure(figures, "wake-up delay, p50"), static_cast<double>(largest_delay_of(20)) / 1e6);
    EXPECT_DOUBLE_EQ(figure(figures, "wake-up delay, p99"), static_cast<double>(largest_delay_of(100)) / 1e6);
    EXPECT_DOUBLE_EQ(figure(figures, "wake-up delay, worst"), static_cast<double>(largest_delay_of(100)) / 1e6);
    EXPECT_DOUBLE_EQ(figure(figures, "run queue, mean"), 2);
    EXPECT_DOUBLE_EQ(figure(figures, "run queue, p99"), 4);
    EXPECT_DOUBLE_EQ(figure(figures, "migrations"), 3);
    EXPECT_DOUBLE_EQ(figure(figures_between(after, after), "wake-up delay, p99"), 0) << "nothing woke up";
}

} // namespace
} // namespace scxhost
