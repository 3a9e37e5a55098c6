// SPDX-License-Identifier: GPL-2.0-only
//
// Plugins loaded: the order of their life, what they may do wrong, and that nothing of them stays.
#include "host/plugins/plugin.hpp"
#include "host/plugins/plugin_file.hpp"
#include "host/supervisor/prepared_scheduler.hpp"
#include "tests/plugins/journal.hpp"
#include "tests/plugins/zoo.hpp"
#include <scxhost/plugin.h>

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <fstream>

namespace scxhost {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

class PluginTest : public testing::Test {
protected:
    // Opens the plugin's object and loads its library.
    Result<std::unique_ptr<Plugin>> load(const fs::path& path) {
        file_ = read_plugin_file(path).value();
        object_.emplace(
            SchedulerObject::open({.name = file_.info.name, .bytes = file_.object, .struct_ops = {}}).value());
        return Plugin::load(file_, *object_, [this](int level, std::string_view plugin, std::string_view message) {
            logged_.push_back(std::to_string(level) + " " + std::string(plugin) + ": " + std::string(message));
        });
    }
    Result<std::unique_ptr<Plugin>> load(const char* name, const std::string& fault) {
        const Environment environment(zoo::kFault, fault);
        return load(zoo_path(name));
    }
    std::string refusal(const char* name, const std::string& fault) {
        const auto plugin = load(name, fault);
        if (plugin)
            return "accepted";
        EXPECT_EQ(plugin.error().kind, ErrorKind::kPlugin);
        return plugin.error().what;
    }

    std::vector<std::string> journal() const {
        std::ifstream file(journal_path_);
        std::vector<std::string> lines;
        for (std::string line; std::getline(file, line);)
            lines.push_back(line);
        return lines;
    }
    static bool is_in_memory(const fs::path& path) {
        std::ifstream maps("/proc/self/maps");
        for (std::string line; std::getline(maps, line);)
            if (line.ends_with("/memfd:" + path.filename().string() + " (deleted)"))
                return true;
        return false;
    }
    static std::string cannot_use(const char* name) { return "cannot use plugin " + zoo_path(name).string() + ": "; }

    TempDir dir_;
    fs::path journal_path_ = dir_.path() / "journal";
    Environment journal_{zoo::kJournal, journal_path_.string()};
    PluginFile file_;
    std::optional<SchedulerObject> object_;
    std::vector<std::string> logged_;
};

TEST_F(PluginTest, CallbacksInOrderAndNothingStays) {
    {
        const std::unique_ptr<Plugin> plugin = load(zoo_path("good.so")).value();
        EXPECT_TRUE(is_in_memory(zoo_path("good.so")));
        EXPECT_TRUE(plugin->configure());
        EXPECT_TRUE(plugin->loaded());
        EXPECT_TRUE(plugin->attached());
        EXPECT_TRUE(plugin->tick());
        EXPECT_TRUE(plugin->detaching());
        plugin->object_closed();
    }
    EXPECT_THAT(journal(), ElementsAre("library loaded", "create", "configure", "loaded", "attached", "tick",
                                       "detaching", "destroy", "library unloaded"));
    EXPECT_FALSE(is_in_memory(zoo_path("good.so"))) << "the library stays in memory";
    EXPECT_THAT(logged_, ElementsAre("1 good: slice 20000000"));
    std::uint32_t count = 0;
    std::memcpy(&count, object_->variable_bytes(*object_->btf().find_variable("count")).data(), sizeof count);
    EXPECT_EQ(count, 77U) << "what the plugin has set";
}

TEST_F(PluginTest, ObjectIsClosedBeforeTheInstanceAndTheInstanceBeforeTheLibrary) {
    Config config;
    config.scheduler.plugin = "raw";
    config.host.plugin_dirs = {SCXHOST_ZOO_DIR};
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
    SchedulerObject first = SchedulerObject::open({.name = "good", .bytes = file.object, .struct_ops = {}}).value();
    SchedulerObject second = SchedulerObject::open({.name = "good", .bytes = file.object, .struct_ops = {}}).value();
    auto one = Plugin::load(file, first, nullptr).value();
    auto two = Plugin::load(file, second, nullptr).value();
    one.reset();
    EXPECT_TRUE(two->configure());
    EXPECT_TRUE(is_in_memory(zoo_path("good.so")));
}

TEST_F(PluginTest, ExactlyOneExport) {
    for (const fs::path& path :
         {zoo_path("good.so"), zoo_path("raw.so"), zoo_path("unresolved.so"),
          fs::path(SCXHOST_PLUGINS_DIR) / "simple.so", fs::path(SCXHOST_PLUGINS_DIR) / "qmap.so"}) {
        const ElfImage image = ElfImage::parse(read_binary_file(path, 64U << 20U, "plugin").value()).value();
        const ElfImage::Section* symbols = image.find(".dynsym");
        ASSERT_NE(symbols, nullptr);
        const std::span<const std::byte> bytes = image.contents(*symbols);
        std::vector<std::string> exported;
        for (std::size_t at = 0; at + sizeof(Elf64_Sym) <= bytes.size(); at += sizeof(Elf64_Sym)) {
            Elf64_Sym symbol;
            std::memcpy(&symbol, bytes.data() + at, sizeof symbol);
            if (symbol.st_shndx != SHN_UNDEF)
                exported.emplace_back(image.text(image.sections()[symbols->link], symbol.st_name).value());
        }
        EXPECT_THAT(exported, ElementsAre(SCXHOST_PLUGIN_ENTRY)) << path;
    }
}

TEST_F(PluginTest, ExceptionsOfTheSdkBecomeErrors) {
    const struct {
        const char* method;
        const char* doing;
        Result<> (Plugin::*call)();
    } methods[] = {
        {"configure", "configure", &Plugin::configure},
        {"loaded", "prepare after loading", &Plugin::loaded},
        {"attached", "take note of the attach", &Plugin::attached},
        {"tick", "do its periodic work", &Plugin::tick},
        {"detaching", "prepare for detaching", &Plugin::detaching},
    };
    const struct {
        const char* fault;
        const char* what;
        int sys_errno;
        const char* hint;
    } faults[] = {
        {"error", " is not in the mood", EAGAIN, "try tomorrow"},
        {"exception", " ran into trouble", EINVAL, ""},
        {"memory", "out of memory", ENOMEM, ""},
        {"int", "the plugin threw something that is not a std::exception", EINVAL, ""},
    };
    for (const auto& fault : faults) {
        const std::string own = fault.what[0] == ' ' ? std::string("create") + fault.what : fault.what;
        const auto refused = load("good.so", std::string("create:") + fault.fault);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().what, "plugin 'good' failed to start: " + own);
        for (const auto& method : methods) {
            SCOPED_TRACE(std::string(method.method) + ":" + fault.fault);
            const auto plugin = load(zoo_path("good.so")).value();
            const Environment environment(zoo::kFault, std::string(method.method) + ":" + fault.fault);
            const Result<> result = ((*plugin).*method.call)();
            ASSERT_FALSE(result);
            EXPECT_EQ(result.error().kind, ErrorKind::kPlugin);
            EXPECT_EQ(result.error().what, std::string("plugin 'good' failed to ") + method.doing + ": " +
                                               (fault.what[0] == ' ' ? method.method : "") + fault.what);
            EXPECT_EQ(result.error().hint, fault.hint);
            EXPECT_EQ(result.error().sys_errno, fault.sys_errno);
        }
    }
    EXPECT_FALSE(is_in_memory(zoo_path("good.so")));
}

TEST_F(PluginTest, FailedStartIsNotEnded) {
    EXPECT_EQ(refusal("good.so", "create:exception"), "plugin 'good' failed to start: create ran into trouble");
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
    };
    for (const auto& test : cases) {
        const auto plugin = load(zoo_path("good.so")).value();
        const Environment environment(zoo::kFault, test.fault);
        const Result<> result = plugin->configure();
        ASSERT_FALSE(result) << test.fault;
        EXPECT_EQ(result.error().what, std::string("plugin 'good' failed to configure: ") + test.what);
    }
}

TEST_F(PluginTest, NothingEscapesFromARawPlugin) {
    const std::pair<std::string, Result<> (Plugin::*)()> callbacks[] = {{"configure", &Plugin::configure},
                                                                        {"loaded", &Plugin::loaded},
                                                                        {"attached", &Plugin::attached},
                                                                        {"tick", &Plugin::tick},
                                                                        {"detaching", &Plugin::detaching}};
    for (const std::string thrown : {"exception", "int"}) {
        EXPECT_EQ(refusal("raw.so", "create:" + thrown),
                  "plugin 'raw' let an exception escape from its create() callback");
        const auto plugin = load(zoo_path("raw.so")).value();
        for (const auto& [name, call] : callbacks) {
            const Environment environment(zoo::kFault, name + ":" + thrown);
            const Result<> result = ((*plugin).*call)();
            ASSERT_FALSE(result) << name;
            EXPECT_EQ(result.error().what, "plugin 'raw' let an exception escape from its " + name + "() callback");
            EXPECT_THAT(result.error().hint, HasSubstr("its author must catch exceptions"));
        }
    }
    auto plugin = load(zoo_path("raw.so")).value();
    const Environment environment(zoo::kFault, "destroy:exception");
    plugin.reset();
    EXPECT_FALSE(is_in_memory(zoo_path("raw.so")));
}

TEST_F(PluginTest, ErrnoWithoutAMessageIsExplained) {
    EXPECT_EQ(refusal("raw.so", "create:errno"), "plugin 'raw' failed to start: No space left on device");
    const auto plugin = load(zoo_path("raw.so")).value();
    const auto tick = [&](const char* fault) {
        const Environment environment(zoo::kFault, fault);
        return plugin->tick().error();
    };
    EXPECT_EQ(tick("tick:errno").what, "plugin 'raw' failed to do its periodic work: No space left on device");
    EXPECT_EQ(tick("tick:errno").sys_errno, ENOSPC);
    for (const char* fault : {"tick:positive", "tick:minimum"})
        EXPECT_EQ(tick(fault).sys_errno, EINVAL) << fault;
}

TEST_F(PluginTest, HostRefusesMisuse) {
    const auto plugin = load(zoo_path("raw.so")).value();
    const Environment environment(zoo::kFault, "misuse");
    const Result<> result = plugin->configure();
    EXPECT_TRUE(result) << result.error().what;
}

TEST_F(PluginTest, BrokenDescriptorsAreNamed) {
    const std::string damaged = "its descriptor is damaged";
    const std::string differs = "its descriptor differs from what its file says";
    const struct {
        const char* fault;
        std::string what;
    } cases[] = {
        {"entry:exception", "it let an exception escape from scxhost_plugin()"},
        {"null descriptor", damaged},
        {"null info", damaged},
        {"short descriptor", damaged},
        {"endless descriptor", damaged},
        {"descriptor with a tail", "its descriptor uses fields that this host does not know"},
        {"other name", differs},
        {"other object", differs},
        {"no object", differs},
        {"short object", differs},
        {"short callbacks", "its table of callbacks says it has 4 bytes"},
        {"half a callback", "its table of callbacks says it has 12 bytes"},
        {"endless callbacks", "its table of callbacks says it has 4294967295 bytes"},
        {"callbacks with a tail", "its table has callbacks that this host does not know"},
    };
    for (const auto& test : cases) {
        SCOPED_TRACE(test.fault);
        EXPECT_EQ(refusal("raw.so", test.fault), cannot_use("raw.so") + test.what);
        EXPECT_FALSE(is_in_memory(zoo_path("raw.so"))) << "what was refused does not stay";
    }
    EXPECT_TRUE(journal().empty()) << "an instance was made";
}

TEST_F(PluginTest, LongerAndShorterStructsOfOtherVersionsWork) {
    for (const char* fault : {"descriptor with a zero tail", "callbacks with a zero tail", "no callback"})
        EXPECT_TRUE(load("raw.so", fault)) << fault;
    const auto plugin = load("raw.so", "no callback");
    EXPECT_TRUE((*plugin)->tick()) << "a callback that the plugin does not have";
}

TEST_F(PluginTest, UnresolvedSymbolShowsAtOnce) {
    const auto plugin = load(zoo_path("unresolved.so"));
    ASSERT_FALSE(plugin);
    EXPECT_THAT(plugin.error().what, StartsWith(cannot_use("unresolved.so")));
    EXPECT_THAT(plugin.error().what, HasSubstr("a_function_that_nobody_has"));
}

TEST_F(PluginTest, MissingEntryFunction) {
    Bytes bytes = zoo_bytes("good.so");
    const std::size_t at = as_text(bytes).find("scxhost_plugin", section_offset(bytes, ".dynstr"));
    bytes[at] = std::byte{'X'};
    const fs::path path = dir_.write("good.so", as_text(bytes));
    const auto plugin = load(path);
    ASSERT_FALSE(plugin);
    EXPECT_EQ(plugin.error().what, "cannot use plugin " + path.string() + ": it does not export scxhost_plugin()");
    EXPECT_EQ(plugin.error().hint, "build it with scx_add_plugin()");
}

// As a build or an installation does it while the host runs: the code that is loaded stays, and the next build of the
// file is loaded beside it.
TEST_F(PluginTest, FileThatIsWrittenInto) {
    const fs::path path = dir_.write("good.so", as_text(zoo_bytes("good.so")));
    const PluginFile file = read_plugin_file(path).value();
    SchedulerObject object = SchedulerObject::open({.name = "good", .bytes = file.object, .struct_ops = {}}).value();
    const auto plugin = Plugin::load(file, object, nullptr).value();
    dir_.write("good.so", std::string(as_text(zoo_bytes("good.so")).size(), 'x'));
    EXPECT_TRUE(plugin->configure());

    Bytes changed = zoo_bytes("good.so");
    const std::string_view text = as_text(changed);
    const std::size_t at = text.rfind("1.2.3"); // the version, in the information that a plugin holds once
    ASSERT_NE(at, std::string_view::npos);
    changed[at] = std::byte{'9'};
    dir_.write("good.so", as_text(changed));
    const PluginFile next = read_plugin_file(path).value();
    EXPECT_EQ(next.info.version, "9.2.3");
    SchedulerObject second = SchedulerObject::open({.name = "good", .bytes = next.object, .struct_ops = {}}).value();
    const auto beside = Plugin::load(next, second, nullptr);
    ASSERT_TRUE(beside) << beside.error().what;
    EXPECT_TRUE((*beside)->configure());
    EXPECT_TRUE(plugin->configure());
}

TEST_F(PluginTest, FileThatIsReplacedInBetween) {
    const fs::path path = dir_.write("good.so", as_text(zoo_bytes("good.so")));
    PluginFile file = read_plugin_file(path).value();
    SchedulerObject object = SchedulerObject::open({.name = "good", .bytes = file.object, .struct_ops = {}}).value();
    file.object.back() ^= std::byte{1};
    const auto plugin = Plugin::load(file, object, nullptr);
    ASSERT_FALSE(plugin);
    EXPECT_THAT(plugin.error().what, HasSubstr("its descriptor differs from what its file says"));
    fs::remove(path);
    EXPECT_FALSE(Plugin::load(file, object, nullptr)) << "and when it is gone";
}

} // namespace
} // namespace scxhost
