// SPDX-License-Identifier: GPL-2.0-only
//
// What a configuration can do in the place of an object's loading program (tests/vm/needy.bpf.c), as far as it is
// checked before anything is loaded. That it arrives is tested in guests.
#include "host/bpf/object_setup.hpp"
#include "host/bpf/options.hpp"
#include "tests/plugins/zoo.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <map>

namespace scxhost {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

class ObjectSetupTest : public testing::Test {
protected:
    // Four CPUs in two cores of two threads, each core with a cache of its own; CPU 3 is offline.
    void SetUp() override {
        const auto write = [&](const std::string& file, const std::string& text) {
            sysfs_.write("devices/system/cpu/" + file, text + "\n");
        };
        write("possible", "0-3");
        write("online", "0-2");
        for (const int cpu : {0, 1, 2}) {
            const std::string folder = "cpu" + std::to_string(cpu);
            const std::string core = cpu < 2 ? "0-1" : "2";
            write(folder + "/topology/thread_siblings_list", core);
            write(folder + "/cpu_capacity", cpu == 2 ? "1024" : "512");
            write(folder + "/cache/index0/level", "3");
            write(folder + "/cache/index0/type", "Unified");
            write(folder + "/cache/index0/shared_cpu_list", core);
        }
    }
    // What a configuration file with this in it does; the error as "line:column: what (hint)".
    std::string configure(const std::string& text) {
        const Result<Config> config = parse_config("[scheduler]\nobject = \"needy.bpf.o\"\n" + text, "x.toml");
        if (!config)
            return shown(config.error());
        object_.emplace(SchedulerObject::open({.name = "needy", .bytes = bytes_, .struct_ops = {}}).value());
        const MachineFacts machine(sysfs_.path());
        const auto sizes = set_sizes(*object_, config->scheduler.sizes, machine);
        if (!sizes)
            return shown(sizes.error());
        const auto bound = bind_options(*object_, config->scheduler.options, config->scheduler.ops, nullptr, machine);
        if (!bound)
            return shown(bound.error());
        const Result<ObjectSetup> setup = ObjectSetup::bind(*object_, config->scheduler, machine);
        if (!setup)
            return shown(setup.error());
        options_.clear();
        for (const OptionValue& option : bound->values)
            options_[option.key] = option.text;
        texts_ = *sizes;
        texts_.insert(texts_.end(), setup->texts().begin(), setup->texts().end());
        setup_ = *setup;
        return "";
    }
    static std::string shown(const Error& error) {
        EXPECT_EQ(error.kind, ErrorKind::kConfig) << error.what;
        std::string text = error.where ? std::to_string(error.where->line) + ":" + std::to_string(error.where->column)
                                       : std::string("nowhere");
        return text + ": " + error.what + (error.hint.empty() ? "" : " (" + error.hint + ")");
    }
    [[nodiscard]] std::string option(const std::string& key) const { return options_.at(key); }

    TempDir sysfs_;
    Bytes bytes_ = zoo_bytes("needy.bpf.o");
    std::optional<SchedulerObject> object_;
    std::map<std::string, std::string> options_;
    std::vector<std::pair<std::string, std::string>> texts_;
    ObjectSetup setup_;
};

TEST_F(ObjectSetupTest, FactsOfTheMachineAreValuesOfOptions) {
    ASSERT_EQ(configure(R"(
[scheduler.options]
nr_cpu_ids = { machine = "cpus" }
nr_nodes.machine = "nodes"
smt_enabled = { machine = "smt" }
host_pid = { machine = "host_pid" }
cpu_capacity = { machine = "capacity" }
cpu_core = { machine = "core" }
cpu_sibling = { machine = "sibling" }
cpu_sibling_unsigned = { machine = "sibling" }
preferred_cpus = { machine = "preferred" }
)"),
              "");
    EXPECT_EQ(option("nr_cpu_ids"), "4");
    EXPECT_EQ(option("nr_nodes"), "1");
    EXPECT_EQ(option("smt_enabled"), "true");
    EXPECT_EQ(option("host_pid"), std::to_string(::getpid()));
    EXPECT_EQ(option("cpu_capacity"), "[512, 512, 1024]");
    EXPECT_EQ(option("cpu_core"), "[0, 0, 1]");
    EXPECT_THAT(option("cpu_sibling"), HasSubstr("[1, 0, -1, -1"));
    EXPECT_THAT(option("cpu_sibling_unsigned"), HasSubstr("[1, 0, 4294967295, 4294967295"));
    EXPECT_EQ(option("preferred_cpus"), "[2, 0, 1]");
}

TEST_F(ObjectSetupTest, AFactThatDoesNotFitSaysWhy) {
    const auto with = [&](const std::string& line) { return configure("[scheduler.options]\n" + line + "\n"); };
    EXPECT_THAT(
        with("nr_cpu_ids = { machine = \"cpu\" }"),
        testing::AllOf(testing::StartsWith("4:26: nr_cpu_ids.machine: "), HasSubstr("\"cpu\""), HasSubstr("cpus")));
    EXPECT_EQ(with("nr_cpu_ids = { machine = \"capacity\" }"),
              "4:26: nr_cpu_ids.machine: \"capacity\" is one number for each CPU, and 'nr_cpu_ids' is no array of "
              "integers");
    EXPECT_EQ(with("cpu_core = { machine = \"cpus\" }"),
              "4:24: cpu_core.machine: \"cpus\" is a number, and 'cpu_core' is none ('cpu_core' is: ints)");
    EXPECT_THAT(with("too_few = { machine = \"core\" }"),
                HasSubstr("\"core\" has 4 numbers on this machine, and 'too_few' has room for 1 (the object is built "
                          "for machines with fewer CPUs"));
    EXPECT_THAT(with("nr_cpus = { machine = \"cpus\" }"), HasSubstr("'needy' has no such option"));
    EXPECT_THAT(with("perf_level = { machine = \"cpus\" }"), HasSubstr("only read-only data can be an option"));
}

TEST_F(ObjectSetupTest, MapsAndArraysGetTheirSizes) {
    ASSERT_EQ(configure(R"(
[scheduler.sizes]
layers = 3
cpu_llc = { machine = "cpus" }
per_cpu_marks.machine = "cpus"
[scheduler.options]
cpu_llc = { machine = "llc" }
)"),
              "");
    EXPECT_EQ(object_->find_map_facts("layers")->max_entries, 3U);
    EXPECT_EQ(option("cpu_llc"), "[0, 0, 1, 0]");
    EXPECT_EQ(object_->variable_bytes(*object_->btf().find_variable("per_cpu_marks")).size(),
              4 * sizeof(std::uint64_t));
    EXPECT_THAT(texts_,
                ElementsAre(Pair("sizes.layers", "3"), Pair("sizes.cpu_llc", "4"), Pair("sizes.per_cpu_marks", "4")));
}

TEST_F(ObjectSetupTest, WhatCannotHaveThatSizeIsNamed) {
    const auto with = [&](const std::string& line) { return configure("[scheduler.sizes]\n" + line + "\n"); };
    EXPECT_EQ(with("layers = 0"), "4:10: layers: 0 is out of range: it must be from 1 to 2147483647");
    EXPECT_THAT(with("layer = 3"), HasSubstr("4:1: layer: 'needy' has no such map, nor an array that could grow"));
    EXPECT_THAT(with("layer = 3"), HasSubstr("layers"));
    EXPECT_EQ(with("tasks = 3"), "4:1: tasks: a map of this type has no number of entries");
    EXPECT_EQ(with("nr_nodes = 3"), "4:1: nr_nodes: this variable is no array");
    EXPECT_THAT(with("cpu_core = 300"),
                HasSubstr("this array is not the last variable in its section, .rodata, and cannot grow there (in the "
                          "source, give it a section of its own"));
    EXPECT_THAT(with("layers = { machine = \"core\" }"), HasSubstr("\"core\" is one number for each CPU, and no size"));
    EXPECT_THAT(with("cpu_llc = 2147483647"), HasSubstr("elements are more than a data section can hold"));
}

TEST_F(ObjectSetupTest, VariablesAreBoundByTheirTypes) {
    ASSERT_EQ(configure(R"(
[scheduler.variables]
perf_level = 1024
arena_level = { machine = "cpus" }
[scheduler.variables.tuning]
weight = 5
name = "calm"
limits.quota = 7
limits.is_open = true
high = 9
cpus = [1, 2]
)"),
              "");
    EXPECT_THAT(texts_,
                ElementsAre(Pair("variables.perf_level", "1024"), Pair("variables.arena_level", "4"),
                            Pair("variables.tuning.weight", "5"), Pair("variables.tuning.name", "\"calm\""),
                            Pair("variables.tuning.limits.quota", "7"), Pair("variables.tuning.limits.is_open", "true"),
                            Pair("variables.tuning.high", "9"), Pair("variables.tuning.cpus", "[1, 2, 0, 0]")));
}

TEST_F(ObjectSetupTest, AVariableThatCannotBeSetSaysWhy) {
    const auto with = [&](const std::string& line) { return configure("[scheduler.variables]\n" + line + "\n"); };
    EXPECT_EQ(with("nr_nodes = 2"), "4:1: nr_nodes: this variable is read-only once the object is loaded (it is an "
                                    "option: set it in [scheduler.options])");
    EXPECT_THAT(with("perf_levl = 2"), HasSubstr("'needy' has no such global variable (did you mean"));
    EXPECT_THAT(with("uei.kind = 2"), HasSubstr("this variable, in .data, is not the configuration's to set"));
    EXPECT_THAT(with("tuning = 2"), HasSubstr("it is struct layer, and no number"));
    EXPECT_THAT(with("tuning.wait = 2"),
                HasSubstr("4:8: tuning.wait: it is no member of struct layer (known members: weight, name"));
    EXPECT_THAT(with("tuning.flags = 2"), HasSubstr("it is a bit field"));
    EXPECT_THAT(with("tuning.weight.x = 2"), HasSubstr("it is no member of unsigned int, which has none"));
    EXPECT_THAT(with("tuning.cpus.4 = 2"), HasSubstr("it is no element of an array of 4"));
    EXPECT_EQ(with("tuning.weight = -1"), "4:17: tuning.weight: -1 is out of range: it must be from 0 to 4294967295");
    EXPECT_EQ(configure("[scheduler.variables]\ntuning.cpus.3 = 2"), "");
}

TEST_F(ObjectSetupTest, EntriesOfMapsAreBoundByTheirTypes) {
    ASSERT_EQ(configure(R"(
[scheduler.sizes]
layers = 2
[scheduler.maps.layers]
0 = { weight = 100, name = "rest" }
1.limits.quota = 5
[scheduler.maps]
starts.1 = 77
shares.web = { machine = "cpus" }
)"),
              "");
    EXPECT_THAT(texts_, ElementsAre(Pair("sizes.layers", "2"), Pair("maps.layers.0.weight", "100"),
                                    Pair("maps.layers.0.name", "\"rest\""), Pair("maps.layers.1.limits.quota", "5"),
                                    Pair("maps.starts.1", "77"), Pair("maps.shares.web", "4")));
    const auto with = [&](const std::string& line) {
        return configure("[scheduler.sizes]\nlayers = 2\n[scheduler.maps]\n" + line + "\n");
    };
    EXPECT_THAT(with("layer.0.weight = 1"), HasSubstr("'needy' has no such map (did you mean"));
    EXPECT_EQ(with("layers.2.weight = 1"), "6:10: layers.2.weight: this map has no entry 2: it has 2 (entries are "
                                           "numbered from 0; [scheduler.sizes] can give it more)");
    EXPECT_THAT(with("layers.x.weight = 1"), HasSubstr("layers.x: "));
    EXPECT_THAT(with("layers.0.wait = 1"), HasSubstr("it is no member of struct layer"));
    EXPECT_THAT(with("layers.0 = 1"), HasSubstr("it is struct layer"));
    EXPECT_THAT(with("layers = 1"), HasSubstr("it does not say which entry"));
    EXPECT_THAT(with("tasks.0 = 1"), HasSubstr("this map has no entries by key"));
    EXPECT_THAT(with("by_name.web = 1"), HasSubstr("by_name.web: it cannot be told: the object says only that there "
                                                   "are 16 bytes"));
}

TEST_F(ObjectSetupTest, CallsAreBoundByTheirContexts) {
    ASSERT_EQ(configure(R"(
[[scheduler.call]]
program = "enable_cpu"
context = { cpu_id = "each-online-cpu", sibling_cpu_id = { machine = "sibling" } }

[[scheduler.call]]
program = "reset"
when = "attached"
)"),
              "");
    EXPECT_THAT(texts_, ElementsAre(Pair("call[0]", "enable_cpu(cpu_id = \"each-online-cpu\", sibling_cpu_id.machine = "
                                                    "\"sibling\")"),
                                    Pair("call[1]", "reset() when attached")));
    EXPECT_TRUE(setup_.runs("reset"));
    EXPECT_FALSE(setup_.runs("watch_forks"));
    for (const OtherPrograms::Program& program : object_->other_programs())
        if (program.name == "enable_cpu")
            EXPECT_THAT(context_members(*object_, program), ElementsAre("cpu_id", "sibling_cpu_id", "level"));
        else
            EXPECT_TRUE(context_members(*object_, program).empty()) << program.name;

    const auto with = [&](const std::string& lines) { return configure("[[scheduler.call]]\n" + lines + "\n"); };
    EXPECT_THAT(with("program = \"enable\""),
                HasSubstr("4:11: scheduler.call[0]: 'needy' has no program \"enable\" ("));
    EXPECT_THAT(with("program = \"watch_forks\""),
                HasSubstr("\"watch_forks\" is of section tp_btf/sched_process_fork, and only programs of"));
    EXPECT_THAT(with("program = \"reset\"\ncontext = { cpu = 1 }"),
                HasSubstr("5:13: cpu: the context of reset is void, and has no members to set"));
    EXPECT_THAT(with("program = \"enable_cpu\"\ncontext = { cpu = 1 }"),
                HasSubstr("5:13: cpu: it is no member of struct cpu_arg"));
    EXPECT_THAT(with("program = \"enable_cpu\"\ncontext = { cpu_id = \"all\" }"), HasSubstr("expected an integer"));
    // An order of the CPUs that are online is no number of one, least of all of one that is offline.
    EXPECT_THAT(
        with("program = \"enable_cpu\"\ncontext = { cpu_id = \"each-cpu\", level = { machine = \"preferred\" } }"),
        HasSubstr("\"preferred\" is one number for each CPU"));
    EXPECT_THAT(with("context = { cpu_id = 1 }"), HasSubstr("3:1: scheduler.call[0]: it does not say which program"));
    EXPECT_THAT(with("program = \"reset\"\nwhen = \"later\""), HasSubstr("5:8: scheduler.call[0].when: "));
    EXPECT_THAT(with("program = \"reset\"\nwhere = 1"), HasSubstr("unknown key \"where\" in [[scheduler.call]]"));
    EXPECT_THAT(with("program = \"reset\"\n[scheduler.bpf_programs]\nreset = false"),
                HasSubstr("\"reset\" is not loaded (write reset = true in [scheduler.bpf_programs])"));
    EXPECT_THAT(configure("call = 5"), HasSubstr("expected an array of tables, found the integer 5"));
    EXPECT_THAT(configure("[[scheduler.sizes]]\nlayers = 1"), HasSubstr("a table inside an array is not allowed"));
}

TEST_F(ObjectSetupTest, ProgramsAndCallbacksCanBeLeftOut) {
    ASSERT_EQ(configure(R"(
[scheduler.bpf_programs]
watch_forks = false
watch_forks_too = true
[scheduler.ops]
tick = false
)"),
              "");
    std::vector<std::string> names;
    for (const OtherPrograms::Program& program : object_->other_programs())
        names.push_back(program.name);
    EXPECT_THAT(names, ElementsAre("enable_cpu", "reset", "watch_registration", "watch_forks_too"));
    EXPECT_THAT(object_->ops_members_set(), testing::Not(testing::Contains("tick")));
    EXPECT_THAT(texts_,
                ElementsAre(Pair("bpf_programs.watch_forks", "false"), Pair("bpf_programs.watch_forks_too", "true")));

    EXPECT_THAT(configure("[scheduler.bpf_programs]\nwatch_fork = false"),
                HasSubstr("'needy' has no such program (did you mean"));
    EXPECT_THAT(configure("[scheduler.bpf_programs]\nneedy_tick = false"),
                HasSubstr("this program is a callback of the scheduler"));
    EXPECT_THAT(configure("[scheduler.ops]\ntick = true"), HasSubstr("a callback cannot be added"));
    EXPECT_THAT(configure("[scheduler.ops]\ndispatch = false"), HasSubstr("'needy' has no such callback ("));
    EXPECT_THAT(configure("[scheduler.ops]\ntick = 3"), HasSubstr("this is a callback, and no number"));
}

// Somebody else's program does all of this itself.
TEST_F(ObjectSetupTest, ProgramsOfTheirOwnTakeNoneOfIt) {
    for (const std::string text : {"sizes]\nlayers = 1", "variables]\nx = 1", "maps]\nx.0 = 1",
                                   "bpf_programs]\nx = false", "call]]\nprogram = \"x\""}) {
        const std::string section = text.starts_with("call") ? "[[scheduler." : "[scheduler.";
        const Result<Config> config = parse_config("[scheduler]\nprogram = \"/bin/x\"\n" + section + text, "x.toml");
        ASSERT_FALSE(config) << text;
        EXPECT_NE(config.error().hint, "") << text;
    }
}

} // namespace
} // namespace scxhost
