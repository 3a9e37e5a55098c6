// SPDX-License-Identifier: GPL-2.0-only
//
// [[below]]: a tree of schedulers in one configuration.
#include "host/config/config.hpp"
#include "host/config/selection.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace scxhost {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::string_view kTree = R"([scheduler]
plugin = "trunk"

[host]
fallback = ["simple"]

[swap]
probation = "3s"

[[below]]
cgroup = "/games.slice/shooters"
plugin = "qmap"
options = { slice = "2ms" }

[[below]]
name = "games"
cgroup = "/games.slice"
create = true
object = "own.bpf.o"
fallback = ["qmap"]
probation = "1s"

[below.ops]
timeout_ms = 5000

[[below.call]]
program = "setup"
)";

Config tree() {
    auto config = parse_config(kTree, "/etc/scxhost/tree.toml");
    EXPECT_TRUE(config) << config.error().what << config.error().detail;
    return config ? *config : Config{};
}

TEST(BranchConfig, NestingFollowsFromTheCgroups) {
    const Config config = tree();
    ASSERT_EQ(config.below.size(), 2U);
    EXPECT_EQ(config.below[0].branch.name, "games") << "the upper one first";
    EXPECT_EQ(config.below[1].branch.name, "shooters") << "called as the last part of its cgroup";
    EXPECT_EQ(find_branch_above(config.below, 0), std::nullopt);
    EXPECT_EQ(find_branch_above(config.below, 1), 0U);
}

TEST(BranchConfig, ABranchHasItsOwnSchedulerAndTheRestFromTheHost) {
    const Config root = tree();
    const Config games = branch_config(root, root.below[0]);
    EXPECT_EQ(games.scheduler.object, "/etc/scxhost/own.bpf.o");
    EXPECT_EQ(games.scheduler.plugin, "");
    EXPECT_EQ(games.scheduler.ops.at(0).key, "timeout_ms");
    EXPECT_EQ(games.scheduler.calls.at(0).program, "setup");
    EXPECT_TRUE(games.branch.create);
    EXPECT_THAT(games.host.fallback, ElementsAre("qmap"));
    EXPECT_EQ(games.swap.probation, 1s);
    EXPECT_THAT(games.below, IsEmpty());
    EXPECT_EQ(games.where("scheduler.object").line, 19U);

    const Config shooters = branch_config(root, root.below[1]);
    EXPECT_EQ(shooters.branch.cgroup, "/games.slice/shooters");
    EXPECT_THAT(shooters.host.fallback, IsEmpty()) << "the scheduler above it is what it falls back to";
    EXPECT_EQ(shooters.swap.probation, 3s);
    EXPECT_EQ(root.scheduler.plugin, "trunk");
    EXPECT_TRUE(root.branch.cgroup.empty());
}

TEST(BranchConfig, TheTextIsEqualWhereTheBranchIs) {
    const Config root = tree();
    const auto moved = parse_config("\n\n# further down\n" + std::string(kTree), "/etc/scxhost/tree.toml");
    ASSERT_TRUE(moved);
    EXPECT_EQ(branch_text(root.below[1]), branch_text(moved->below[1]));
    for (const char* change : {"below.shooters.slice=3ms", "below.shooters.scheduler.ops.timeout_ms=7",
                               "below.shooters.host.fallback=simple", "below.shooters.swap.probation=3s",
                               "below.shooters.scheduler.struct_ops=other"}) {
        Config other = root;
        ASSERT_TRUE(apply_override(other, change)) << change;
        EXPECT_NE(branch_text(root.below[1]), branch_text(other.below[1])) << change;
        EXPECT_EQ(branch_text(root.below[0]), branch_text(other.below[0])) << change;
    }
}

TEST(BranchConfig, BadBranchesAreRefusedWithPlaceReasonAndHint) {
    struct Case {
        const char* description;
        const char* branches;
        unsigned line;
        const char* what;
        const char* hint;
    };
    // From line 3 on.
    for (const Case& test : std::vector<Case>{
             {"no cgroup", "[[below]]\nplugin = \"x\"\n", 3, "does not say which cgroup", "cgroup = "},
             {"no scheduler", "[[below]]\ncgroup = \"/a\"\n", 3, "no scheduler is selected", "in this table"},
             {"two sources", "[[below]]\ncgroup = \"/a\"\nplugin = \"x\"\nobject = \"y.o\"\n", 6, "both given", "keep"},
             {"single brackets", "[below]\ncgroup = \"/a\"\nplugin = \"x\"\n", 3, "array of tables", "[[below]]"},
             {"unknown key", "[[below]]\ncgroup = \"/a\"\nplugin = \"x\"\nplugn = \"y\"\n", 6, "unknown key \"plugn\"",
              "plugin"},
             {"a key of the host", "[[below]]\ncgroup = \"/a\"\nplugin = \"x\"\nsocket = \"/y\"\n", 6,
              "unknown key \"socket\"", "only the whole host has it, in the section [control]"},
             {"the root cgroup", "[[below]]\ncgroup = \"/\"\nplugin = \"x\"\n", 4, "is not a cgroup that", "/games"},
             {"with the mount in front", "[[below]]\ncgroup = \"/sys/fs/cgroup/a\"\nplugin = \"x\"\n", 4,
              "is not a cgroup that", "/proc/PID/cgroup"},
             {"upwards", "[[below]]\ncgroup = \"/a/../b\"\nplugin = \"x\"\n", 4, "is not a cgroup that", ".."},
             {"a cgroup twice",
              "[[below]]\ncgroup = \"/a\"\nplugin = \"x\"\n[[below]]\nname = \"b\"\ncgroup = \"/a\"\n", 8,
              "two branches are for the cgroup /a", "\"a\" is for it too"},
             {"a name twice",
              "[[below]]\ncgroup = \"/a\"\nplugin = \"x\"\n[[below]]\ncgroup = \"/b/a\"\nplugin = \"x\"\n", 7,
              "two branches are called \"a\"", "name ="},
             {"no name in the cgroup", "[[below]]\ncgroup = \"/user@1000.service:x\"\nplugin = \"x\"\n", 4,
              "makes no name", "give it one"},
             {"a reserved name", "[[below]]\nname = \"machine\"\ncgroup = \"/a\"\nplugin = \"x\"\n", 4,
              "is not a name for a branch", "above all"},
             {"options of a program", "[[below]]\ncgroup = \"/a\"\nprogram = \"/x\"\noptions = { slice = 1 }\n", 6,
              "takes no options", "args"},
         }) {
        SCOPED_TRACE(test.description);
        const auto config = parse_config(std::string("[scheduler]\nplugin = \"root\"\n") + test.branches, "tree.toml");
        ASSERT_FALSE(config);
        EXPECT_EQ(config.error().kind, ErrorKind::kConfig);
        ASSERT_TRUE(config.error().where);
        EXPECT_EQ(config.error().where->line, test.line);
        EXPECT_GT(config.error().where->column, 0U);
        EXPECT_THAT(config.error().what, HasSubstr(test.what));
        EXPECT_THAT(config.error().hint, HasSubstr(test.hint));
    }
}

TEST(BranchConfig, SettingsReachABranchByItsName) {
    Config config = tree();
    ASSERT_TRUE(apply_override(config, "below.shooters.slice=7ms"));
    EXPECT_EQ(std::get<std::string>(config.below[1].scheduler.options.at(0).value), "7ms");
    EXPECT_THAT(config.scheduler.options, IsEmpty()) << "the root's options are its own";
    ASSERT_TRUE(apply_override(config, "below.games.swap.probation=0s"));
    EXPECT_EQ(branch_config(config, config.below[0]).swap.probation, 0s);
    EXPECT_EQ(branch_config(config, config.below[1]).swap.probation, 3s);
    ASSERT_TRUE(apply_override(config, "below.games.scheduler.plugin=simple"));
    EXPECT_EQ(config.below[0].scheduler.plugin, "simple");
    EXPECT_TRUE(config.below[0].scheduler.object.empty());

    const auto unknown = apply_override(config, "below.shoters.slice=7ms");
    ASSERT_FALSE(unknown);
    EXPECT_THAT(unknown.error().hint, HasSubstr("shooters"));
    for (const char* wrong : {"below.games.control.socket=/x", "below.games.incidents.dir=/x", "below.games=1",
                              "below.games.below.x.slice=1", "below.games.host.plugin_dirs=/x"})
        EXPECT_FALSE(apply_override(config, wrong)) << wrong;
}

// What is swapped in at a branch stays there, whatever it is named by.
TEST(BranchConfig, WhatIsSelectedForABranchKeepsItsPlace) {
    const TempDir dir;
    const Config root = tree();
    const Config base = branch_config(root, root.below[0]);
    const auto plugin = select_scheduler({.what = "simple", .assignments = {"slice=1ms"}, .plugin_dirs = {}}, base);
    ASSERT_TRUE(plugin) << plugin.error().what;
    EXPECT_EQ(plugin->branch.cgroup, "/games.slice");
    EXPECT_EQ(plugin->scheduler.plugin, "simple");
    EXPECT_EQ(plugin->scheduler.options.size(), 1U);
    EXPECT_EQ(plugin->name, "");

    const std::string file =
        dir.write("own.toml", "[scheduler]\nplugin = \"qmap\"\n[swap]\nprobation = \"9s\"\n").string();
    const auto named = select_scheduler({.what = file, .assignments = {"swap.probation=2s"}, .plugin_dirs = {}}, base);
    ASSERT_TRUE(named) << named.error().what;
    EXPECT_EQ(named->branch.cgroup, "/games.slice");
    EXPECT_EQ(named->name, file);
    EXPECT_EQ(named->swap.probation, 2s) << "of the file the scheduler alone";

    const std::string whole = dir.write("tree.toml", kTree).string();
    const auto refused = select_scheduler({.what = whole, .assignments = {}, .plugin_dirs = {}}, base);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().what, HasSubstr("whole tree"));
    EXPECT_EQ(refused.error().where.value().line, 15U);
}

} // namespace
} // namespace scxhost
