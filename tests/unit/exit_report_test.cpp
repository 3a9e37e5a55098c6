// SPDX-License-Identifier: GPL-2.0-only
#include "host/bpf/exit_report.hpp"

#include <gtest/gtest.h>

namespace scxhost {
namespace {

ExitReport report(std::uint32_t kind, std::int64_t code = 0) {
    ExitReport result;
    result.kind = kind;
    result.exit_code = code;
    return result;
}

TEST(ExitReport, KindsHaveTheKernelsNames) {
    EXPECT_EQ(report(0).kind_name(), "NONE");
    EXPECT_EQ(report(64).kind_name(), "UNREG");
    EXPECT_EQ(report(66).kind_name(), "UNREG_KERN");
    EXPECT_EQ(report(67).kind_name(), "SYSRQ");
    EXPECT_EQ(report(68).kind_name(), "PARENT");
    EXPECT_EQ(report(69).kind_name(), "PARENT_KILL");
    EXPECT_EQ(report(1024).kind_name(), "ERROR");
    EXPECT_EQ(report(1026).kind_name(), "ERROR_STALL");
    EXPECT_EQ(report(1027).kind_name(), "ERROR_REENQ");
    EXPECT_EQ(report(1028).kind_name(), "ERROR_RESCUE");
    EXPECT_EQ(report(4711).kind_name(), "kind 4711");
}

TEST(ExitReport, LeavingIsMoreThanBeingDone) {
    EXPECT_FALSE(ExitReport{}.left());
    EXPECT_FALSE(report(1).left());
    EXPECT_TRUE(report(64).left());
    EXPECT_FALSE(report(68).is_error());
    EXPECT_TRUE(report(1024).is_error());
    EXPECT_TRUE(report(4711).is_error()) << "a kind that is not known yet, in the range of errors";
}

TEST(ExitReport, CodesAskForARestart) {
    const ExitReport hotplug = report(66, static_cast<std::int64_t>((1ULL << 48U) | (1ULL << 32U)));
    EXPECT_TRUE(hotplug.asks_for_restart());
    EXPECT_TRUE(hotplug.is_hotplug());
    const ExitReport own = report(65, 42);
    EXPECT_FALSE(own.asks_for_restart());
    EXPECT_FALSE(own.is_hotplug());
}

} // namespace
} // namespace scxhost
