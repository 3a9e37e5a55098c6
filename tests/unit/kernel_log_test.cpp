// SPDX-License-Identifier: GPL-2.0-only
#include "host/kernel/kernel_log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace scxhost {
namespace {

TEST(KernelLog, RecordsBecomeLinesOfDmesg) {
    const struct {
        const char* record;
        const char* line; // nullptr: none
    } cases[] = {
        {"6,339,5140900,-;NET: Registered protocol family\n SUBSYSTEM=net\n DEVICE=+x:y\n",
         "[    5.140900] NET: Registered protocol family\n"},
        {"3,1,0,c,caller=T1;first", "[    0.000000] first\n"},
        {"4,2,123456789012,-;a;b,c\n", "[123456.789012] a;b,c\n"},
        {"4,2,1,-;\n", "[    0.000001] \n"},
        {"", nullptr},
        {";", nullptr},
        {"no head at all", nullptr},
        {"6,339;text", nullptr},
        {"6,339,-1,-;text", nullptr},
        {"6,x,1,-;text", nullptr},
        {",339,1,-;text", nullptr},
        {"6,339,99999999999999999999999,-;text", nullptr},
    };
    for (const auto& test : cases) {
        const auto record = parse_kernel_log_record(test.record);
        EXPECT_EQ(record.has_value(), test.line != nullptr) << test.record;
        if (record && test.line != nullptr) {
            EXPECT_EQ(to_line(*record), test.line);
        }
    }
}

TEST(KernelLog, TheLevelIsWithoutTheFacility) {
    EXPECT_EQ(parse_kernel_log_record("3,1,0,-;x").value().level, 3);
    EXPECT_EQ(parse_kernel_log_record("12,1,0,-;x").value().level, 4);
}

TEST(KernelLog, TheTailIsBoundedAndWhole) {
    constexpr std::size_t kMax = 2000;
    const auto tail = kernel_log_tail(kMax);
    if (!tail) {
        EXPECT_GT(tail.error().sys_errno, 0);
        GTEST_SKIP() << tail.error().what;
    }
    EXPECT_LE(tail->size(), kMax);
    EXPECT_TRUE(tail->empty() || (tail->front() == '[' && tail->back() == '\n')) << *tail;
    EXPECT_EQ(kernel_log_tail(0).value(), "");
}

std::string reason(const std::vector<std::string_view>& lines, int level = 3) {
    SchedExtReason collected("simple_2f39a713");
    for (const std::string_view line : lines)
        collected.add({.level = level, .since_boot = {}, .text = line});
    return collected.text();
}

TEST(SchedExtReason, WhatTheKernelSaidAboutThisScheduler) {
    const struct {
        const char* description;
        std::vector<std::string_view> lines;
        const char* reason;
    } cases[] = {
        {"nothing", {}, ""},
        {"a message goes before the reason",
         {"sched_ext: BPF scheduler \"simple_2f39a713\" disabled (runtime error)",
          "sched_ext: simple_2f39a713: SCX_OPS_ENQ_LAST requires ops.enqueue() to be implemented",
          "   scx_enable+0x1c/0x20"},
         "SCX_OPS_ENQ_LAST requires ops.enqueue() to be implemented"},
        {"a reason alone",
         {"sched_ext: BPF scheduler \"simple_2f39a713\" disabled (runnable task stall)"},
         "runnable task stall"},
        {"refused before it has a name",
         {"sched_ext: Not compatible with \"isolcpus=\" domain isolation"},
         "Not compatible with \"isolcpus=\" domain isolation"},
        {"the first of several", {"sched_ext: simple_2f39a713: one", "sched_ext: simple_2f39a713: two"}, "one"},
        {"somebody else's",
         {"sched_ext: BPF scheduler \"qmap_1\" disabled (runtime error)", "sched_ext: qmap_1: bad",
          "sched_ext: simple_2f39a7133: another build"},
         ""},
        {"another part of the kernel", {"BPF: sched_ext: no", "usb 1-1: simple_2f39a713: no"}, ""},
    };
    for (const auto& test : cases)
        EXPECT_EQ(reason(test.lines), test.reason) << test.description;
}

TEST(SchedExtReason, OnlyErrors) {
    EXPECT_EQ(reason({"sched_ext: simple_2f39a713: deprecated"}, 4), "");
}

} // namespace
} // namespace scxhost
