// SPDX-License-Identifier: GPL-2.0-only
//
// What follows from links and the kernel's state; the links themselves are tested in a guest.
#include "host/kernel/scheduler_links.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {
namespace {

using Ids = std::vector<std::uint32_t>;

struct Link {
    std::uint32_t id;
    std::string_view ops_name;
    std::uint64_t sub_cgroup = 0;
};

Ids dead(const std::vector<Link>& links, SchedExtState state, std::string_view ops_name) {
    std::vector<SchedulerLink> listed;
    for (const Link& link : links)
        listed.push_back(
            {.id = link.id, .ops_name = std::string(link.ops_name), .sub_cgroup = link.sub_cgroup, .fd = UniqueFd()});
    SchedExtProbe::Reading kernel{.state = state, .enable_seq = 0, .ops = {}};
    std::ranges::copy(ops_name, kernel.ops.begin());
    Ids ids;
    for (const SchedulerLink& link : dead_links(std::move(listed), kernel))
        ids.push_back(link.id);
    return ids;
}

TEST(DeadLinks, AreAllButTheOneThatRuns) {
    const std::vector<Link> links = {{3, "simple"}, {5, "qmap"}, {9, "simple"}, {12, "other"}};
    EXPECT_EQ(dead(links, SchedExtState::kEnabled, "qmap"), (Ids{3, 9, 12}));
    EXPECT_EQ(dead(links, SchedExtState::kEnabled, "simple"), (Ids{3, 5, 12}))
        << "of two with one name the last one runs";
    EXPECT_EQ(dead(links, SchedExtState::kDisabled, ""), (Ids{3, 5, 9, 12}));
    EXPECT_EQ(dead({}, SchedExtState::kDisabled, ""), Ids{});
}

TEST(DeadLinks, NobodyIsTakenForDeadWhileThatIsNotSure) {
    const std::vector<Link> links = {{3, "simple"}, {5, "qmap"}};
    EXPECT_EQ(dead(links, SchedExtState::kEnabling, "qmap"), Ids{});
    EXPECT_EQ(dead(links, SchedExtState::kDisabling, "qmap"), Ids{});
    EXPECT_EQ(dead(links, SchedExtState::kUnknown, "qmap"), Ids{});
    EXPECT_EQ(dead(links, SchedExtState::kEnabled, "attached-after-they-were-listed"), Ids{});
    EXPECT_EQ(dead({{3, "root"}, {5, "below", 77}}, SchedExtState::kEnabled, "root"), Ids{}) << "a sub-scheduler";
}

TEST(LinkOwners, AreNamedWithTheWayToEndThem) {
    const struct {
        LinkOwners owners;
        const char* text;
    } cases[] = {
        {{.pins = {}, .processes = {{345, "scx_x"}}}, "its link 12 is held by scx_x (pid 345): end that first"},
        {{.pins = {"/sys/fs/bpf/x"}, .processes = {}},
         "its link 12 is pinned at /sys/fs/bpf/x and no process holds it: rm /sys/fs/bpf/x, or bpftool link detach id "
         "12"},
        {{.pins = {"/sys/fs/bpf/x"}, .processes = {{345, "scx_x"}, {346, "scx_y"}}},
         "its link 12 is held by scx_x (pid 345), scx_y (pid 346) and pinned at /sys/fs/bpf/x: bpftool link detach id "
         "12, "
         "or end the one and remove the other"},
        {{}, "its link 12 is held where this process cannot see it: bpftool link detach id 12"},
    };
    for (const auto& test : cases)
        EXPECT_EQ(describe_owners(12, test.owners), test.text);
}

} // namespace
} // namespace scxhost
