// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/token_bucket.hpp"

#include <gtest/gtest.h>

namespace scxhost {
namespace {

using namespace std::chrono_literals;

TEST(TokenBucketTest, ABurstAndThenOneAfterTheOther) {
    TokenBucket::Clock::time_point now{};
    TokenBucket bucket(3, 10, now);
    for (int i = 0; i < 3; ++i)
        EXPECT_TRUE(bucket.take(now)) << i;
    EXPECT_FALSE(bucket.take(now));
    now += 99ms;
    EXPECT_FALSE(bucket.take(now));
    now += bucket.wait();
    EXPECT_TRUE(bucket.take(now)) << "what was asked in vain costs nothing";
    EXPECT_FALSE(bucket.take(now));
}

TEST(TokenBucketTest, WhatIsSavedHasALimit) {
    TokenBucket::Clock::time_point now{};
    TokenBucket bucket(2, 1000, now);
    now += 1h;
    EXPECT_TRUE(bucket.take(now));
    EXPECT_TRUE(bucket.take(now));
    EXPECT_FALSE(bucket.take(now));
}

TEST(TokenBucketTest, TheWaitIsAlwaysEnough) {
    TokenBucket::Clock::time_point now{};
    TokenBucket bucket(1, 7, now); // no whole number of nanoseconds
    for (int i = 0; i < 10'000; ++i) {
        ASSERT_TRUE(bucket.take(now)) << i;
        now += bucket.wait();
    }
}

TEST(TokenBucketTest, WhatWasUsedAlreadyIsPaidBack) {
    TokenBucket::Clock::time_point now{};
    TokenBucket bucket(10, 10, now);
    EXPECT_TRUE(bucket.charge(9, now));
    EXPECT_FALSE(bucket.charge(20, now));
    now += 1900ms;
    EXPECT_FALSE(bucket.take(now)) << "19 have come in, 20 are needed for the first one";
    now += bucket.wait();
    EXPECT_TRUE(bucket.take(now));
}

} // namespace
} // namespace scxhost
