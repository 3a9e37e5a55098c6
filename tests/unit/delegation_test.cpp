// SPDX-License-Identifier: GPL-2.0-only
//
// [[delegate]]: the rules, whom they find, and what they allow. That a user's calls meet them is tested in a guest
// (tests/vm/tree_test.cpp).
#include "host/config/selection.hpp"
#include "host/control/delegation.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>
#include <utility>
#include <vector>

namespace scxhost {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr uid_t kAlice = 1001;
constexpr uid_t kBob = 1002;

constexpr std::string_view kTree = R"([scheduler]
plugin = "trunk"

[[below]]
cgroup = "/games.slice"
plugin = "qmap"
options = { slice = "5ms" }

[[below]]
cgroup = "/games.slice/shooters"
plugin = "qmap"

[[below]]
name = "other"
cgroup = "/games.slice2"
plugin = "qmap"

)";

Result<Config> with_rules(const std::string& rules) {
    return parse_config(std::string(kTree) + rules, "/etc/scxhost/tree.toml");
}

TEST(DelegateConfig, RulesAreRead) {
    const auto config = with_rules("[[delegate]]\nuser = \"alice\"\ncgroup = \"/games.slice\"\n"
                                   "plugins = [\"simple\", \"qmap\"]\n"
                                   "[[delegate]]\nuser = \"1002\"\ncgroup = \"/games.slice/shooters\"\n");
    ASSERT_TRUE(config) << config.error().what;
    ASSERT_EQ(config->delegates.size(), 2U);
    EXPECT_EQ(config->delegates[0].user, "alice");
    EXPECT_EQ(config->delegates[0].cgroup, "/games.slice");
    EXPECT_THAT(config->delegates[0].plugins, ElementsAre("simple", "qmap"));
    EXPECT_EQ(config->delegates[0].user_where.line, 19U);
    EXPECT_EQ(config->delegates[1].user_where.line, 23U) << "each has places of its own";
    EXPECT_EQ(config->delegates[1].cgroup_where.line, 24U);
    EXPECT_THAT(config->delegates[1].plugins, IsEmpty());
    EXPECT_EQ(branch_config(*config, config->below[0]).delegates.size(), 2U);
}

TEST(DelegateConfig, WhatIsWrongIsNamedWithItsPlace) {
    struct Case {
        std::string rules;
        std::string message;
        unsigned line;
        unsigned column;
    };
    const std::string rule = "[[delegate]]\nuser = \"alice\"\ncgroup = ";
    const std::vector<Case> cases = {
        {rule + "\"/builds\"\n", "no branch is for the cgroup /builds", 20, 10},
        {rule + "\"/games\"\n", "no branch is for the cgroup /games", 20, 10}, // no part of a name
        {rule + "\"/\"\n", "is not a cgroup", 20, 10},
        {rule + "\"/games.slice/../x\"\n", "is not a cgroup", 20, 10},
        {rule + "\"/games.slice\"\nplugins = [\"simple\", \"./x.so\"]\n", "\"./x.so\" is not a plugin name", 21, 22},
        {rule + "\"/games.slice\"\nplugins = [\"/usr/lib/x\"]\n", "is not a plugin name", 21, 12},
        {rule + "\"/games.slice\"\nplugins = \"simple\"\n", "expected an array", 21, 11},
        {rule + "\"/games.slice\"\nplugin = [\"simple\"]\n", "unknown key \"plugin\" in [[delegate]]", 21, 1},
        {"[[delegate]]\nuser = \"alice\"\n", "it does not say where", 18, 1},
        {"[[delegate]]\ncgroup = \"/games.slice\"\n", "it does not say who may", 18, 1},
        {"[[delegate]]\nuser = \"\"\ncgroup = \"/games.slice\"\n", "the name or number of a user", 19, 8},
        {"[[delegate]]\nuser = 1001\ncgroup = \"/games.slice\"\n", "expected a string", 19, 8},
        {"[delegate]\nuser = \"alice\"\n", "expected an array of tables", 18, 2},
    };
    for (const Case& test : cases) {
        const auto config = with_rules(test.rules);
        ASSERT_FALSE(config) << test.rules;
        EXPECT_THAT(config.error().what, HasSubstr(test.message)) << test.rules;
        EXPECT_EQ(config.error().kind, ErrorKind::kConfig) << test.rules;
        ASSERT_TRUE(config.error().where) << test.rules;
        EXPECT_EQ(config.error().where->line, test.line) << test.rules << config.error().what;
        EXPECT_EQ(config.error().where->column, test.column) << test.rules << config.error().what;
    }
    EXPECT_THAT(with_rules(rule + "\"/games.slcie\"\n").error().hint, HasSubstr("did you mean \"/games.slice\"?"));
    EXPECT_THAT(parse_config("[scheduler]\nplugin = \"simple\"\n" + rule + "\"/x\"\n", "a.toml").error().hint,
                HasSubstr("[[below]]"));
}

TEST(DelegateConfig, NothingOfItIsSetOnACommandLine) {
    Config config = with_rules("[[delegate]]\nuser = \"alice\"\ncgroup = \"/games.slice\"\n").value();
    const std::vector<Config::Delegate> before = config.delegates;
    for (const char* assignment : {"delegate.user=bob", "delegate=bob", "delegate.plugins=[\"qmap\"]"})
        (void)apply_override(config, assignment); // an option that no scheduler has
    EXPECT_EQ(config.delegates, before);
}

TEST(Delegation, UsersAreFoundByNameOrNumber) {
    const auto config = with_rules("[[delegate]]\nuser = \"root\"\ncgroup = \"/games.slice\"\n"
                                   "[[delegate]]\nuser = \"4000000\"\ncgroup = \"/games.slice\"\n"
                                   "[[delegate]]\nuser = \"0\"\ncgroup = \"/games.slice/shooters\"\n");
    const auto delegation = Delegation::make(config.value());
    ASSERT_TRUE(delegation) << delegation.error().what;
    EXPECT_THAT(delegation->users(), ElementsAre(0, 4000000));
    EXPECT_TRUE(delegation->names(4000000));
    EXPECT_FALSE(delegation->names(1));

    // The last number is no user's: for the kernel it means that nothing is said.
    for (const std::string user : {"nobody-of-this-name", "-1", "4294967295", "4294967296", "1000x"}) {
        const auto wrong =
            Delegation::make(with_rules("[[delegate]]\nuser = \"" + user + "\"\ncgroup = \"/games.slice\"\n").value());
        ASSERT_FALSE(wrong) << user;
        EXPECT_EQ(wrong.error().kind, ErrorKind::kConfig);
        EXPECT_THAT(wrong.error().what, HasSubstr("no user \"" + user + "\""));
        ASSERT_TRUE(wrong.error().where) << user;
        EXPECT_EQ(wrong.error().where->line, 19U);
    }
}

class DelegatedCalls : public testing::Test {
protected:
    Result<> check(uid_t uid, const std::string& method, const json& params) const {
        return delegation_.check({.uid = uid, .method = method, .params = params, .branches = branches_});
    }
    void expect_refused(const std::string& method, const json& params, const std::string& message) const {
        const Result<> checked = check(kAlice, method, params);
        ASSERT_FALSE(checked) << method << params;
        EXPECT_EQ(checked.error().kind, ErrorKind::kPermission) << method << params;
        EXPECT_THAT(checked.error().what, AllOf(HasSubstr("user alice may not"), HasSubstr(message))) << params;
        EXPECT_THAT(checked.error().hint, HasSubstr("games (plugins: simple and interactive)")) << params;
        EXPECT_THAT(checked.error().hint, Not(HasSubstr("builds"))) << "other branches are not told";
    }

    Delegation delegation_{{
        {.uid = kAlice, .user = "alice", .cgroup = "/games.slice", .plugins = {"simple", "interactive"}},
        {.uid = kAlice, .user = "alice", .cgroup = "/games.slice/shooters", .plugins = {"qmap"}},
        {.uid = kBob, .user = "bob", .cgroup = "/builds", .plugins = {}},
    }};
    std::vector<Config::Branch> branches_ = {
        {.name = "games", .cgroup = "/games.slice"},
        {.name = "builds", .cgroup = "/builds"},
        {.name = "like", .cgroup = "/games.slice2"},
        {.name = "shooters", .cgroup = "/games.slice/shooters"},
    };
};

TEST_F(DelegatedCalls, WhatADelegateMay) {
    const std::vector<std::pair<std::string, json>> calls = {
        {"status", json::object()},
        {"metrics", json::object()},
        {"stats", {{"at", "games"}}},
        {"stop", {{"at", "games"}}},
        {"resume", {{"at", "shooters"}}},
        {"swap", {{"at", "games"}}},
        {"swap", {{"at", "games"}, {"what", nullptr}, {"wait", false}}},
        {"swap", {{"at", "games"}, {"what", "simple"}}},
        {"swap", {{"at", "shooters"}, {"what", "interactive"}}}, // by the rule for what is above
        {"swap", {{"at", "shooters"}, {"what", "qmap"}}},
        {"swap", {{"at", "games"}, {"what", "simple"}, {"set", {"slice=5ms"}}}},
        // As `scxhost swap` sends it.
        {"swap",
         {{"at", "games"},
          {"what", "simple"},
          {"set", json::array()},
          {"plugin_dirs", json::array()},
          {"wait", true},
          {"force", false}}},
    };
    for (const auto& [method, params] : calls) {
        const Result<> checked = check(kAlice, method, params);
        EXPECT_TRUE(checked) << method << params << (checked ? "" : checked.error().what);
    }
    EXPECT_TRUE(check(kBob, "swap", {{"at", "builds"}}));
    EXPECT_TRUE(check(kBob, "stop", {{"at", "builds"}}));
    EXPECT_THAT(check(kBob, "swap", {{"at", "builds"}, {"what", "simple"}}).error().hint,
                HasSubstr("builds (no plugins)"));
}

TEST_F(DelegatedCalls, EverythingElseIsRefused) {
    for (const char* method : {"check", "borrow", "return", "reboot", "Stop", ""})
        expect_refused(method, {{"at", "games"}}, method);
    for (const char* method : {"swap", "stop", "resume", "stats"}) {
        expect_refused(method, json::object(), "without naming a branch");
        expect_refused(method, {{"at", nullptr}}, "without naming a branch");
        for (const char* seat : {"machine", "", "builds", "like", "gmaes", "/games.slice", "games/"})
            expect_refused(method, {{"at", seat}}, std::string("at \"") + seat + "\"");
        expect_refused(method, {{"at", {"games"}}}, "at that");
        expect_refused(method, {{"at", 7}}, "at that");
    }
    const std::vector<std::pair<json, std::string>> swaps = {
        {{{"what", "qmap"}}, "choose \"qmap\" at games"}, // only below
        {{{"what", ""}}, "choose"},
        {{{"what", "/etc/scxhost/simple.toml"}}, "choose"},
        {{{"what", "/usr/lib/scxhost/plugins/simple.so"}}, "choose"},
        {{{"what", "simple.so"}}, "choose"},
        {{{"what", {"simple"}}}, "choose that"},
        {{{"what", 1}}, "choose that"},
        {{{"object", "/x.bpf.o"}}, "say \"object\""},
        {{{"what", "simple"}, {"object", "/x.bpf.o"}}, "say \"object\""},
        {{{"program", "/bin/sh"}}, "say \"program\""},
        {{{"program", "/bin/sh"}, {"args", {"-c", "id"}}}, "say"},
        {{{"what", "simple"}, {"plugin_dirs", {"/opt"}}}, "say \"plugin_dirs\""},
        {{{"what", "simple"}, {"force", true}}, "say \"force\""},
        {{{"what", "simple"}, {"force", 1}}, "say \"force\""},
        {{{"force", true}}, "say \"force\""},
        {{{"what", "simple"}, {"later", "x"}}, "say \"later\""}, // of a version to come
    };
    for (const auto& [more, message] : swaps) {
        json params = more;
        params["at"] = "games";
        expect_refused("swap", params, message);
    }
}

TEST_F(DelegatedCalls, RulesAreForBranchesThatThereAre) {
    branches_.clear();
    const Result<> checked = check(kAlice, "stop", {{"at", "games"}});
    ASSERT_FALSE(checked);
    EXPECT_THAT(checked.error().hint, HasSubstr("no branch now"));
    EXPECT_FALSE(delegation_.covers(kBob, "/games.slice"));
    EXPECT_TRUE(delegation_.covers(kBob, "/builds/deep/er"));
    EXPECT_FALSE(delegation_.covers(kBob, "/buildstore"));
}

// What matters is what the request makes, however it is written.
TEST(DelegatedChoice, DiffersInThePluginAndItsOptionsOnly) {
    const Config root = with_rules("[host]\nplugin_dirs = [\"/usr/lib/x\"]\nfallback = [\"simple\"]\n").value();
    const Config base = branch_config(root, root.below[0]);
    const auto choose = [&](const std::vector<std::string>& assignments) {
        const Selection selection{.what = "simple", .assignments = assignments, .plugin_dirs = {}};
        const auto chosen = select_scheduler(selection, base);
        return chosen ? check_delegated_choice(*chosen, base, "simple") : Result<>(fail(chosen.error()));
    };
    for (const std::vector<std::string>& allowed : std::vector<std::vector<std::string>>{
             {},
             {"slice=5ms"},
             {"slice=\"5ms\"", "fifo=yes", "scheduler.options.a.b=[1, 2]"},
             {"scheduler_plugin=qmap"},          // an option that it does not have
             {"slice=5ms\nscheduler.ops.x = 1"}, // a text
             {"scheduler=1\n[scheduler.ops]\nx = 1"},
             {"slice={ machine = \"cpus\" }"},
         }) {
        const Result<> checked = choose(allowed);
        EXPECT_TRUE(checked) << testing::PrintToString(allowed) << (checked ? "" : checked.error().what);
    }
    for (const char* refused : {
             "scheduler.ops.timeout_ms=5000",
             "scheduler.ops.flags=\"\\u0031\"",
             "scheduler.sizes.map=7",
             "scheduler.variables.x=1",
             "scheduler.maps.m.k=1",
             "scheduler.bpf_programs.p=true",
             "scheduler.struct_ops=other",
             "scheduler.plugin=qmap",
             "scheduler.plugin=simple",
             "scheduler.object=/x.bpf.o",
             "scheduler.object=\"\\u002fx.bpf.o\"",
             "scheduler.program=/bin/sh",
             "scheduler.args=[\"-c\"]",
             "scheduler.env.LD_PRELOAD=/x.so",
             "program.user=root",
             "program.memory_max=0",
             "host.fallback=qmap",
             "host.plugin_dirs=[\"/opt\"]",
             "swap.probation=0s",
             "swap.expedite_rcu=false",
             "restart.limit=1000",
             "stats.variables=nr_queued",
             "stats.interval=10ms",
             "log.level=trace",
             "control.group=users",
             "control.socket=/tmp/x",
             "incidents.dir=/etc",
             "below.games.slice=1ms",
             "\"scheduler\".ops.timeout_ms=1",
             "scheduler . ops.timeout_ms=1",
             "scheduler.ops=1",
             "scheduler.call=1",
         })
        EXPECT_FALSE(choose({refused})) << refused;
    // The kernel's own limits are not his, whatever else he sets.
    const Result<> checked = choose({"slice=5ms", "scheduler.ops.timeout_ms=5000"});
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().kind, ErrorKind::kPermission);
    EXPECT_THAT(checked.error().hint, HasSubstr("scxhost options simple"));

    // By whatever way a difference came about.
    const auto expect_noticed = [&](const auto& change) {
        Config chosen = base.without_scheduler();
        chosen.name.clear();
        chosen.scheduler.plugin = "simple";
        EXPECT_TRUE(check_delegated_choice(chosen, base, "simple"));
        change(chosen);
        EXPECT_FALSE(check_delegated_choice(chosen, base, "simple"));
    };
    expect_noticed([](Config& config) { config.scheduler.plugin = "qmap"; });
    expect_noticed([](Config& config) { config.scheduler.calls.emplace_back(); });
    expect_noticed([](Config& config) { config.branch.cgroup = "/builds"; });
    expect_noticed([](Config& config) { config.below.emplace_back(); });
    expect_noticed([](Config& config) { config.delegates.emplace_back(); });
    expect_noticed([](Config& config) { config.places["swap.probation"] = {}; });
    expect_noticed([](Config& config) { config.name = "/etc/x.toml"; });
}

TEST(DelegateLimits, SomeAtOnceThenOneAfterTheOtherForEachUser) {
    DelegateLimits limits;
    const DelegateLimits::Clock::time_point begin{};
    for (int i = 0; i < DelegateLimits::kChangesAtOnce; ++i)
        EXPECT_TRUE(limits.take(kAlice, begin)) << i;
    const Result<> refused = limits.take(kAlice, begin);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::kBusy);
    EXPECT_THAT(refused.error().hint, HasSubstr("ask again in 11 s")); // rather later than too early
    EXPECT_TRUE(limits.take(kBob, begin)) << "each has his own";
    const auto later = begin + DelegateLimits::kTimePerChange + std::chrono::milliseconds(1);
    EXPECT_TRUE(limits.take(kAlice, later));
    EXPECT_FALSE(limits.take(kAlice, later));
}

} // namespace
} // namespace scxhost
