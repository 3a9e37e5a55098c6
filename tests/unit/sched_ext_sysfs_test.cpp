// SPDX-License-Identifier: GPL-2.0-only
//
// SchedExtSysfs on a tree of ordinary files that look like the kernel's.
#include "host/kernel/sched_ext_sysfs.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>

namespace scxhost {
namespace {

class SchedExtSysfsTest : public testing::Test {
protected:
    void write(const std::string& file, const std::string& text) const { dir_.write(file, text); }

    // As on a kernel that runs its own scheduler.
    void write_idle_tree() const {
        write("state", "disabled\n");
        write("enable_seq", "0\n");
        write("nr_rejected", "0\n");
        write("hotplug_seq", "0\n");
        write("switch_all", "0\n");
    }

    TempDir dir_;
};

TEST_F(SchedExtSysfsTest, KernelWithoutSchedExtIsUnsupported) {
    const SchedExtSysfs sysfs(dir_.path() / "absent");
    EXPECT_FALSE(sysfs.present());
    const auto status = sysfs.snapshot();
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().kind, ErrorKind::kUnsupported);
    EXPECT_NE(status.error().hint.find("CONFIG_SCHED_CLASS_EXT"), std::string::npos);
}

TEST_F(SchedExtSysfsTest, IdleKernelHasNoScheduler) {
    write_idle_tree();
    const SchedExtSysfs sysfs(dir_.path());
    EXPECT_TRUE(sysfs.present());
    const auto status = sysfs.snapshot();
    ASSERT_TRUE(status);
    EXPECT_EQ(status->state, SchedExtState::kDisabled);
    EXPECT_EQ(status->ops, std::nullopt);
    EXPECT_FALSE(status->switch_all);
    EXPECT_TRUE(status->events.empty());
}

TEST_F(SchedExtSysfsTest, RunningSchedulerIsReadWhole) {
    write("state", "enabled\n");
    write("enable_seq", "18446744073709551615\n");
    write("nr_rejected", "3\n");
    write("hotplug_seq", "7\n");
    write("switch_all", "1\n");
    write("root/ops", "qmap_1a2b\n");
    write("root/events", "SCX_EV_SELECT_CPU_FALLBACK 0\nSCX_EV_BYPASS_DURATION 17123456789\nodd line\n\nSCX_EV_X -1\n");
    const auto status = SchedExtSysfs(dir_.path()).snapshot();
    ASSERT_TRUE(status);
    EXPECT_EQ(status->state, SchedExtState::kEnabled);
    EXPECT_EQ(status->ops, "qmap_1a2b");
    EXPECT_EQ(status->enable_seq, 18446744073709551615U);
    EXPECT_EQ(status->nr_rejected, 3U);
    EXPECT_EQ(status->hotplug_seq, 7U);
    EXPECT_TRUE(status->switch_all);
    const SchedExtEvents expected = {
        {"SCX_EV_SELECT_CPU_FALLBACK", 0}, {"SCX_EV_BYPASS_DURATION", 17123456789}, {"SCX_EV_X", -1}};
    EXPECT_EQ(status->events, expected);
}

TEST_F(SchedExtSysfsTest, StatesAreTheKernelsWords) {
    const struct {
        const char* text;
        SchedExtState state;
    } cases[] = {{"enabling", SchedExtState::kEnabling},   {"enabled", SchedExtState::kEnabled},
                 {"disabling", SchedExtState::kDisabling}, {"disabled", SchedExtState::kDisabled},
                 {"paused", SchedExtState::kUnknown},      {"", SchedExtState::kUnknown}};
    for (const auto& [text, state] : cases) {
        SCOPED_TRACE(text);
        write_idle_tree();
        write("state", std::string(text) + "\n");
        const auto status = SchedExtSysfs(dir_.path()).snapshot();
        ASSERT_TRUE(status);
        EXPECT_EQ(status->state, state);
        EXPECT_EQ(status->state_text, text);
        EXPECT_EQ(to_string(status->state), state == SchedExtState::kUnknown ? "unknown" : text);
    }
}

TEST_F(SchedExtSysfsTest, GarbageWhereANumberBelongsIsAnError) {
    for (const char* text : {"", "many", "12x", "-1", " 1"}) {
        SCOPED_TRACE(text);
        write_idle_tree();
        write("enable_seq", std::string(text) + "\n");
        const auto status = SchedExtSysfs(dir_.path()).snapshot();
        ASSERT_FALSE(status);
        EXPECT_EQ(status.error().kind, ErrorKind::kIo);
        EXPECT_NE(status.error().what.find("enable_seq"), std::string::npos);
    }
}

TEST_F(SchedExtSysfsTest, ProbeFindsSubSchedulersByTheirCgroupAtAnyDepth) {
    write_idle_tree();
    write("state", "enabled\n");
    write("enable_seq", "5\n");
    write("root/ops", "root_1\n");
    write("root/sub/sub-42/ops", "child_2\n");
    write("root/sub/sub-42/sub/sub-4/ops", "grandchild_3\n");
    const auto probe = SchedExtProbe::open(dir_.path());
    ASSERT_TRUE(probe);
    EXPECT_EQ(probe->read().ops_name(), "root_1");
    EXPECT_EQ(probe->read(42).ops_name(), "child_2");
    EXPECT_EQ(probe->read(4).ops_name(), "grandchild_3");
    EXPECT_EQ(probe->read(2).ops_name(), "");
    EXPECT_EQ(probe->read(42).state, SchedExtState::kEnabled);
    EXPECT_EQ(probe->read(42).enable_seq, 5U);
}

TEST_F(SchedExtSysfsTest, EachSchedulerHasItsOwnEvents) {
    write_idle_tree();
    const SchedExtSysfs sysfs(dir_.path());
    EXPECT_TRUE(sysfs.events().empty());
    EXPECT_TRUE(sysfs.events(42).empty());
    write("root/events", "SCX_EV_X 1\n");
    write("root/sub/sub-42/events", "SCX_EV_X 2\n");
    write("root/sub/sub-42/sub/sub-4/events", "SCX_EV_X 3\n");
    write("root/sub/sub-7/ops", "one that tells none\n");
    EXPECT_EQ(sysfs.events(), (SchedExtEvents{{"SCX_EV_X", 1}}));
    EXPECT_EQ(sysfs.events(42), (SchedExtEvents{{"SCX_EV_X", 2}}));
    EXPECT_EQ(sysfs.events(4), (SchedExtEvents{{"SCX_EV_X", 3}}));
    EXPECT_TRUE(sysfs.events(7).empty());
    EXPECT_TRUE(sysfs.events(2).empty());
}

TEST_F(SchedExtSysfsTest, CapabilitiesOfASubScheduler) {
    write_idle_tree();
    const SchedExtSysfs sysfs(dir_.path());
    EXPECT_TRUE(sysfs.caps(42).empty());
    write("root/sub/sub-42/caps", "enq_immed: \nenq: 0-1,3\nodd line\npreempt:\nperf: 2\n");
    EXPECT_EQ(sysfs.caps(42), (SchedExtCaps{{"enq_immed", ""}, {"enq", "0-1,3"}, {"preempt", ""}, {"perf", "2"}}));
    EXPECT_TRUE(sysfs.caps(4).empty());
}

TEST_F(SchedExtSysfsTest, ProbeFindsNoSubSchedulersWhereThereAreNone) {
    write_idle_tree();
    const auto probe = SchedExtProbe::open(dir_.path());
    ASSERT_TRUE(probe);
    EXPECT_EQ(probe->read(42).ops_name(), "");
    EXPECT_EQ(probe->read(42).state, SchedExtState::kDisabled);
}

} // namespace
} // namespace scxhost
