// SPDX-License-Identifier: GPL-2.0-only
//
// The layout of what crosses between host and plugin, frozen: a version's table never changes. What a version adds gets
// a table of its own, and may only follow what was there. A difference does not compile.
#include <cstddef>
#include <cstdint>

// The headers of 1.0, as they were, beside today's.
namespace contract_1_0 {
#include "tests/plugins/contract_1_0/scxhost/plugin.h"
} // namespace contract_1_0
static_assert(SCXHOST_CONTRACT_MAJOR == 1 && SCXHOST_CONTRACT_MINOR == 0);
#undef SCXHOST_CONTRACT_MAJOR
#undef SCXHOST_CONTRACT_MINOR
#undef SCXHOST_INFO_MAGIC
#undef SCXHOST_INFO_SECTION
#undef SCXHOST_OBJECT_SECTION
#undef SCXHOST_PLUGIN_ENTRY
#undef SCXHOST_NAME_MAX
#undef SCXHOST_VERSION_MAX
#undef SCXHOST_SUMMARY_MAX
#include <scxhost/plugin.h>

#include <gtest/gtest.h>

namespace {

// What stands at which place of which size.
#define PLACE(type, member, offset, size)                                                                              \
    static_assert(offsetof(type, member) == (offset), "another place for " #type "::" #member);                        \
    static_assert(sizeof(type::member) == (size), "another size of " #type "::" #member)
#define SIZE(type, size) static_assert(sizeof(type) == (size), "another size of " #type)

// 1.0, in the headers of `in`.
#define LAYOUT_1_0(in)                                                                                                 \
    PLACE(in::scxhost_plugin_info, magic, 0, 8);                                                                       \
    PLACE(in::scxhost_plugin_info, size, 8, 4);                                                                        \
    PLACE(in::scxhost_plugin_info, contract_major, 12, 2);                                                             \
    PLACE(in::scxhost_plugin_info, contract_minor, 14, 2);                                                             \
    PLACE(in::scxhost_plugin_info, name, 16, 64);                                                                      \
    PLACE(in::scxhost_plugin_info, version, 80, 32);                                                                   \
    PLACE(in::scxhost_plugin_info, summary, 112, 160);                                                                 \
    PLACE(in::scxhost_plugin_info, struct_ops, 272, 64);                                                               \
    PLACE(in::scxhost_plugin_info, capabilities, 336, 8);                                                              \
                                                                                                                       \
    PLACE(in::scxhost_variable, size, 0, 4);                                                                           \
    PLACE(in::scxhost_variable, writable, 4, 4);                                                                       \
    PLACE(in::scxhost_variable, data, 8, 8);                                                                           \
    PLACE(in::scxhost_variable, bytes, 16, 8);                                                                         \
                                                                                                                       \
    PLACE(in::scxhost_map, size, 0, 4);                                                                                \
    PLACE(in::scxhost_map, fd, 4, 4);                                                                                  \
    PLACE(in::scxhost_map, type, 8, 4);                                                                                \
    PLACE(in::scxhost_map, key_size, 12, 4);                                                                           \
    PLACE(in::scxhost_map, value_size, 16, 4);                                                                         \
    PLACE(in::scxhost_map, max_entries, 20, 4);                                                                        \
                                                                                                                       \
    PLACE(in::scxhost_host, size, 0, 4);                                                                               \
    PLACE(in::scxhost_host, contract_major, 4, 2);                                                                     \
    PLACE(in::scxhost_host, contract_minor, 6, 2);                                                                     \
    PLACE(in::scxhost_host, context, 8, 8);                                                                            \
    PLACE(in::scxhost_host, log, 16, 8);                                                                               \
    PLACE(in::scxhost_host, report_error, 24, 8);                                                                      \
    PLACE(in::scxhost_host, find_variable, 32, 8);                                                                     \
    PLACE(in::scxhost_host, find_map, 40, 8);                                                                          \
                                                                                                                       \
    PLACE(in::scxhost_plugin_callbacks, size, 0, 4);                                                                   \
    PLACE(in::scxhost_plugin_callbacks, reserved, 4, 4);                                                               \
    PLACE(in::scxhost_plugin_callbacks, create, 8, 8);                                                                 \
    PLACE(in::scxhost_plugin_callbacks, destroy, 16, 8);                                                               \
    PLACE(in::scxhost_plugin_callbacks, configure, 24, 8);                                                             \
    PLACE(in::scxhost_plugin_callbacks, loaded, 32, 8);                                                                \
    PLACE(in::scxhost_plugin_callbacks, attached, 40, 8);                                                              \
    PLACE(in::scxhost_plugin_callbacks, tick, 48, 8);                                                                  \
    PLACE(in::scxhost_plugin_callbacks, detaching, 56, 8);                                                             \
                                                                                                                       \
    PLACE(in::scxhost_plugin_descriptor, size, 0, 4);                                                                  \
    PLACE(in::scxhost_plugin_descriptor, reserved, 4, 4);                                                              \
    PLACE(in::scxhost_plugin_descriptor, info, 8, 8);                                                                  \
    PLACE(in::scxhost_plugin_descriptor, object, 16, 8);                                                               \
    PLACE(in::scxhost_plugin_descriptor, object_bytes, 24, 8);                                                         \
    PLACE(in::scxhost_plugin_descriptor, callbacks, 32, 8);                                                            \
                                                                                                                       \
    static_assert(in::SCXHOST_LOG_DEBUG == 0 && in::SCXHOST_LOG_INFO == 1 && in::SCXHOST_LOG_WARNING == 2 &&           \
                  in::SCXHOST_LOG_ERROR == 3)

LAYOUT_1_0(contract_1_0);
LAYOUT_1_0(); // today's structs still begin with it

SIZE(contract_1_0::scxhost_plugin_info, 344);
SIZE(contract_1_0::scxhost_variable, 24);
SIZE(contract_1_0::scxhost_map, 24);
SIZE(contract_1_0::scxhost_host, 48);
SIZE(contract_1_0::scxhost_plugin_callbacks, 64);
SIZE(contract_1_0::scxhost_plugin_descriptor, 40);

// 1.1
PLACE(scxhost_host, add_statistic, 48, 8);
PLACE(scxhost_host, set_statistic, 56, 8);
PLACE(scxhost_host, watch_events, 64, 8);
PLACE(scxhost_host, run_program, 72, 8);
PLACE(scxhost_host, resize, 80, 8);
PLACE(scxhost_host, set_flag, 88, 8);
PLACE(scxhost_statistic, size, 0, 4);
PLACE(scxhost_statistic, kind, 4, 4);
PLACE(scxhost_statistic, name, 8, 8);
PLACE(scxhost_statistic, help, 16, 8);
PLACE(scxhost_statistic, unit, 24, 8);
PLACE(scxhost_statistic, group, 32, 8);
static_assert(SCXHOST_COUNTER == 0 && SCXHOST_GAUGE == 1);

SIZE(scxhost_plugin_info, 344);
SIZE(scxhost_variable, 24);
SIZE(scxhost_map, 24);
SIZE(scxhost_host, 96);
SIZE(scxhost_plugin_callbacks, 64);
SIZE(scxhost_plugin_descriptor, 40);
SIZE(scxhost_statistic, 40);
static_assert(SCXHOST_STATISTICS_MAX == 256);

TEST(ContractLayout, TodaysVersionHasItsTable) {
    EXPECT_EQ(SCXHOST_CONTRACT_MAJOR, 1);
    EXPECT_EQ(SCXHOST_CONTRACT_MINOR, 1) << "a new version: write down its layout above";
    EXPECT_STREQ(SCXHOST_INFO_MAGIC, "SCXHOST");
    EXPECT_STREQ(SCXHOST_INFO_SECTION, ".scxhost.info");
    EXPECT_STREQ(SCXHOST_OBJECT_SECTION, ".scxhost.object");
    EXPECT_STREQ(SCXHOST_PLUGIN_ENTRY, "scxhost_plugin");
}

} // namespace
