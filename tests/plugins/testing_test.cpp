// SPDX-License-Identifier: GPL-2.0-only
//
// The testing kit of the SDK, as the tests of a plugin use it.
#include "tests/plugins/journal.hpp"
#include "tests/plugins/zoo.hpp"
#include <scxhost/testing.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace scxhost {
namespace {

using scxhost::testing::Failure;
using scxhost::testing::Scheduler;
using ::testing::Contains;
using ::testing::HasSubstr;

// What `action` fails with.
std::string failure_of(const std::function<void()>& action) {
    try {
        action();
    } catch (const Failure& failure) {
        return failure.what();
    }
    return "it succeeded";
}

TEST(TestingKit, APluginAndItsOptions) {
    const std::string good = SCXHOST_ZOO_DIR "/good.so";
    Scheduler scheduler(good, {"slice=5ms", "title=Zoo"});
    EXPECT_EQ(scheduler.name(), "good");
    EXPECT_EQ(scheduler.option("slice"), "\"5ms\"");
    EXPECT_EQ(scheduler.get<std::uint64_t>("slice_ns"), 5'000'000U);
    EXPECT_FALSE(scheduler.options().empty());
    scheduler.set<std::uint64_t>("slice_ns", 7);
    EXPECT_EQ(scheduler.get<std::uint64_t>("slice_ns"), 7U);
    scheduler.configure();

    Scheduler moved = std::move(scheduler);
    EXPECT_EQ(moved.name(), "good");
}

TEST(TestingKit, AnObject) {
    const Scheduler scheduler(SCXHOST_PLUGINS_DIR "/simple.bpf.o");
    EXPECT_EQ(scheduler.name(), "simple");
    EXPECT_THAT(scheduler.statistics(), Contains("queued"));
}

TEST(TestingKit, FailuresSayWhatTheHostWould) {
    const std::string good = SCXHOST_ZOO_DIR "/good.so";
    EXPECT_THAT(failure_of([&] { Scheduler(good, {"slice=1h"}); }), HasSubstr("out of range"));
    EXPECT_THAT(failure_of([&] { Scheduler(good, {"slise=1ms"}); }), HasSubstr("did you mean \"slice\"?"));
    EXPECT_THAT(failure_of([&] { Scheduler("/no/such.so"); }), HasSubstr("/no/such.so"));
    Scheduler scheduler(good);
    EXPECT_THAT(failure_of([&] { (void)scheduler.get<std::uint32_t>("slice_ns"); }), HasSubstr("has 8 bytes"));
    EXPECT_THAT(failure_of([&] { (void)scheduler.get<std::uint32_t>("none"); }), HasSubstr("no global variable none"));
    EXPECT_THAT(failure_of([&] { (void)scheduler.option("none"); }), HasSubstr("no option none"));
    EXPECT_THAT(failure_of([&] { scheduler.load(); }), HasSubstr("SEC(\"syscall\")"));
    EXPECT_THAT(failure_of([&] { scheduler.run("any"); }), HasSubstr("load() first"));
}

} // namespace
} // namespace scxhost
