// SPDX-License-Identifier: GPL-2.0-only
//
// What desktop tools may choose from, and what runs in their words.
#include "host/config/desktop.hpp"
#include "host/dbus/desktop_state.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace scxhost {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Result<Config> parse(const std::string& text) {
    return parse_config("[scheduler]\nplugin = \"simple\"\n" + text, "/etc/scxhost/scxhost.toml");
}

std::vector<DesktopScheduler> schedulers(const std::string& text) {
    const Result<Config> config = parse(text);
    EXPECT_TRUE(config) << config.error().what;
    return config ? desktop_schedulers(*config).value_or(std::vector<DesktopScheduler>())
                  : std::vector<DesktopScheduler>();
}

constexpr const char* kThree = R"(
[dbus.schedulers.scx_bpfland]
plugin = "interactive"
options = { slice = "2ms" }
modes.Gaming = { options = { slice = "1ms", preempt = true } }
modes.Server = { plugin = "simple" }
[dbus.schedulers.scx_lavd]
config = "lavd.toml"
modes.PowerSave = { args = ["--powersave", "a b"] }
[dbus.schedulers.scx_simple]
plugin = "simple"
)";

TEST(DesktopSchedulers, AModeAddsToItsSchedulerOrSelectsAnotherOne) {
    const std::vector<DesktopScheduler> all = schedulers(kThree);
    ASSERT_EQ(all.size(), 3U);
    const DesktopScheduler& bpfland = all[0];
    EXPECT_EQ(bpfland.name, "scx_bpfland");
    ASSERT_EQ(bpfland.modes.size(), 3U);
    EXPECT_EQ(bpfland.modes.at(0).what, "interactive");
    EXPECT_THAT(bpfland.modes.at(0).set, ElementsAre("scheduler.options.slice=\"2ms\""));
    EXPECT_EQ(bpfland.modes.at(1).what, "interactive");
    EXPECT_THAT(bpfland.modes.at(1).set,
                ElementsAre("scheduler.options.slice=\"1ms\"", "scheduler.options.preempt=true"));
    EXPECT_EQ(bpfland.modes.at(4).what, "simple");
    EXPECT_THAT(bpfland.modes.at(4).set, IsEmpty());
    const DesktopScheduler& lavd = all[1];
    EXPECT_EQ(lavd.modes.at(0).what, "/etc/scxhost/lavd.toml");
    EXPECT_THAT(lavd.modes.at(2).set, ElementsAre("scheduler.args=[\"--powersave\", \"a b\"]"));
}

struct Mistake {
    const char* text;
    const char* message;
    unsigned line; // after the two of the scheduler
};

class DesktopMistakes : public testing::TestWithParam<Mistake> {};

TEST_P(DesktopMistakes, AreNamedWithTheirPlace) {
    const Result<Config> config = parse(GetParam().text);
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().kind, ErrorKind::kConfig);
    EXPECT_THAT(config.error().what + config.error().hint, HasSubstr(GetParam().message));
    ASSERT_TRUE(config.error().where);
    EXPECT_EQ(config.error().where->line, GetParam().line + 2) << config.error().what;
}

INSTANTIATE_TEST_SUITE_P(
    Each, DesktopMistakes,
    testing::Values(
        Mistake{"[dbus.schedulers.a]\noptions = { slice = 1 }", "does not say what to run", 2},
        Mistake{"[dbus.schedulers.a]\nmodes.Gaming = { plugin = \"simple\" }", "does not say what to run", 2},
        Mistake{"[dbus.schedulers.a]\nplugin = \"b\"\nconfig = \"c.toml\"", "are both given", 2},
        Mistake{"[dbus.schedulers.a]\nplugin = \"b\"\nmodes.Gamin = { args = [] }", "did you mean", 3},
        Mistake{"[dbus.schedulers.a]\nplugin = \"b\"\nopts.slice = 1", "unknown key \"opts.slice\"", 3},
        Mistake{"[dbus.schedulers.a]\nplugin = \"/b.so\"", "not a plugin name", 2},
        Mistake{"[dbus.schedulers.a]\nconfig = \"\"", "not a path", 2},
        Mistake{"[dbus.schedulers.a]\nplugin = \"b\"\nargs = [1]", "expected", 3},
        Mistake{"[dbus.schedulers]\na = 1", "expected a table", 2},
        Mistake{"[dbus]\ndefault = \"a\"", "none of dbus.schedulers", 2},
        Mistake{"[dbus]\ndefault_mode = \"Fast\"", "a mode", 2},
        Mistake{"[power]\nbalanced = \"a:Fast\"", "NAME:MODE", 2},
        Mistake{"[power]\nbalanced = \"a:Gaming\"", "none of dbus.schedulers", 2},
        Mistake{"[power]\nbalanced = \"a:Gaming\"\n[dbus.schedulers.a]\nplugin = \"b\"", "no mode Gaming", 2}));

TEST(DesktopPower, AProfileHasTheModeThatIsConfigured) {
    const Result<Config> config = parse(std::string(kThree) + "[power]\npower-saver = \"scx_lavd:PowerSave\"\n"
                                                              "performance = \"scx_simple\"\n");
    ASSERT_TRUE(config) << config.error().what;
    const std::optional<DesktopMode> saver = mode_for_profile(*config, "power-saver");
    ASSERT_TRUE(saver);
    EXPECT_EQ(saver->scheduler, "scx_lavd");
    EXPECT_EQ(saver->mode, 2U);
    EXPECT_EQ(mode_for_profile(*config, "performance").value_or(DesktopMode()).scheduler, "scx_simple");
    EXPECT_FALSE(mode_for_profile(*config, "balanced"));
    EXPECT_FALSE(mode_for_profile(*config, "turbo"));
}

nlohmann::json runs(const std::string& name, nlohmann::json config, nlohmann::json options, std::uint64_t seq = 7) {
    return {{"scheduler",
             {{"name", name}, {"config", std::move(config)}, {"options", std::move(options)}, {"enable_seq", seq}}},
            {"kernel", {{"ops", name + "_0123"}}}};
}

TEST(DesktopStateOf, WhatRunsIsNamedAsConfigured) {
    const std::vector<DesktopScheduler> all = schedulers(kThree);
    const auto state = [&](const nlohmann::json& status) { return desktop_state(status, all, {}); };
    using State = DesktopState;
    EXPECT_EQ(state(runs("interactive", nullptr, {{"slice", "\"2ms\""}})), (State{"scx_bpfland", 0, {}}));
    EXPECT_EQ(state(runs("interactive", nullptr, {{"slice", "\"1ms\""}, {"preempt", "true"}})),
              (State{"scx_bpfland", 1, {}}));
    EXPECT_EQ(state(runs("interactive", nullptr, {{"slice", "\"5ms\""}})), (State{"interactive", 0, {}}));
    EXPECT_EQ(state(runs("simple", nullptr, {{"slice", "\"9ms\""}})), (State{"scx_simple", 0, {}}));
    EXPECT_EQ(state(runs("lavd", "/etc/scxhost/lavd.toml", nlohmann::json::object())), (State{"scx_lavd", 0, {}}));
    EXPECT_EQ(state(runs("qmap", nullptr, nlohmann::json::object())), (State{"qmap", 0, {}}));
    EXPECT_EQ(state({{"scheduler", nullptr}, {"kernel", {{"ops", nullptr}}}}), (State{"unknown", 0, {}}));
    EXPECT_EQ(state({{"scheduler", nullptr}, {"kernel", {{"ops", "foreign"}}}}), (State{"foreign", 0, {}}));
    EXPECT_EQ(state(nullptr), (State{"unknown", 0, {}}));
}

TEST(DesktopStateOf, WhatAClientChoseIsKnownByItsRun) {
    const std::vector<DesktopScheduler> all = schedulers(kThree);
    const DesktopRun chosen{.enable_seq = 7, .state = {"scx_bpfland", 1, {"x=1"}}, .choice = {}};
    EXPECT_EQ(desktop_state(runs("interactive", nullptr, {}, 7), all, chosen), chosen.state);
    EXPECT_EQ(desktop_state(runs("simple", nullptr, {}, 8), all, chosen), (DesktopState{"scx_simple", 0, {}}));
}

// An object that is no plugin's has a name as well, which may be that of a plugin.
TEST(DesktopStateOf, AnObjectIsNoPluginOfItsName) {
    nlohmann::json status = runs("simple", nullptr, {});
    status.at("scheduler")["object"] = "/srv/simple.bpf.o";
    EXPECT_NE(desktop_state(status, schedulers(kThree), {}).scheduler, "scx_simple");
}

} // namespace
} // namespace scxhost
