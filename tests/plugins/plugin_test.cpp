// SPDX-License-Identifier: GPL-2.0-only
//
// Plugins loaded: the order of their life, what they may ask of the host, and that nothing of them stays. What is said
// of broken ones stands in animals.cpp.
#include "host/plugins/plugin.hpp"
#include "host/plugins/plugin_file.hpp"
#include "host/supervisor/prepared_scheduler.hpp"
#include "tests/plugins/journal.hpp"
#include "tests/plugins/zoo.hpp"
#include <scxhost/plugin.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <functional>
#include <thread>

namespace scxhost {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;
using namespace std::chrono_literals;

constexpr PluginCallback kCallbacks[] = {PluginCallback::kConfigure, PluginCallback::kLoaded, PluginCallback::kAttached,
                                         PluginCallback::kTick, PluginCallback::kDetaching};

class PluginTest : public testing::Test {
protected:
    // Opens the plugin's object and loads its library.
    Result<std::unique_ptr<Plugin>> load(const fs::path& path,
                                         PluginAllowances allowances = {.preparing = kPatience, .running = kPatience}) {
        file_ = read_plugin_file(path).value();
        object_ = open(file_);
        return Plugin::load(
            file_, object_,
            [this](int level, std::string_view plugin, std::string_view message) {
                logged_.push_back(std::to_string(level) + " " + std::string(plugin) + ": " + std::string(message));
            },
            allowances);
    }
    static std::shared_ptr<SchedulerObject> open(const PluginFile& file) {
        return std::make_shared<SchedulerObject>(
            SchedulerObject::open({.name = file.info.name, .bytes = file.object, .struct_ops = {}}).value());
    }
    Result<std::unique_ptr<Plugin>> load(const char* name, const std::string& fault) {
        const Environment environment(zoo::kFault, fault);
        return load(zoo_path(name));
    }
    // What comes of posted calls, when something has come.
    static std::vector<PluginThread::Outcome> next_outcomes(Plugin& plugin) {
        pollfd entry = {.fd = plugin.fd(), .events = POLLIN, .revents = 0};
        EXPECT_EQ(::poll(&entry, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count())), 1);
        return plugin.outcomes();
    }
    std::vector<std::string> journal() const {
        std::ifstream file(journal_path_);
        std::vector<std::string> lines;
        for (std::string line; std::getline(file, line);)
            lines.push_back(line);
        return lines;
    }
    TempDir dir_;
    fs::path journal_path_ = dir_.path() / "journal";
    Environment journal_{zoo::kJournal, journal_path_.string()};
    PluginFile file_;
    std::shared_ptr<SchedulerObject> object_;
    std::vector<std::string> logged_;
};

TEST_F(PluginTest, CallbacksInOrderAndNothingStays) {
    {
        const std::unique_ptr<Plugin> plugin = load(zoo_path("good.so")).value();
        EXPECT_TRUE(is_in_memory(zoo_path("good.so")));
        for (const PluginCallback callback : kCallbacks)
            EXPECT_TRUE(plugin->call(callback));
    }
    EXPECT_THAT(journal(), ElementsAre("library loaded", "create", "configure", "loaded", "attached", "tick",
                                       "detaching", "destroy", "library unloaded"));
    EXPECT_FALSE(is_in_memory(zoo_path("good.so"))) << "the library stays in memory";
    EXPECT_THAT(logged_, ElementsAre("1 good: slice 20000000"));
    std::uint32_t count = 0;
    std::memcpy(&count, object_->variable_bytes(*object_->btf().find_variable("count")).data(), sizeof count);
    EXPECT_EQ(count, 77U) << "what the plugin has set";
}

TEST_F(PluginTest, AroundAnObjectThatExists) {
    const std::unique_ptr<Plugin> plugin = load(zoo_path("around.so")).value();
    EXPECT_EQ(file_.object, zoo_bytes("needy.bpf.o")) << "unchanged";
    EXPECT_EQ(zoo_bytes("around.bpf.o"), zoo_bytes("needy.bpf.o"));
    object_->set_known_flags({{"SCX_OPS_ENQ_LAST", 2}, {"SCX_OPS_SWITCH_PARTIAL", 8}});
    ASSERT_TRUE(object_->set_ops_member("flags", 2));
    const Result<> configured = plugin->call(PluginCallback::kConfigure);
    ASSERT_TRUE(configured) << configured.error().what;
    EXPECT_EQ(object_->find_map_facts("layers")->max_entries, 3U);
    const auto bytes_of = [&](const char* name) {
        return object_->variable_bytes(*object_->btf().find_variable(name));
    };
    EXPECT_EQ(bytes_of("per_cpu_marks").size(), 4 * sizeof(std::uint64_t));
    ASSERT_EQ(bytes_of("cpu_llc").size(), 4 * sizeof(std::uint32_t));
    EXPECT_EQ(bytes_of("cpu_llc")[12], std::byte{9});
    EXPECT_EQ(object_->ops_member("flags").value(), 10U);
    EXPECT_THAT(
        journal(),
        ElementsAre("partial", "no flag never heard of",
                    "'nothing' cannot have 4 entries: there is no such map or array",
                    "'tasks' cannot have 4 entries: it is no map with entries, nor the last array of its section",
                    "'nr_nodes' cannot have 4 entries: it is no map with entries, nor the last array of its section",
                    "'cpu_core' cannot have 4 entries: it is no map with entries, nor the last array of its section"));
}

TEST_F(PluginTest, ObjectIsClosedBeforeTheInstanceAndTheInstanceBeforeTheLibrary) {
    Config config;
    config.scheduler.plugin = "raw";
    config.host.plugin_dirs = {kZooDir};
    {
        const auto scheduler = PreparedScheduler::open(config).value();
        ASSERT_TRUE(scheduler->bind_options(config, nullptr));
        EXPECT_THAT(journal(), ElementsAre()) << "no code runs before it is asked for";
        ASSERT_TRUE(scheduler->configure(nullptr));
    }
    EXPECT_THAT(journal(), ElementsAre("create", "configure", "destroy, object closed"));
    EXPECT_FALSE(is_in_memory(zoo_path("raw.so")));
}

TEST_F(PluginTest, TwoInstancesOfOneLibrary) {
    const PluginFile file = read_plugin_file(zoo_path("good.so")).value();
    auto one = Plugin::load(file, open(file), nullptr).value();
    auto two = Plugin::load(file, open(file), nullptr).value();
    one.reset();
    EXPECT_TRUE(two->call(PluginCallback::kConfigure));
    EXPECT_TRUE(is_in_memory(zoo_path("good.so")));
}

TEST_F(PluginTest, ExactlyOneExport) {
    for (const fs::path& path : {zoo_path("good.so"), zoo_path("raw.so"), zoo_path("unresolved.so"),
                                 fs::path(kPluginsDir) / "simple.so", fs::path(kPluginsDir) / "qmap.so"}) {
        const ElfImage image = ElfImage::parse(read_binary_file(path, 64U << 20U, "plugin").value()).value();
        std::vector<std::string> exported;
        for (const ElfImage::Symbol& symbol : image.symbols(SHT_DYNSYM))
            if (symbol.section != SHN_UNDEF)
                exported.emplace_back(symbol.name);
        EXPECT_THAT(exported, ElementsAre(SCXHOST_PLUGIN_ENTRY)) << path;
    }
}

TEST_F(PluginTest, ExceptionsOfTheSdkHaveTheirErrno) {
    const auto plugin = load(zoo_path("good.so")).value();
    for (const auto& [fault, code] : {std::pair("tick:error", EAGAIN), std::pair("tick:exception", EINVAL),
                                      std::pair("tick:memory", ENOMEM), std::pair("tick:int", EINVAL)}) {
        const Environment environment(zoo::kFault, fault);
        const Result<> result = plugin->call(PluginCallback::kTick);
        ASSERT_FALSE(result) << fault;
        EXPECT_EQ(result.error().kind, ErrorKind::kPlugin);
        EXPECT_EQ(result.error().sys_errno, code) << fault;
    }
}

TEST_F(PluginTest, FailedStartIsNotEnded) {
    EXPECT_FALSE(load("good.so", "create:exception"));
    EXPECT_THAT(journal(), ElementsAre("library loaded", "create", "library unloaded"));
}

TEST_F(PluginTest, WhatTheSdkAsksForInVainIsNamed) {
    const struct {
        const char* fault;
        const char* what;
    } cases[] = {
        {"absent variable", "BPF variable 'absent' not found"},
        {"wrong size", "BPF variable 'count' has 4 bytes, the plugin expects 8"},
        {"absent map", "BPF map 'absent' not found"},
        {"early map", "BPF map 'places' is not loaded yet"},
        {"taken statistic", "statistic 'enqueued' is there already"},
        {"own statistic twice", "statistic 'level' is there already"},
        {"statistic without a name", "statistic '' needs a name of letters, digits, '_', '.' and '-'"},
        {"too many statistics", "statistic 'level.254' is one too many"},
        {"early events", "events of BPF map 'places' cannot be watched: the object is not loaded yet"},
        {"absent events", "events of BPF map 'absent' cannot be watched: there is none of this name"},
        {"early program", "BPF program 'zoo_enqueue' cannot be run: Invalid argument"},
        {"absent program", "BPF program 'absent' cannot be run: there is none of this name"},
    };
    for (const auto& test : cases) {
        const auto plugin = load(zoo_path("good.so")).value();
        const Environment environment(zoo::kFault, test.fault);
        const Result<> result = plugin->call(PluginCallback::kConfigure);
        ASSERT_FALSE(result) << test.fault;
        EXPECT_EQ(result.error().what, std::string("plugin 'good' failed to configure: ") + test.what);
    }
}

TEST_F(PluginTest, NothingEscapesFromDestroy) {
    auto plugin = load(zoo_path("raw.so")).value();
    const Environment environment(zoo::kFault, "destroy:exception");
    plugin.reset();
    EXPECT_FALSE(is_in_memory(zoo_path("raw.so")));
}

TEST_F(PluginTest, WhatIsNoErrnoBecomesOne) {
    const auto plugin = load(zoo_path("raw.so")).value();
    for (const char* fault : {"tick:positive", "tick:minimum"}) {
        const Environment environment(zoo::kFault, fault);
        EXPECT_EQ(plugin->call(PluginCallback::kTick).error().sys_errno, EINVAL) << fault;
    }
}

TEST_F(PluginTest, HostRefusesMisuse) {
    const auto plugin = load(zoo_path("raw.so")).value();
    const Environment environment(zoo::kFault, "misuse");
    const Result<> result = plugin->call(PluginCallback::kConfigure);
    EXPECT_TRUE(result) << result.error().what;
}

TEST_F(PluginTest, LongerAndShorterStructsOfOtherVersionsWork) {
    for (const char* fault : {"descriptor with a zero tail", "callbacks with a zero tail", "no callback"})
        EXPECT_TRUE(load("raw.so", fault)) << fault;
    const auto plugin = load("raw.so", "no callback");
    EXPECT_TRUE((*plugin)->call(PluginCallback::kTick)) << "a callback that the plugin does not have";
}

// As a build or an installation does it while the host runs: the code that is loaded stays, and the next build of the
// file is loaded beside it.
TEST_F(PluginTest, FileThatIsWrittenInto) {
    const fs::path path = dir_.write("good.so", as_text(zoo_bytes("good.so")));
    const PluginFile file = read_plugin_file(path).value();
    const auto plugin = Plugin::load(file, open(file), nullptr).value();
    dir_.write("good.so", std::string(as_text(zoo_bytes("good.so")).size(), 'x'));
    EXPECT_TRUE(plugin->call(PluginCallback::kConfigure));

    Bytes changed = zoo_bytes("good.so");
    const std::string_view text = as_text(changed);
    const std::size_t at = text.rfind("1.2.3"); // the version, in the information that a plugin holds once
    ASSERT_NE(at, std::string_view::npos);
    changed[at] = std::byte{'9'};
    dir_.write("good.so", as_text(changed));
    const PluginFile next = read_plugin_file(path).value();
    EXPECT_EQ(next.info.version, "9.2.3");
    const auto beside = Plugin::load(next, open(next), nullptr);
    ASSERT_TRUE(beside) << beside.error().what;
    EXPECT_TRUE((*beside)->call(PluginCallback::kConfigure));
    EXPECT_TRUE(plugin->call(PluginCallback::kConfigure));
}

TEST_F(PluginTest, FileThatIsReplacedInBetween) {
    const fs::path path = dir_.write("good.so", as_text(zoo_bytes("good.so")));
    PluginFile file = read_plugin_file(path).value();
    const std::shared_ptr<SchedulerObject> object = open(file);
    file.object.back() ^= std::byte{1};
    const auto plugin = Plugin::load(file, object, nullptr);
    ASSERT_FALSE(plugin);
    EXPECT_THAT(plugin.error().what, HasSubstr("its descriptor differs from what its file says"));
    fs::remove(path);
    EXPECT_FALSE(Plugin::load(file, object, nullptr)) << "and when it is gone";
}

TEST_F(PluginTest, PluginOfContract1_0Works) {
    {
        const auto plugin = load(zoo_path("old.so"));
        ASSERT_TRUE(plugin) << plugin.error().what;
        EXPECT_EQ(file_.info.contract, (ContractVersion{1, 0}));
        for (const PluginCallback callback : kCallbacks)
            EXPECT_TRUE((*plugin)->call(callback));
        EXPECT_TRUE((*plugin)->statistics().empty());
    }
    EXPECT_THAT(journal(), ElementsAre("configure", "loaded", "attached", "tick", "detaching", "destroy"));
    EXPECT_THAT(logged_, ElementsAre("1 old: contract 1.0"));
    EXPECT_FALSE(is_in_memory(zoo_path("old.so")));
}

TEST_F(PluginTest, StatisticsOfItsOwn) {
    const auto plugin = load(zoo_path("good.so")).value();
    EXPECT_TRUE(plugin->call(PluginCallback::kLoaded));
    ASSERT_EQ(plugin->statistics().size(), 2U);
    const StatisticDeclaration& ticks = plugin->statistics()[0];
    EXPECT_EQ(ticks.name, "ticks");
    EXPECT_EQ(ticks.kind, StatisticKind::kCounter);
    EXPECT_EQ(ticks.help, "Calls of tick()");
    EXPECT_EQ(ticks.group, "user space");
    EXPECT_EQ(plugin->statistics()[1].kind, StatisticKind::kGauge);
    std::vector<std::int64_t> values = {5};
    plugin->append_values(values);
    EXPECT_THAT(values, ElementsAre(5, 0, 0));
    EXPECT_TRUE(plugin->call(PluginCallback::kTick));
    EXPECT_TRUE(plugin->call(PluginCallback::kTick));
    values.clear();
    plugin->append_values(values);
    EXPECT_THAT(values, ElementsAre(2, -2));

    const Environment environment(zoo::kFault, "late statistic");
    EXPECT_EQ(
        plugin->call(PluginCallback::kTick).error().what,
        "plugin 'good' failed to do its periodic work: statistic 'late' comes too late: add it in the constructor, "
        "configure() or loaded()");
    EXPECT_EQ(plugin->statistics().size(), 2U);
}

TEST_F(PluginTest, PostedCallsTellWhatCameOfThem) {
    const auto plugin = load(zoo_path("good.so")).value();
    const Environment environment(zoo::kFault, "tick:exception");
    plugin->post(PluginCallback::kTick);
    std::vector<PluginThread::Outcome> outcomes = next_outcomes(*plugin);
    ASSERT_EQ(outcomes.size(), 1U);
    EXPECT_STREQ(outcomes[0].callback, "tick");
    EXPECT_EQ(outcomes[0].result.error().what, "plugin 'good' failed to do its periodic work: tick ran into trouble");
    EXPECT_TRUE(plugin->outcomes().empty()) << "told once";
    EXPECT_FALSE(plugin->busy());
}

TEST_F(PluginTest, LastFailuresAreNotLost) {
    auto plugin = load(zoo_path("good.so")).value();
    const Environment environment(zoo::kFault, "detaching:exception");
    plugin->post(PluginCallback::kDetaching);
    plugin.reset();
    EXPECT_THAT(logged_,
                ElementsAre("2 good: plugin 'good' failed to prepare for detaching: detaching ran into trouble"));
}

TEST_F(PluginTest, CallsRunOnAThreadWithoutSignals) {
    const auto plugin = load(zoo_path("good.so")).value();
    std::vector<std::string> blocked;
    for (const auto& task : fs::directory_iterator("/proc/self/task")) {
        std::string name;
        std::getline(std::ifstream(task.path() / "comm") >> std::ws, name);
        std::ifstream status(task.path() / "status");
        for (std::string line; name == "scx/good" && std::getline(status, line);)
            if (line.starts_with("SigBlk:"))
                blocked.push_back(line.substr(line.find_last_of("\t ") + 1));
    }
    ASSERT_EQ(blocked.size(), 1U);
    EXPECT_EQ(std::stoull(blocked[0], nullptr, 16) & 0x4003U, 0x4003U) << "SIGHUP, SIGINT, SIGTERM: " << blocked[0];
}

TEST_F(PluginTest, HangIsSeenAndNotWaitedForAndOver) {
    const fs::path gate = dir_.write("gate", "");
    const Environment at(zoo::kGate, gate.string());
    const auto plugin = load(zoo_path("good.so"), {.preparing = kPatience, .running = 20ms}).value();
    EXPECT_FALSE(plugin->hang());
    {
        const Environment environment(zoo::kFault, "tick:hang");
        plugin->post(PluginCallback::kTick);
        ASSERT_TRUE(comes_true([&] { return plugin->hang() && journal().back() == "hangs"; }));
    }
    const PluginHang hang = *plugin->hang();
    EXPECT_EQ(hang.callback, "tick");
    EXPECT_GE(hang.since, 20ms);
    EXPECT_LT(hang.cpu, hang.since) << "it sleeps";
    EXPECT_THAT(hang.error.what, StartsWith("plugin 'good' hangs in its tick() callback: it has not returned for "));
    EXPECT_TRUE(plugin->busy());

    // Would wait for a minute.
    const Result<> refused = plugin->call(PluginCallback::kConfigure);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().what, StartsWith("plugin 'good' hangs in its tick() callback: "));

    fs::remove(gate);
    EXPECT_TRUE(comes_true([&] { return !plugin->busy(); }));
    EXPECT_FALSE(plugin->hang());
    EXPECT_THAT(journal(), ElementsAre("library loaded", "create", "tick", "hangs", "configure"))
        << "in the order of the calls";
    EXPECT_TRUE(plugin->call(PluginCallback::kTick));
}

TEST_F(PluginTest, OneThatComputesIsToldFromOneThatWaits) {
    const fs::path gate = dir_.write("gate", "");
    const Environment at(zoo::kGate, gate.string());
    const auto plugin = load(zoo_path("good.so"), {.preparing = kPatience, .running = 1ms}).value();
    const Environment environment(zoo::kFault, "tick:spin");
    plugin->post(PluginCallback::kTick);
    EXPECT_TRUE(comes_true([&] {
        const auto hang = plugin->hang();
        return hang && hang->cpu > 20ms;
    }));
    fs::remove(gate);
    EXPECT_TRUE(comes_true([&] { return !plugin->busy(); }));
}

TEST_F(PluginTest, HangingOnesDoNotPileUp) {
    const fs::path gate = dir_.write("gate", "");
    {
        const Environment at(zoo::kGate, gate.string());
        const Environment environment(zoo::kFault, "create:hang");
        const auto nr_hanging = [this] { return std::ranges::count(journal(), "hangs"); };
        // On a slow machine some do not come as far as their create().
        for (auto allowance = 20ms; nr_hanging() < 4; allowance *= 2)
            ASSERT_FALSE(load(zoo_path("good.so"), {.preparing = allowance, .running = allowance}));
        ASSERT_TRUE(comes_true([] { return PluginThread::left_behind() == 4; }));
        const auto refused = load(zoo_path("good.so"));
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().what, "cannot use plugin " + zoo_path("good.so").string() +
                                            ": 4 plugins that hang are in this process already");
        EXPECT_EQ(refused.error().hint, "restart scxhost to be rid of them");
        fs::remove(gate);
    }
    EXPECT_TRUE(comes_true([] { return PluginThread::left_behind() == 0; }));
    EXPECT_TRUE(comes_true([&] { return !is_in_memory(zoo_path("good.so")); }));
}

} // namespace
} // namespace scxhost
