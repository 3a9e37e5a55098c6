// SPDX-License-Identifier: GPL-2.0-only
//
// The part of the SDK's testing kit that needs BPF: a policy's own functions run in the kernel, with options set, and
// no scheduler attached.
#include <scxhost/testing.hpp>

#include <gtest/gtest.h>

#include <cstdint>

namespace scxhost {
namespace {

struct VtimeTest {
    std::uint64_t now;
    std::uint64_t fifo;
};

TEST(TestingKitVm, ProgramsRunWithOptions) {
    testing::Scheduler scheduler("/root/runnable.bpf.o", {"slice=7ms", "fifo=true"});
    scheduler.load();
    VtimeTest test{.now = 5, .fifo = 0};
    EXPECT_EQ(scheduler.run("test_vtime", test), 1U);
    EXPECT_EQ(test.now, 7'000'000U);
    EXPECT_EQ(test.fifo, 1U);
    EXPECT_EQ(scheduler.get<std::uint64_t>("vtime_now"), 5U) << "live memory";
    EXPECT_EQ(scheduler.get<std::uint64_t>("calls"), 1U);
    scheduler.set<std::uint64_t>("vtime_now", 100);
    EXPECT_EQ(scheduler.get<std::uint64_t>("vtime_now"), 100U);
    test.now = 50;
    EXPECT_EQ(scheduler.run("test_vtime", test), 0U);
    EXPECT_THROW(scheduler.run("simple_enqueue", test), testing::Failure) << "no program of that kind";
}

} // namespace
} // namespace scxhost
