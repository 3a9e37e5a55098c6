// SPDX-License-Identifier: GPL-2.0-only
//
// The parser of kernel events; the socket itself is tested in a guest (tests/vm/kernel_test.cpp).
#include "host/kernel/uevent_monitor.hpp"

#include <gtest/gtest.h>

#include <initializer_list>

namespace scxhost {
namespace {

using Action = SchedExtUevent::Action;

std::string message(std::initializer_list<const char*> fields) {
    std::string bytes;
    for (const char* field : fields)
        bytes.append(field).push_back('\0');
    return bytes;
}

TEST(ParseSchedExtUevent, RootSchedulerAdded) {
    const auto event =
        parse_sched_ext_uevent(message({"add@/kernel/sched_ext/root", "ACTION=add", "DEVPATH=/kernel/sched_ext/root",
                                        "SUBSYSTEM=sched_ext", "SCXOPS=simple_0123", "SEQNUM=1187"}));
    ASSERT_TRUE(event);
    EXPECT_EQ(event->action, Action::kAdded);
    EXPECT_EQ(event->ops, "simple_0123");
    EXPECT_EQ(event->seqnum, 1187U);
    EXPECT_TRUE(event->is_root());
}

TEST(ParseSchedExtUevent, RootSchedulerRemoved) {
    const auto event = parse_sched_ext_uevent(message(
        {"remove@/kernel/sched_ext/root", "ACTION=remove", "DEVPATH=/kernel/sched_ext/root", "SCXOPS=q", "SEQNUM=2"}));
    ASSERT_TRUE(event);
    EXPECT_EQ(event->action, Action::kRemoved);
    EXPECT_TRUE(event->is_root());
}

TEST(ParseSchedExtUevent, NameThatTheKernelHasForgotten) {
    const auto event =
        parse_sched_ext_uevent(message({"remove@/kernel/sched_ext/root", "ACTION=remove",
                                        "DEVPATH=/kernel/sched_ext/root", "SCXOPS=(efault)", "SEQNUM=2"}));
    ASSERT_TRUE(event);
    EXPECT_EQ(event->action, Action::kRemoved);
    EXPECT_EQ(event->ops, "");
    EXPECT_TRUE(event->is_root());
}

TEST(ParseSchedExtUevent, SubSchedulerIsNotRoot) {
    const auto event =
        parse_sched_ext_uevent(message({"add@/kernel/sched_ext/root/sub/sub-42", "ACTION=add",
                                        "DEVPATH=/kernel/sched_ext/root/sub/sub-42", "SCXOPS=child", "SEQNUM=3"}));
    ASSERT_TRUE(event);
    EXPECT_FALSE(event->is_root());
    EXPECT_EQ(event->devpath, "/kernel/sched_ext/root/sub/sub-42");
}

TEST(CpuHotplugUevent, IsThatOfACpu) {
    EXPECT_TRUE(is_cpu_hotplug_uevent(message({"online@/devices/system/cpu/cpu3", "ACTION=online"})));
    EXPECT_TRUE(is_cpu_hotplug_uevent(message({"offline@/devices/system/cpu/cpu12", "ACTION=offline"})));
    EXPECT_FALSE(is_cpu_hotplug_uevent(message({"change@/devices/system/cpu/cpu3", "ACTION=change"})));
    EXPECT_FALSE(is_cpu_hotplug_uevent(message({"online@/devices/system/memory/memory3", "ACTION=online"})));
    EXPECT_FALSE(is_cpu_hotplug_uevent({}));
}

TEST(ParseSchedExtUevent, WithoutTheFinalZeroByte) {
    std::string bytes =
        message({"add@/kernel/sched_ext/root", "ACTION=add", "DEVPATH=/kernel/sched_ext/root", "SCXOPS=a"});
    bytes.pop_back();
    const auto event = parse_sched_ext_uevent(bytes);
    ASSERT_TRUE(event);
    EXPECT_EQ(event->ops, "a");
}

TEST(ParseSchedExtUevent, OtherMessagesAreLeftOut) {
    const struct {
        const char* description;
        std::string bytes;
    } cases[] = {
        {"empty", ""},
        {"only zero bytes", std::string(16, '\0')},
        {"another subsystem", message({"add@/devices/x", "ACTION=add", "DEVPATH=/devices/x", "SCXOPS=no"})},
        {"folder with a longer name",
         message({"add@/kernel/sched_ext_x", "ACTION=add", "DEVPATH=/kernel/sched_ext_x", "SCXOPS=no"})},
        {"the sched_ext folder itself",
         message({"add@/kernel/sched_ext", "ACTION=add", "DEVPATH=/kernel/sched_ext", "SEQNUM=5"})},
        {"no scheduler's name",
         message({"add@/kernel/sched_ext/root/sub", "ACTION=add", "DEVPATH=/kernel/sched_ext/root/sub"})},
        {"another action",
         message({"change@/kernel/sched_ext/root", "ACTION=change", "DEVPATH=/kernel/sched_ext/root", "SCXOPS=no"})},
        {"a device manager's own message", std::string("libudev\0\xfe\xed\xca\xfe", 12)},
    };
    for (const auto& [description, bytes] : cases) {
        SCOPED_TRACE(description);
        EXPECT_FALSE(parse_sched_ext_uevent(bytes));
    }
}

TEST(ParseSchedExtUevent, EveryPrefixOfAMessageIsSafe) {
    const std::string bytes = message({"add@/kernel/sched_ext/root", "ACTION=add", "DEVPATH=/kernel/sched_ext/root",
                                       "SCXOPS=simple", "SEQNUM=99999999999999999999999"});
    for (std::size_t size = 0; size <= bytes.size(); ++size) {
        const auto event = parse_sched_ext_uevent(std::string_view(bytes).substr(0, size));
        EXPECT_TRUE(!event || std::string_view("simple").starts_with(event->ops));
    }
}

} // namespace
} // namespace scxhost
