// SPDX-License-Identifier: GPL-2.0-only
#include "host/config/config.hpp"
#include "host/config/selection.hpp"
#include "tests/support/places.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace scxhost {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Key;
using testing::Not;

// Every key at a value that is not its default.
constexpr std::string_view kFull = R"(# a comment
[scheduler]
plugin = "qmap"
struct_ops = "qmap_ops"

[scheduler.options]
slice = "20ms"
max_tasks = 16_384
fifo = true
ratio = 0.5
cpus = [0, 1]
queue.depth = 3

[scheduler.options.stall]
user = 1

[scheduler.ops]
timeout_ms = 5000

[host]
plugin_dirs = ["/opt/a", "/opt/b"]
fallback = ["simple", "other-one"]

[swap]
probation = "1m"
expedite_rcu = false

[restart]
limit = 3
window = "1h"
delay = "2s"
max_delay = "1m"

[stats]
interval = "250ms"
variables = ["nr_enqueued", "stats.local"]

[log]
level = "debug"

[control]
socket = "/run/x.sock"
group = "wheel"
readers = "monitors"

[incidents]
dir = "/srv/incidents"
limit = "8MiB"
)";

TEST(Config, EveryKeyIsRead) {
    const auto config = parse_config(kFull, "/etc/scxhost/full.toml");
    ASSERT_TRUE(config) << config.error().what;
    EXPECT_EQ(config->name, "/etc/scxhost/full.toml");
    EXPECT_EQ(config->scheduler.plugin, "qmap");
    EXPECT_EQ(config->scheduler.object, "");
    EXPECT_EQ(config->scheduler.struct_ops, "qmap_ops");
    EXPECT_THAT(config->host.plugin_dirs, ElementsAre("/opt/a", "/opt/b"));
    EXPECT_THAT(config->host.fallback, ElementsAre("simple", "other-one"));
    EXPECT_EQ(config->swap.probation, 60s);
    EXPECT_FALSE(config->swap.expedite_rcu);
    EXPECT_EQ(config->stats.interval, 250ms);
    EXPECT_THAT(config->stats.variables, ElementsAre("nr_enqueued", "stats.local"));
    EXPECT_EQ(config->log.level, LogLevel::kDebug);
    EXPECT_EQ(config->control.socket, "/run/x.sock");
    EXPECT_EQ(config->control.group, "wheel");
    EXPECT_EQ(config->control.readers, "monitors");
    EXPECT_EQ(config->restart.limit, 3);
    EXPECT_EQ(config->restart.window, 1h);
    EXPECT_EQ(config->restart.delay, 2s);
    EXPECT_EQ(config->restart.max_delay, 1min);
    EXPECT_EQ(config->incidents.dir, "/srv/incidents");
    EXPECT_EQ(config->incidents.limit, 8U << 20);
}

TEST(Config, OptionsKeepTheirOrderTheirTypeAndTheirPlace) {
    const auto config = parse_config(kFull, "full.toml");
    ASSERT_TRUE(config);
    std::vector<std::string> options;
    for (const Setting& option : config->scheduler.options)
        options.push_back(option.key + " = " + format_value(option.value) + " @ " + to_string(option.key_where) + " " +
                          to_string(option.where));
    EXPECT_THAT(options,
                ElementsAre("slice = \"20ms\" @ full.toml:7:1 full.toml:7:9",
                            "max_tasks = 16384 @ full.toml:8:1 full.toml:8:13",
                            "fifo = true @ full.toml:9:1 full.toml:9:8", "ratio = 0.5 @ full.toml:10:1 full.toml:10:9",
                            "cpus = [0, 1] @ full.toml:11:1 full.toml:11:8",
                            "queue.depth = 3 @ full.toml:12:7 full.toml:12:15",
                            "stall.user = 1 @ full.toml:15:1 full.toml:15:8"));
    const Setting& cpus = config->scheduler.options[4];
    EXPECT_EQ(cpus.as_array().value()[1].key, "cpus[1]");
    EXPECT_EQ(to_string(cpus.as_array().value()[1].where), "full.toml:11:12");

    ASSERT_EQ(config->scheduler.ops.size(), 1U);
    EXPECT_EQ(config->scheduler.ops[0].key, "timeout_ms");
    EXPECT_EQ(config->scheduler.ops[0].as_integer().value(), 5000);
}

TEST(Config, DefaultsHoldForWhatIsNotGiven) {
    const auto config = parse_config("[scheduler]\nplugin = 'simple'\n", "x.toml");
    ASSERT_TRUE(config);
    EXPECT_THAT(config->host.plugin_dirs, ElementsAre(default_plugin_dir()));
    EXPECT_THAT(config->host.fallback, IsEmpty());
    EXPECT_EQ(config->swap.probation, 10s);
    EXPECT_TRUE(config->swap.expedite_rcu);
    EXPECT_EQ(config->stats.interval, 1s);
    EXPECT_EQ(config->log.level, LogLevel::kInfo);
    EXPECT_EQ(config->control.socket, "/run/scxhost/control.sock");
    EXPECT_EQ(config->control.group, "");
    EXPECT_EQ(config->control.readers, "");
    EXPECT_EQ(config->restart.limit, 5);
    EXPECT_EQ(config->restart.window, 10min);
    EXPECT_EQ(config->restart.delay, 500ms);
    EXPECT_EQ(config->restart.max_delay, 30s);
    EXPECT_EQ(config->incidents.dir, "/var/lib/scxhost/incidents");
    EXPECT_EQ(config->incidents.limit, 64U << 20);
    EXPECT_EQ(to_string(config->where("scheduler.plugin")), "x.toml:2:10");
    EXPECT_EQ(to_string(config->where("host.fallback")), "x.toml") << "not set: the file as a whole";
}

TEST(Config, RelativeObjectIsRelativeToTheFile) {
    const auto object = [](const char* text, const char* name) {
        const auto config = parse_config("[scheduler]\nobject = \"" + std::string(text) + "\"\n", name);
        return config ? config->scheduler.object.string() : config.error().what;
    };
    EXPECT_EQ(object("my.bpf.o", "/etc/scxhost/x.toml"), "/etc/scxhost/my.bpf.o");
    EXPECT_EQ(object("../my.bpf.o", "/etc/scxhost/x.toml"), "/etc/my.bpf.o");
    EXPECT_EQ(object("/opt/my.bpf.o", "/etc/scxhost/x.toml"), "/opt/my.bpf.o");
    EXPECT_EQ(object("my.bpf.o", "sub/x.toml"), (std::filesystem::current_path() / "sub/my.bpf.o").string());
}

// A single thing is wrong in each.
TEST(Config, BadInputIsRefusedWithPlaceReasonAndHint) {
    const std::string nul("[scheduler]\nplugin = \"a\0b\"\n", 26);
    const std::string deep = "[scheduler.options]\n" + [] {
        std::string key = "a";
        for (int i = 0; i < 20; ++i)
            key += ".a";
        return key;
    }() + " = 1\n";
    const struct {
        const char* description;
        std::string text;
        const char* where;
        const char* what;
        const char* hint;
    } cases[] = {
        {"syntax: a duration without quotes", "[scheduler]\nplugin = \"x\"\n[scheduler.options]\nslice = 20ms # ms\n",
         "c.toml:4:11", "not valid TOML: error while parsing decimal integer: expected digit, saw 'm'",
         R"(text stands between quotes: slice = "20ms")"},
        {"syntax: a word without quotes", "[scheduler]\nplugin = qmap\n", "c.toml:2:10",
         "not valid TOML: error while parsing value: could not determine value type",
         R"(text stands between quotes: plugin = "qmap")"},
        {"syntax: yes for true", "[swap]\nexpedite_rcu = yes\n", "c.toml:2:16",
         "not valid TOML: error while parsing value: could not determine value type", "write expedite_rcu = true"},
        {"syntax: a section that is not closed", "[scheduler\nplugin = \"x\"\n", "c.toml:1:11",
         "not valid TOML: error while parsing table header: expected ']', saw '\\n'", ""},
        {"syntax: a value is missing", "[scheduler]\nplugin =\n", "c.toml:2:9",
         "not valid TOML: error while parsing key-value pair: expected value, saw '\\n'", ""},
        {"syntax: a key twice", "[scheduler]\nplugin = \"a\"\nplugin = \"b\"\n", "c.toml:3:10",
         "not valid TOML: error while parsing key-value pair: cannot redefine existing string 'plugin'", ""},
        {"syntax: an integer of more than 64 bits", "[scheduler.options]\na = 9223372036854775808\n", "c.toml:2:24",
         "not valid TOML: error while parsing decimal integer: '9223372036854775808' is not representable in 64 bits",
         ""},
        {"not UTF-8", "[scheduler]\nplugin = \"\xff\"\n", "c.toml:2:10",
         "not valid TOML: encountered invalid utf-8 sequence", ""},
        {"a NUL byte", nul, "c.toml:2:12", "a NUL byte: this is not a text file", ""},
        {"too large", std::string(64 * 1024 + 1, '#'), "c.toml", "larger than 64KiB: this is not a configuration", ""},
        {"empty", "", "c.toml", "no scheduler is selected",
         R"(write plugin = "NAME", object = "PATH" or program = "PATH" in the section [scheduler])"},
        {"no plugin in the section", "[log]\n\n[scheduler]\nstruct_ops = \"a\"\n", "c.toml:3:2",
         "no scheduler is selected",
         R"(write plugin = "NAME", object = "PATH" or program = "PATH" in the section [scheduler])"},
        {"plugin and object", "[scheduler]\nplugin = \"a\"\nobject = \"b.bpf.o\"\n", "c.toml:3:10",
         "scheduler.plugin and scheduler.object are both given", "keep the one that is to run"},
        {"object and program", "[scheduler]\nprogram = \"/b\"\nobject = \"b.bpf.o\"\n", "c.toml:3:10",
         "scheduler.program and scheduler.object are both given", "keep the one that is to run"},
        {"program with a relative path", "[scheduler]\nprogram = \"scx_lavd\"\n", "c.toml:2:11",
         R"(scheduler.program: the path "scx_lavd" is not absolute)", R"(start it with "/")"},
        {"program with options", "[scheduler]\nprogram = \"/b\"\n[scheduler.options]\na = 1\n", "c.toml:4:5",
         "scheduler.options.a: a program takes no options of the host's", "give it arguments: scheduler.args"},
        {"arguments without a program", "[scheduler]\nplugin = \"a\"\nargs = [\"-v\"]\n", "c.toml:3:8",
         "scheduler.args: only a program has arguments", "a plugin or object has options: [scheduler.options]"},
        {"environment without a program", "[scheduler]\nplugin = \"a\"\nenv = { A = \"b\" }\n", "c.toml:3:13",
         "scheduler.env.A: only a program has an environment", "remove it, or select a program"},
        {"environment that is no text", "[scheduler]\nprogram = \"/b\"\nenv = { A = 1 }\n", "c.toml:3:13",
         "A: expected a string, found the integer 1", "put the value between quotes"},
        {"way back that is none", "[scheduler]\nprogram = \"/b\"\n[program]\nway_back = \"freeze\"\n", "c.toml:4:12",
         R"(program.way_back: "freeze" is not a way back)", R"("standby" or "restart")"},
        {"unknown section, a known one is near", "[schedular]\nplugin = \"a\"\n", "c.toml:1:2",
         "unknown section [schedular]", R"(did you mean "scheduler"?)"},
        {"unknown section, none is near", "[scheduler]\nplugin = \"a\"\n[x]\n", "c.toml:3:2", "unknown section [x]",
         "known sections: scheduler, program, host, swap, restart, stats, log, control, incidents, dbus and power"},
        {"unknown key, a known one is near", "[host]\nfallbak = []\n", "c.toml:2:1",
         R"(unknown key "fallbak" in [host])", R"(did you mean "fallback"?)"},
        {"unknown key, none is near", "[swap]\nblanket = 1\n", "c.toml:2:1", R"(unknown key "blanket" in [swap])",
         "known keys: probation and expedite_rcu"},
        {"unknown sub-table", "[swap.blanket]\na = 1\n", "c.toml:1:7", R"(unknown key "blanket" in [swap])",
         "known keys: probation and expedite_rcu"},
        {"key of another section", "[host]\ninterval = \"1s\"\n", "c.toml:2:1", R"(unknown key "interval" in [host])",
         "it belongs in the section [stats]"},
        {"key outside of its section", "plugin = \"a\"\n", "c.toml:1:1",
         R"(unknown key "plugin", outside of every section)", "it belongs in the section [scheduler]"},
        {"option in the scheduler's own section", "[scheduler]\nslice = \"20ms\"\n", "c.toml:2:1",
         R"(unknown key "slice" in [scheduler])",
         "the scheduler's own options stand in the section [scheduler.options]"},
        {"wrong type: a number for a name", "[scheduler]\nplugin = 7\n", "c.toml:2:10",
         "scheduler.plugin: expected a string, found the integer 7", "put the value between quotes"},
        {"wrong type: a string for a truth value", "[swap]\nexpedite_rcu = \"yes\"\n", "c.toml:2:16",
         R"(swap.expedite_rcu: expected true or false, found the string "yes")", "write true or false, without quotes"},
        {"wrong type: a string for an array", "[host]\nfallback = \"simple\"\n", "c.toml:2:12",
         R"(host.fallback: expected an array, found the string "simple")", R"(write ["simple"])"},
        {"wrong type in an array", "[host]\nfallback = [\n  \"simple\",\n  5,\n]\n", "c.toml:4:3",
         "host.fallback[1]: expected a string, found the integer 5", "put the value between quotes"},
        {"wrong type: a value for a section", "scheduler = 1\n", "c.toml:1:13",
         "scheduler: expected a table, found the integer 1",
         "write [scheduler] on a line of its own, and the table's keys below it"},
        {"wrong type: a value for the options", "[scheduler]\noptions = [1]\n", "c.toml:2:11",
         "scheduler.options: expected a table, found an array",
         "write [scheduler.options] on a line of its own, and the table's keys below it"},
        {"wrong type: a table for a value", "[scheduler.plugin]\nname = \"x\"\n", "c.toml:1:1",
         "scheduler.plugin: expected a value (string), found a table", ""},
        {"a section in double brackets", "[[scheduler]]\nplugin = \"x\"\n", "c.toml:1:1",
         "scheduler[0]: a table inside an array is not allowed",
         "a section is written with single brackets, [scheduler]"},
        {"arrays too deep", "[scheduler.options]\na = [[[1]]]\n", "c.toml:2:7",
         "scheduler.options.a[0][0]: arrays are nested more than 2 deep", ""},
        {"an array in an array of paths", "[host]\nplugin_dirs = [[\"/a\"]]\n", "c.toml:2:16",
         "host.plugin_dirs[0]: expected a string, found an array", "put the value between quotes"},
        {"a date", "[scheduler.options]\na = 2026-01-01\n", "c.toml:2:5",
         "scheduler.options.a: no setting takes a date or a time", "put the value between quotes"},
        {"a key with other characters", "[scheduler.options]\n\"a b\" = 1\n", "c.toml:2:1",
         R"(the key "a b" is not allowed)",
         "keys are made of letters, digits, '_' and '-'; sub-tables are written a.b"},
        {"an empty option table", "[scheduler]\nplugin = \"x\"\n[scheduler.options.a]\n", "c.toml:3:20",
         "a: the table is empty", ""},
        {"tables too deep", deep, "c.toml:2:29", "tables are nested more than 16 deep", ""},
        {"a number for a duration", "[swap]\nprobation = 10\n", "c.toml:2:13",
         "swap.probation: expected a duration with its unit, such as \"20ms\", found the integer 10",
         "write \"10ms\" if milliseconds are meant; units: ns, us, ms, s, m, h"},
        {"a duration of another unit", "[swap]\nprobation = \"10sec\"\n", "c.toml:2:13",
         R"(swap.probation: "10sec" is not a duration: "sec" is not a unit)",
         "write a number and its unit, such as \"20ms\"; units: ns, us, ms, s, m, h"},
        {"a duration out of range", "[stats]\ninterval = \"1ms\"\n", "c.toml:2:12",
         "stats.interval: 1ms is out of range: it must be from 10ms to 24h", ""},
        {"an integer out of range", "[restart]\nlimit = 1001\n", "c.toml:2:9",
         "restart.limit: 1001 is out of range: it must be from 0 to 1000", ""},
        {"a size out of range", "[incidents]\nlimit = \"64KiB\"\n", "c.toml:2:9",
         "incidents.limit: 64KiB is out of range: it must be from 1MiB to 1TiB", ""},
        {"a path for a plugin", "[scheduler]\nplugin = \"./a.so\"\n", "c.toml:2:10",
         R"(scheduler.plugin: "./a.so" is not a plugin name)",
         "a name is made of letters, digits, '_' and '-'; for a file write object = \"PATH\" instead of plugin"},
        {"an empty name", "[scheduler]\nplugin = \"\"\n", "c.toml:2:10", R"(scheduler.plugin: "" is not a plugin name)",
         "a name is made of letters, digits, '_' and '-'; for a file write object = \"PATH\" instead of plugin"},
        {"an empty path", "[scheduler]\nobject = \"\"\n", "c.toml:2:10", "scheduler.object: the path is empty", ""},
        {"a NUL in a path", "[scheduler]\nobject = \"a\\u0000\"\n", "c.toml:2:10",
         "scheduler.object: the path holds a NUL byte", ""},
        {"a struct_ops map that cannot be one", "[scheduler]\nstruct_ops = \"a-b\"\n", "c.toml:2:14",
         R"(scheduler.struct_ops: "a-b" is not the name of a struct_ops map)",
         "it is a C identifier, as in the object's source"},
        {"a relative plugin folder", "[host]\nplugin_dirs = [\"/a\", \"b\"]\n", "c.toml:2:22",
         R"(host.plugin_dirs[1]: the path "b" is not absolute)", R"(start it with "/")"},
        {"a variable that cannot be one", "[stats]\nvariables = [\"a.\"]\n", "c.toml:2:14",
         R"(stats.variables[0]: "a." is not the name of a variable)", "members of a struct are written a.b"},
        {"a level that there is not", "[log]\nlevel = \"warn\"\n", "c.toml:2:9",
         R"(log.level: expected error, warning, info, debug or trace, found "warn")", R"(did you mean "warning"?)"},
        {"a relative socket", "[control]\nsocket = \"x.sock\"\n", "c.toml:2:10",
         R"(control.socket: the path "x.sock" is not absolute)", R"(start it with "/")"},
        {"a socket longer than an address", "[control]\nsocket = \"/" + std::string(107, 'x') + "\"\n", "c.toml:2:10",
         "control.socket: the path has 108 bytes, at most 107 are possible", ""},
        {"a group that cannot be one", "[control]\ngroup = \"a b\"\n", "c.toml:2:9",
         R"(control.group: "a b" is not the name of a group)", "`getent group` lists the groups of this machine"},
    };
    for (const auto& test : cases) {
        SCOPED_TRACE(test.description);
        const auto config = parse_config(test.text, "c.toml");
        if (config) {
            ADD_FAILURE() << "accepted";
            continue;
        }
        const Error& error = config.error();
        EXPECT_EQ(error.kind, ErrorKind::kConfig);
        EXPECT_EQ(to_string(error.where.value_or(SourceLocation{.file = "no place"})), test.where);
        EXPECT_EQ(error.what, test.what);
        EXPECT_EQ(error.hint, test.hint);
        EXPECT_EQ(error.detail, "") << "one problem, one error";
    }
}

TEST(Config, AllProblemsAreReportedInTheOrderOfTheFile) {
    const auto config = parse_config("[swap]\n"
                                     "probation = 10\n"
                                     "[scheduler]\n"
                                     "plugn = \"x\"\n"
                                     "[log]\n"
                                     "level = \"infos\"\n",
                                     "c.toml");
    ASSERT_FALSE(config);
    EXPECT_EQ(to_string(config.error().where.value()), "c.toml:2:13");
    EXPECT_EQ(config.error().detail,
              "c.toml:4:1: unknown key \"plugn\" in [scheduler] (did you mean \"plugin\"?)\n"
              "c.toml:6:9: log.level: expected error, warning, info, debug or trace, found \"infos\" (did you mean "
              "\"info\"?)\n");
}

TEST(Config, VeryManyProblemsAreCounted) {
    std::string text = "[host]\n";
    for (int i = 0; i < 30; ++i)
        text += "k" + std::to_string(i) + " = 1\n";
    const auto config = parse_config(text, "c.toml");
    ASSERT_FALSE(config);
    EXPECT_THAT(config.error().detail, HasSubstr("c.toml:21:1: "));
    EXPECT_THAT(config.error().detail, Not(HasSubstr("c.toml:22:1: ")));
    EXPECT_THAT(config.error().detail, HasSubstr("and 10 more\n"));
}

TEST(Config, ALongDottedKeyDoesNotExhaustTheStack) {
    std::string key = "a";
    while (key.size() < 60 * 1024)
        key += ".a";
    EXPECT_FALSE(parse_config(key + " = 1\n", "c.toml"));
    EXPECT_FALSE(parse_config("[" + key + "]\n", "c.toml"));
}

class ConfigFileTest : public testing::Test {
protected:
    TempDir dir_;
};

TEST_F(ConfigFileTest, IsLoaded) {
    const auto file = dir_.write("c.toml", kFull);
    const auto config = load_config(file);
    ASSERT_TRUE(config) << config.error().what;
    EXPECT_EQ(config->name, file.string());
    EXPECT_EQ(config->scheduler.plugin, "qmap");
}

TEST_F(ConfigFileTest, ObjectBesideALinkToTheFileIsFoundBesideTheLink) {
    dir_.write("real/c.toml", "[scheduler]\nobject = \"x.bpf.o\"\n");
    std::filesystem::create_symlink("real/c.toml", dir_.path() / "link.toml");
    EXPECT_EQ(load_config(dir_.path() / "link.toml").value().scheduler.object, dir_.path() / "x.bpf.o");
}

TEST_F(ConfigFileTest, WhatIsNoReadableFileIsRefused) {
    const auto fifo = dir_.path() / "fifo";
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0644), 0);
    const struct {
        const char* description;
        std::filesystem::path path;
        const char* what;
    } cases[] = {
        {"missing", dir_.path() / "absent.toml", "there is no file "},
        {"below a file", dir_.write("file", "") / "c.toml", "Not a directory"},
        {"a folder", dir_.path(), "is not a regular file"},
        {"a fifo", fifo, "is not a regular file"},
        {"a device", "/dev/null", "is not a regular file"},
        {"too large", dir_.write("large.toml", std::string(64 * 1024 + 1, '#')), "more than the limit of 65536"},
    };
    for (const auto& test : cases) {
        SCOPED_TRACE(test.description);
        const auto config = load_config(test.path);
        ASSERT_FALSE(config);
        // A device is writable by everybody, which root notices first.
        if (test.path == "/dev/null" && ::geteuid() == 0) {
            EXPECT_EQ(config.error().kind, ErrorKind::kPermission);
            continue;
        }
        EXPECT_EQ(config.error().kind, ErrorKind::kConfig);
        EXPECT_THAT(config.error().what, HasSubstr(test.what));
        EXPECT_THAT(config.error().what, HasSubstr(test.path.string()));
    }
}

TEST_F(ConfigFileTest, AnExecutableIsNoConfiguration) {
    const auto config = load_config("/proc/self/exe");
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().kind, ErrorKind::kConfig);
    EXPECT_THAT(config.error().what, HasSubstr("/proc/self/exe is an executable"));
    EXPECT_THAT(config.error().hint, HasSubstr("--program FILE"));
}

TEST_F(ConfigFileTest, UnreadableFileIsAMatterOfRights) {
    if (::geteuid() == 0)
        GTEST_SKIP() << "root reads everything";
    const auto config = load_config(dir_.write("c.toml", kFull, 0));
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().kind, ErrorKind::kPermission);
}

TEST_F(ConfigFileTest, FileThatOthersCanWriteIsRefusedForRootOnly) {
    const auto config = load_config(dir_.write("c.toml", kFull, 0666));
    if (::geteuid() != 0) {
        EXPECT_TRUE(config);
        return;
    }
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().kind, ErrorKind::kPermission);
    EXPECT_THAT(config.error().hint, HasSubstr("chmod go-w "));
}

class OverrideTest : public testing::Test {
protected:
    OverrideTest()
        : config_(parse_config(kFull, "full.toml").value()) {}

    std::string apply(std::string_view assignment) {
        const auto applied = apply_override(config_, assignment);
        return applied ? "" : applied.error().what;
    }

    [[nodiscard]] const Setting* option(std::string_view key) const {
        for (const Setting& setting : config_.scheduler.options)
            if (setting.key == key)
                return &setting;
        return nullptr;
    }

    Config config_;
};

TEST_F(OverrideTest, PlainKeyIsAnOptionOfTheScheduler) {
    const std::size_t before = config_.scheduler.options.size();
    EXPECT_EQ(apply("slice=10ms"), "");
    EXPECT_EQ(config_.scheduler.options.size(), before) << "replaced";
    EXPECT_EQ(option("slice")->as_duration().value(), 10ms);
    EXPECT_EQ(to_string(option("slice")->where), "--set slice=10ms");

    EXPECT_EQ(apply("partial=yes"), "");
    EXPECT_EQ(config_.scheduler.options.size(), before + 1) << "added";
    EXPECT_TRUE(option("partial")->as_bool().value());

    EXPECT_EQ(apply("queue.depth=4"), "");
    EXPECT_EQ(option("queue.depth")->as_integer().value(), 4);
    EXPECT_EQ(apply("scheduler.options.max_tasks=7"), "");
    EXPECT_EQ(option("max_tasks")->as_integer().value(), 7);
    EXPECT_EQ(apply("host=1"), "") << "a section's name alone is an option's";
    EXPECT_TRUE(option("host"));
}

TEST_F(OverrideTest, KeyOfASectionIsThatSetting) {
    EXPECT_EQ(apply("swap.probation=5s"), "");
    EXPECT_EQ(config_.swap.probation, 5s);
    EXPECT_EQ(to_string(config_.where("swap.probation")), "--set swap.probation=5s");
    EXPECT_EQ(apply("swap.expedite_rcu=on"), "");
    EXPECT_TRUE(config_.swap.expedite_rcu);
    EXPECT_EQ(apply("host.fallback=a,b"), "");
    EXPECT_THAT(config_.host.fallback, ElementsAre("a", "b"));
    EXPECT_EQ(apply("host.fallback=[]"), "");
    EXPECT_THAT(config_.host.fallback, IsEmpty());
    EXPECT_EQ(apply("host.plugin_dirs=/p"), "");
    EXPECT_THAT(config_.host.plugin_dirs, ElementsAre("/p"));
    EXPECT_EQ(apply("control.group=100"), "");
    EXPECT_EQ(config_.control.group, "100");
    EXPECT_EQ(apply("log.level=trace"), "");
    EXPECT_EQ(config_.log.level, LogLevel::kTrace);
    EXPECT_EQ(apply("scheduler.ops.timeout_ms=100"), "");
    ASSERT_EQ(config_.scheduler.ops.size(), 1U);
    EXPECT_EQ(config_.scheduler.ops[0].key, "timeout_ms");
    EXPECT_EQ(config_.scheduler.ops[0].as_integer().value(), 100);
}

TEST_F(OverrideTest, SelectingAnotherSchedulerReplacesTheFilesOne) {
    EXPECT_EQ(apply("scheduler.object=x.bpf.o"), "");
    EXPECT_EQ(config_.scheduler.object, std::filesystem::current_path() / "x.bpf.o");
    EXPECT_EQ(config_.scheduler.plugin, "");
    EXPECT_EQ(apply("scheduler.plugin=simple"), "");
    EXPECT_EQ(config_.scheduler.plugin, "simple");
    EXPECT_EQ(config_.scheduler.object, "");
    EXPECT_EQ(to_string(config_.where("scheduler.object")), "full.toml") << "no longer set";
}

TEST(Config, AProgramWithItsArguments) {
    const auto config = parse_config("[scheduler]\nprogram = \"/usr/bin/scx_lavd\"\nargs = [\"-v\", \"\"]\n"
                                     "env = { RUST_LOG = \"info\" }\n[program]\nmemory_max = \"512MiB\"\n"
                                     "pids_max = 256\nway_back = \"restart\"\nname = \"lavd\"\n",
                                     "c.toml");
    ASSERT_TRUE(config) << config.error().what;
    EXPECT_EQ(config->scheduler.program, "/usr/bin/scx_lavd");
    EXPECT_EQ(config->scheduler.args, (std::vector<std::string>{"-v", ""}));
    ASSERT_EQ(config->scheduler.env.size(), 1U);
    EXPECT_EQ(config->scheduler.env[0].key, "RUST_LOG");
    EXPECT_EQ(config->program.memory_max, 512ULL << 20);
    EXPECT_EQ(config->program.pids_max, 256);
    EXPECT_EQ(config->program.way_back, "restart");
    // What is about this scheduler is no other one's.
    const Config other = config->without_scheduler();
    EXPECT_TRUE(other.scheduler.program.empty());
    EXPECT_TRUE(other.program.name.empty());
    EXPECT_EQ(other.program.memory_max, 0U);
}

TEST_F(OverrideTest, BadOnesAreRefusedAndChangeNothing) {
    const struct {
        const char* description;
        const char* assignment;
        ErrorKind kind;
        const char* what;
    } cases[] = {
        {"no value", "slice", ErrorKind::kUsage, R"(expected KEY=VALUE, found "slice")"},
        {"no key", "=5", ErrorKind::kUsage, R"(expected KEY=VALUE, found "=5")"},
        {"an empty part", "a..b=5", ErrorKind::kUsage, R"(expected KEY=VALUE, found "a..b=5")"},
        {"no member of the table", "scheduler.ops.=5", ErrorKind::kUsage,
         R"(expected KEY=VALUE, found "scheduler.ops.=5")"},
        {"a blank in the key", "a b=5", ErrorKind::kUsage, R"(expected KEY=VALUE, found "a b=5")"},
        {"unknown key of a section", "swap.probatoin=5s", ErrorKind::kConfig, R"(unknown key "probatoin" in [swap])"},
        {"a table of options as a whole", "scheduler.options=5", ErrorKind::kConfig,
         "scheduler.options: expected a table, found the integer 5"},
        {"a bad value", "swap.probation=5", ErrorKind::kConfig,
         "swap.probation: expected a duration with its unit, such as \"20ms\", found the integer 5"},
        {"a bad element", "host.fallback=a,b/c", ErrorKind::kConfig,
         R"(host.fallback[1]: "b/c" is not a plugin name or an absolute path)"},
    };
    for (const auto& test : cases) {
        SCOPED_TRACE(test.description);
        const std::size_t options = config_.scheduler.options.size();
        const auto applied = apply_override(config_, test.assignment);
        ASSERT_FALSE(applied);
        EXPECT_EQ(applied.error().kind, test.kind);
        EXPECT_EQ(applied.error().what, test.what);
        EXPECT_EQ(to_string(applied.error().where.value()), "--set " + std::string(test.assignment));
        EXPECT_EQ(config_.scheduler.options.size(), options);
        EXPECT_EQ(config_.swap.probation, 60s);
        EXPECT_EQ(config_.host.fallback.size(), 2U);
    }
}

// docs/configuration.md ends with what the host's table of keys says. SCXHOST_UPDATE_DOCS=1 in the environment brings
// the file up to date instead.
TEST(ConfigReference, TheDocumentationIsUpToDate) {
    constexpr std::string_view kMarker = "<!-- From here on generated from the host's table of keys; a unit test "
                                         "compares. -->\n\n";
    const std::string path = std::string(kSourceDir) + "/docs/configuration.md";
    std::stringstream content;
    content << std::ifstream(path).rdbuf();
    const std::string text = content.str();
    const std::size_t marker = text.find(kMarker);
    ASSERT_NE(marker, std::string::npos) << path;
    const std::string by_hand = text.substr(0, marker + kMarker.size());
    if (std::getenv("SCXHOST_UPDATE_DOCS") != nullptr)
        std::ofstream(path) << by_hand << config_reference_markdown();
    else
        EXPECT_EQ(text.substr(by_hand.size()), config_reference_markdown())
            << "run the unit tests with SCXHOST_UPDATE_DOCS=1 in the environment";
}

TEST(ConfigReference, TheSampleHoldsTheDefaults) {
    const std::string reference = config_reference_markdown();
    const std::string fence = "```toml\n";
    const std::size_t begin = reference.find(fence) + fence.size();
    const std::string sample = reference.substr(begin, reference.rfind("```") - begin);
    const auto config = parse_config(sample, "sample.toml");
    ASSERT_TRUE(config) << to_string(config.error().where.value()) << ": " << config.error().what;
    const Config defaults;
    EXPECT_EQ(config->scheduler.struct_ops, defaults.scheduler.struct_ops);
    EXPECT_EQ(config->host.plugin_dirs, defaults.host.plugin_dirs);
    EXPECT_EQ(config->host.fallback, defaults.host.fallback);
    EXPECT_EQ(config->swap.probation, defaults.swap.probation);
    EXPECT_EQ(config->swap.expedite_rcu, defaults.swap.expedite_rcu);
    EXPECT_EQ(config->stats.interval, defaults.stats.interval);
    EXPECT_EQ(config->stats.variables, defaults.stats.variables);
    EXPECT_EQ(config->log.level, defaults.log.level);
    EXPECT_EQ(config->control.socket, defaults.control.socket);
    EXPECT_EQ(config->control.group, defaults.control.group);
    EXPECT_EQ(config->control.readers, defaults.control.readers);
    EXPECT_EQ(config->restart.limit, defaults.restart.limit);
    EXPECT_EQ(config->restart.window, defaults.restart.window);
    EXPECT_EQ(config->restart.delay, defaults.restart.delay);
    EXPECT_EQ(config->restart.max_delay, defaults.restart.max_delay);
    EXPECT_EQ(config->incidents.dir, defaults.incidents.dir);
    EXPECT_EQ(config->incidents.limit, defaults.incidents.limit);
}

TEST(SelectConfigTest, ANameHasTheRestFromTheBase) {
    const TempDir dir;
    const auto base =
        load_config(dir.write("host.toml", "[scheduler]\nplugin = \"a\"\n[scheduler.options]\nslice = \"1ms\"\n"
                                           "[host]\nfallback = [\"b\"]\n[swap]\nprobation = \"3s\"\n"));
    ASSERT_TRUE(base) << base.error().what;
    const auto config =
        select_config({.what = "qmap", .assignments = {"swap.expedite_rcu=false"}, .plugin_dirs = {}}, *base);
    ASSERT_TRUE(config);
    EXPECT_EQ(config->scheduler.plugin, "qmap");
    EXPECT_THAT(config->scheduler.options, IsEmpty());
    EXPECT_EQ(config->name, "");
    EXPECT_THAT(config->host.fallback, ElementsAre("b"));
    EXPECT_EQ(config->swap.probation, std::chrono::seconds(3));
    EXPECT_FALSE(config->swap.expedite_rcu);
    EXPECT_THAT(config->places, Not(Contains(Key("scheduler.plugin"))));
    EXPECT_THAT(config->places, Contains(Key("host.fallback")));

    const auto file = select_config({.what = dir.write("other.toml", "[scheduler]\nplugin = \"c\"\n").string(),
                                     .assignments = {},
                                     .plugin_dirs = {}},
                                    *base);
    ASSERT_TRUE(file);
    EXPECT_THAT(file->host.fallback, IsEmpty()) << "a file says it all";
}

TEST(SelectConfigTest, AFallbackGivesItsSchedulerAlone) {
    const TempDir dir;
    const auto base = load_config(dir.write("host.toml", "[scheduler]\nprogram = \"/usr/bin/scx_lavd\"\n"
                                                         "[program]\nname = \"lavd\"\n[swap]\nprobation = \"3s\"\n"));
    ASSERT_TRUE(base) << base.error().what;
    const auto plugin = fallback_config("simple", *base);
    ASSERT_TRUE(plugin) << plugin.error().what;
    EXPECT_EQ(plugin->scheduler.plugin, "simple");
    EXPECT_TRUE(plugin->scheduler.program.empty());
    EXPECT_EQ(plugin->program.name, "");
    const auto program = fallback_config("/usr/bin/scx_rusty", *base);
    ASSERT_TRUE(program) << program.error().what;
    EXPECT_EQ(program->scheduler.program, "/usr/bin/scx_rusty");
    EXPECT_EQ(program->swap.probation, std::chrono::seconds(3));
    const auto object = fallback_config("/usr/lib/x.bpf.o", *base);
    ASSERT_TRUE(object) << object.error().what;
    EXPECT_EQ(object->scheduler.object, "/usr/lib/x.bpf.o");
    const auto other = dir.write("other.toml", "[scheduler]\nprogram = \"/usr/bin/scx_flow\"\nargs = [\"-v\"]\n"
                                               "[program]\npids_max = 7\n[swap]\nprobation = \"9s\"\n");
    const auto file = fallback_config(other.string(), *base);
    ASSERT_TRUE(file) << file.error().what;
    EXPECT_THAT(file->scheduler.args, ElementsAre("-v"));
    EXPECT_EQ(file->program.pids_max, 7);
    EXPECT_EQ(file->swap.probation, std::chrono::seconds(3)) << "the host goes on as it was told";
    EXPECT_EQ(file->name, base->name);
    const auto missing = fallback_config((dir.path() / "missing.toml").string(), *base);
    ASSERT_FALSE(missing);
}

TEST(SelectConfigTest, GivenFoldersComeFirstAndEachIsSearchedOnce) {
    const TempDir dir;
    const std::string own = std::filesystem::canonical(dir.path()).string();
    const auto twice = select_config({.what = "x", .assignments = {}, .plugin_dirs = {own, own}});
    ASSERT_TRUE(twice) << twice.error().what;
    EXPECT_THAT(twice->host.plugin_dirs, ElementsAre(own, default_plugin_dir()));
    const auto library =
        select_config({.what = dir.write("x.so", "").string(), .assignments = {}, .plugin_dirs = {own}});
    ASSERT_TRUE(library) << library.error().what;
    EXPECT_THAT(library->host.plugin_dirs, ElementsAre(own, default_plugin_dir()));
}

} // namespace
} // namespace scxhost
