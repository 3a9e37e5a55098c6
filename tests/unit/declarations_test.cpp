// SPDX-License-Identifier: GPL-2.0-only
//
// What an object's BTF declares, on BTF written here: every tag, every way in which tags and types contradict each
// other, and types that no compiler writes.
#include "host/bpf/declarations.hpp"
#include "host/bpf/plain_options.hpp"
#include "host/bpf/variable_statistics.hpp"

#include <bpf/btf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace scxhost {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// The BTF of an object: variables in sections, with tags.
class ObjectBtf {
public:
    ObjectBtf()
        : btf_(btf__new_empty()) {
        u8 = btf__add_int(btf_, "unsigned char", 1, 0);
        u32 = btf__add_int(btf_, "unsigned int", 4, 0);
        s32 = btf__add_int(btf_, "int", 4, BTF_INT_SIGNED);
        u64 = btf__add_int(btf_, "unsigned long long", 8, 0);
        s64 = btf__add_int(btf_, "long long", 8, BTF_INT_SIGNED);
        boolean = btf__add_int(btf_, "_Bool", 1, BTF_INT_BOOL);
        character = btf__add_int(btf_, "char", 1, BTF_INT_SIGNED);
        wide = btf__add_int(btf_, "__int128", 16, 0);
        pointer = btf__add_ptr(btf_, 0);
        mode = btf__add_enum(btf_, "mode", 4);
        btf__add_enum_value(btf_, "MODE_FIFO", 0);
        btf__add_enum_value(btf_, "MODE_VTIME", 3);
        empty_enum = btf__add_enum(btf_, "nothing", 4);
    }
    ~ObjectBtf() { btf__free(btf_); }
    ObjectBtf(const ObjectBtf&) = delete;
    ObjectBtf& operator=(const ObjectBtf&) = delete;

    using Tags = std::vector<std::string>;
    struct Member {
        const char* name;
        int type;
        std::uint32_t offset;
        Tags tags;
    };

    int array(int element, std::uint32_t count) { return btf__add_array(btf_, s32, element, count); }
    int typedef_of(const char* name, int type) { return btf__add_typedef(btf_, name, type); }
    int const_volatile(int type) { return btf__add_const(btf_, btf__add_volatile(btf_, type)); }
    int structure(const char* name, std::uint32_t size, const std::vector<Member>& members) {
        const int id = btf__add_struct(btf_, name, size);
        for (const Member& member : members)
            EXPECT_EQ(btf__add_field(btf_, member.name, member.type, member.offset * 8, 0), 0);
        for (std::size_t i = 0; i < members.size(); ++i)
            for (const std::string& tag : members[i].tags)
                EXPECT_GT(btf__add_decl_tag(btf_, tag.c_str(), id, static_cast<int>(i)), 0);
        return id;
    }
    void variable(const char* section, const char* name, int type, const Tags& tags = {}, std::uint32_t size = 8) {
        const int id = btf__add_var(btf_, name, BTF_VAR_GLOBAL_ALLOCATED, type);
        ASSERT_GT(id, 0);
        for (const std::string& tag : tags)
            ASSERT_GT(btf__add_decl_tag(btf_, tag.c_str(), id, -1), 0);
        sections_[section].push_back({id, size});
    }
    // A `const volatile` global in .rodata.
    void option(const char* name, int type, const Tags& tags) { variable(".rodata", name, const_volatile(type), tags); }

    Result<Declarations> read(const std::vector<PerCpuMapType>& maps = {}) {
        for (const auto& [name, variables] : sections_) {
            EXPECT_GT(btf__add_datasec(btf_, name.c_str(), 4096), 0);
            std::uint32_t offset = 0;
            for (const auto& [id, size] : variables) {
                EXPECT_EQ(btf__add_datasec_var_info(btf_, id, offset, size), 0);
                offset += size;
            }
        }
        sections_.clear();
        return read_declarations(BtfView(btf_), maps);
    }
    std::string error(const std::vector<PerCpuMapType>& maps = {}) {
        const Result<Declarations> result = read(maps);
        if (result)
            return "accepted";
        EXPECT_EQ(result.error().kind, ErrorKind::kObject);
        return result.error().what;
    }

    struct btf* btf_;
    int u8, u32, s32, u64, s64, boolean, character, wide, pointer, mode, empty_enum;

private:
    std::map<std::string, std::vector<std::pair<int, std::uint32_t>>> sections_;
};

TEST(Declarations, PlainOptionsOfStructsAndArrays) {
    ObjectBtf b;
    const int inner = b.structure("", 8, {{"deep", b.u32, 0, {}}, {"text", b.array(b.character, 4), 4, {}}});
    const int outer = b.structure(
        "outer", 32,
        {{"first", b.u64, 0, {}}, {"named", inner, 8, {}}, {"", inner, 16, {}}, {"pointer", b.pointer, 24, {}}});
    b.variable(".rodata", "outer", b.const_volatile(outer), {}, 32);
    b.variable(".rodata.more", "list", b.array(b.const_volatile(b.u32), 2)); // as compilers have it
    b.variable(".rodata", "only_const", btf__add_const(b.btf_, b.u64));
    b.variable(".rodata", "__SCX_SLICE_DFL", b.const_volatile(b.u64));
    b.variable(".rodata", "__SCX_small", b.const_volatile(b.u32), {}, 4);
    b.variable(".bss", "writable", b.const_volatile(b.u64));
    b.variable(".rodata", "twice", b.const_volatile(b.u64));
    b.variable(".rodata", "twice", b.const_volatile(b.u64));
    const Declarations read = b.read().value();
    std::map<std::string, std::uint32_t> found;
    for (const OptionDeclaration& option : read.options)
        found[option.key] = option.variable.offset;
    const std::map<std::string, std::uint32_t> expected = {
        {"outer.first", 0}, {"outer.named.deep", 8}, {"outer.named.text", 12}, {"outer.deep", 16}, {"outer.text", 20},
        {"list", 0},        {"__SCX_small", 48},
    };
    EXPECT_EQ(found, expected);
}

TEST(Declarations, NumbersOfVariablesThatAreNamed) {
    ObjectBtf b;
    const int place =
        b.structure("place", 16, {{"hits", b.u64, 0, {}}, {"depth", b.s32, 8, {}}, {"odd", b.u32, 13, {}}});
    const int inner = b.structure("", 8, {{"sum", b.u64, 0, {}}});
    const int all = b.structure("all", 64,
                                {{"places", b.array(place, 3), 0, {}},
                                 {"", inner, 48, {}},
                                 {"flags", b.array(b.boolean, 2), 56, {}},
                                 {"text", b.array(b.character, 4), 58, {}}});
    b.variable(".bss", "all", all, {}, 64);
    b.variable(".addr_space.1", "qa", all, {}, 64);
    Declarations found = b.read().value();
    const BtfView btf(b.btf_);
    const std::vector<PerCpuMapType> maps = {{"numbers", static_cast<std::uint32_t>(b.u64), 2},
                                             {"places", static_cast<std::uint32_t>(place), 4}};
    for (const char* name : {"all", "qa.places.hits", "numbers", "places.hits"})
        ASSERT_TRUE(add_variable_statistics(found, btf, maps, name)) << name;
    struct Expected {
        const char* name;
        StatisticDeclaration::Home home;
        std::vector<std::uint32_t> offsets;
        std::optional<std::uint32_t> entry = {};
    };
    using Home = StatisticDeclaration::Home;
    const Expected expected[] = {
        {"all.places.hits", Home::kGlobal, {0, 16, 32}}, // added up
        {"all.places.depth", Home::kGlobal, {8, 24, 40}},
        {"all.sum", Home::kGlobal, {48}},
        {"all.flags[0]", Home::kGlobal, {56}},
        {"all.flags[1]", Home::kGlobal, {57}},
        {"qa.places.hits", Home::kArena, {0, 16, 32}},
        {"numbers[0]", Home::kPerCpuMap, {0}, 0},
        {"numbers[1]", Home::kPerCpuMap, {0}, 1},
        {"places.hits", Home::kPerCpuMap, {0}}, // of all entries
    };
    ASSERT_EQ(found.statistics.size(), std::size(expected));
    for (std::size_t i = 0; i < std::size(expected); ++i) {
        SCOPED_TRACE(expected[i].name);
        EXPECT_EQ(found.statistics[i].name, expected[i].name);
        EXPECT_EQ(found.statistics[i].home, expected[i].home);
        EXPECT_EQ(found.statistics[i].offsets, expected[i].offsets);
        EXPECT_EQ(found.statistics[i].entry, expected[i].entry);
    }
    const int huge = b.array(b.array(b.u64, 60000), 60000);
    b.variable(".bss", "huge", huge);
    Declarations none = b.read().value();
    EXPECT_EQ(add_variable_statistics(none, BtfView(b.btf_), {}, "huge").error().what,
              "more numbers than this host shows");
}

// As the kernel's own examples declare their counters: with value_size, and no type.
TEST(Declarations, MapsWithoutATypeHoldNumbersOfFourOrEightBytes) {
    ObjectBtf b;
    b.variable(".bss", "counter", b.u64);
    Declarations found = b.read().value();
    const BtfView btf(b.btf_);
    const std::vector<PerCpuMapType> maps = {{.name = "stats", .value_type_id = 0, .entries = 2, .value_size = 8},
                                             {.name = "one", .value_type_id = 0, .entries = 1, .value_size = 4},
                                             {.name = "wide", .value_type_id = 0, .entries = 1, .value_size = 24}};
    for (const char* name : {"stats", "one"})
        ASSERT_TRUE(add_variable_statistics(found, btf, maps, name)) << name;
    ASSERT_EQ(found.statistics.size(), 3U);
    EXPECT_EQ(found.statistics[1].name, "stats[1]");
    EXPECT_EQ(found.statistics[1].entry, 1U);
    EXPECT_EQ(found.statistics[1].width, 8U);
    EXPECT_EQ(found.statistics[2].name, "one");
    EXPECT_EQ(found.statistics[2].width, 4U);
    const Error wide = add_variable_statistics(found, btf, maps, "wide").error();
    EXPECT_EQ(wide.what, "the object has no type for the values of map 'wide'");
    EXPECT_THAT(wide.hint, HasSubstr("24 bytes"));
    EXPECT_EQ(add_variable_statistics(found, btf, maps, "stats.x").error().what, "there is no number in 'stats.x'");
}

// To somebody who mistypes, what libraries leave in every object is noise.
TEST(Declarations, KnownVariablesAreThoseThatCount) {
    ObjectBtf b;
    b.variable(".rodata", "bare_init.____fmt", b.array(b.character, 8));
    b.option("__SCX_SLICE_DFL", b.u64, {});
    b.option("slice", b.u64, {});
    b.variable(".data.uei_dump", "uei_dump", b.array(b.character, 1), {}, 1);
    b.variable(".data", "uei",
               b.structure("user_exit_info", 48,
                           {{"kind", b.s32, 0, {}},
                            {"exit_code", b.s64, 8, {}},
                            {"reason", b.array(b.character, 16), 16, {}},
                            {"msg", b.array(b.character, 16), 32, {}}}),
               {}, 48);
    b.variable(".bss", "nr_queued", b.u64);
    Declarations found = b.read().value();
    const std::vector<PerCpuMapType> maps = {{.name = "stats", .value_type_id = 0, .entries = 2, .value_size = 8}};
    EXPECT_EQ(add_variable_statistics(found, BtfView(b.btf_), maps, "xyzzy").error().hint,
              "known variables: stats and nr_queued");
    EXPECT_TRUE(add_variable_statistics(found, BtfView(b.btf_), maps, "slice")) << "not named, but possible";
}

TEST(Declarations, WhyAVariableIsNoOption) {
    ObjectBtf b;
    const int deep = b.array(b.array(b.array(b.u32, 2), 2), 2);
    const int inner = b.structure("inner", 16, {{"level", b.u32, 0, {}}, {"next", b.pointer, 8, {}}});
    b.option("pointer", b.pointer, {});
    b.option("deep", deep, {});
    b.option("names", b.array(b.array(b.character, 4), 2), {});
    b.option("structs", b.array(inner, 2), {});
    b.option("large", b.array(b.u64, 40000), {});
    b.option("nothing", b.empty_enum, {});
    b.option("wide", b.wide, {});
    b.option("tuning", inner, {});
    b.variable(".rodata", "only_const", btf__add_const(b.btf_, b.u64));
    b.option("__SCX_SLICE_DFL", b.u64, {});
    b.variable(".data", "writable", b.u64);
    b.option("twice", b.u64, {});
    b.option("twice", b.u64, {});
    b.option("table", b.array(b.array(b.u32, 3), 2), {});
    const Declarations found = b.read().value();
    const BtfView btf(b.btf_);
    const std::pair<const char*, const char*> cases[] = {
        {"pointer", "is a pointer"},
        {"deep", "is an array of more than two dimensions"},
        {"names", "is an array of texts"},
        {"structs", "is an array of structs"},
        {"large", "has 320000 bytes, and an option at most 262144"},
        {"nothing", "is an enum without enumerators"},
        {"wide", "is of a type that no option has"},
        {"tuning", "is a struct"},
        {"tuning.next", "is a pointer"},
        {"only_const", "is const without volatile, so that the compiler may have used its value already"},
        {"__SCX_SLICE_DFL", "is filled in by the host"},
        {"writable", "is in .data, and only read-only data can be an option"},
        {"twice", "stands for several variables"},
    };
    for (const auto& [key, why] : cases) {
        const std::optional<NoOption> reason = why_no_option(btf, found, key);
        EXPECT_EQ(reason ? reason->why : "none", why) << key;
    }
    for (const char* key : {"nosuch", "tuning.nosuch", "tuningx"})
        EXPECT_FALSE(why_no_option(btf, found, key)) << key;
    ASSERT_NE(found.find_option("table"), nullptr);
    EXPECT_EQ(found.find_option("table")->storage.rows, 2U);
    EXPECT_EQ(found.find_option("table")->storage.count, 6U);

    ObjectBtf tagged;
    tagged.option("slice_ns", tagged.u64, {"scx.option=slice", "scx.kind=int"});
    tagged.option("other", tagged.u64, {});
    const Declarations declared = tagged.read().value();
    EXPECT_EQ(why_no_option(BtfView(tagged.btf_), declared, "slice_ns")->hint, "set slice");
    EXPECT_THAT(why_no_option(BtfView(tagged.btf_), declared, "other")->why, HasSubstr("is not declared as one"));
}

TEST(Declarations, EveryKindOfOption) {
    ObjectBtf b;
    const struct {
        OptionKind kind;
        std::string word;
        int type;
        StorageKind storage;
    } cases[] = {
        {OptionKind::kBool, "bool", b.boolean, StorageKind::kBool},
        {OptionKind::kBool, "bool", b.u32, StorageKind::kInteger},
        {OptionKind::kInteger, "int", b.typedef_of("s64", b.s64), StorageKind::kInteger},
        {OptionKind::kDuration, "duration", b.u64, StorageKind::kInteger},
        {OptionKind::kSize, "size", b.u32, StorageKind::kInteger},
        {OptionKind::kEnum, "enum", b.mode, StorageKind::kEnum},
        {OptionKind::kString, "string", b.array(b.character, 16), StorageKind::kText},
        {OptionKind::kPid, "pid", b.s32, StorageKind::kInteger},
        {OptionKind::kCpus, "cpus", b.array(b.u64, 4), StorageKind::kIntegers},
        {OptionKind::kCgroup, "cgroup", b.u64, StorageKind::kInteger},
        {OptionKind::kIntegers, "ints", b.array(b.u8, 3), StorageKind::kIntegers},
    };
    int number = 0;
    for (const auto& test : cases) {
        const std::string key = "key" + std::to_string(number++);
        b.option(key.c_str(), test.type, {"scx.option=" + key, "scx.kind=" + test.word, "scx.help=What it does"});
    }
    const Declarations found = b.read().value();
    ASSERT_EQ(found.options.size(), std::size(cases));
    for (std::size_t i = 0; i < std::size(cases); ++i) {
        SCOPED_TRACE(cases[i].word);
        EXPECT_EQ(found.options[i].kind, cases[i].kind);
        EXPECT_EQ(to_string(found.options[i].kind), cases[i].word);
        EXPECT_EQ(found.options[i].storage.kind, cases[i].storage);
        EXPECT_EQ(found.options[i].help, "What it does");
        EXPECT_TRUE(found.options[i].tagged);
    }
    EXPECT_EQ(found.options[3].unit, "ns") << "durations count nanoseconds unless they say otherwise";
    EXPECT_EQ(found.find_option("key5"), &found.options[5]);
    EXPECT_EQ(found.find_option("key"), nullptr);
}

TEST(Declarations, EveryTagOfAnOption) {
    ObjectBtf b;
    b.option("slice_us", b.u32,
             {"scx.option=slice", "scx.kind=duration", "scx.help=Slice", "scx.unit=us", "scx.min=1us", "scx.max=1s",
              "scx.default=SCX_SLICE_DFL", "scx.ops=timeout_ms", "scx.ops_flag=SCX_OPS_ENQ_LAST", "scx.fault=1",
              "somebody's tag", "other.option=x"});
    b.option("how", b.mode, {"scx.option=mode", "scx.kind=enum", "scx.help=", "scx.prefix=MODE_"});
    const Declarations found = b.read().value();
    ASSERT_EQ(found.options.size(), 2U);
    const OptionDeclaration& slice = found.options[0];
    EXPECT_EQ(slice.key, "slice");
    EXPECT_EQ(slice.unit, "us");
    EXPECT_EQ(slice.min, "1us");
    EXPECT_EQ(slice.max, "1s");
    EXPECT_EQ(slice.default_enumerator, "SCX_SLICE_DFL");
    EXPECT_EQ(slice.ops_member, "timeout_ms");
    EXPECT_EQ(slice.ops_flag, "SCX_OPS_ENQ_LAST");
    EXPECT_TRUE(slice.fault);
    EXPECT_EQ(slice.variable.name, "slice_us");
    EXPECT_THAT(found.options[1].words, ElementsAre("fifo", "vtime"));
}

TEST(Declarations, ContradictionsOfOptionsAreNamed) {
    using Tags = ObjectBtf::Tags;
    const auto option = [](const std::string& kind, const std::string& more = "") {
        Tags tags = {"scx.option=key", "scx.kind=" + kind, "scx.help=Help"};
        if (!more.empty())
            tags.push_back(more);
        return tags;
    };
    const struct {
        const char* description;
        int ObjectBtf::* type;
        Tags tags;
        std::string what;
    } cases[] = {
        {"bool in a wide type", &ObjectBtf::mode, option("bool"),
         "option 'key' is of kind bool, which needs a bool, but variable 'x' is enum mode"},
        {"string in an integer", &ObjectBtf::u32, option("string"),
         "option 'key' is of kind string, which needs an array of char, but variable 'x' is unsigned int"},
        {"duration in a bool", &ObjectBtf::boolean, option("duration"),
         "option 'key' is of kind duration, which needs an integer, but variable 'x' is _Bool"},
        {"enum in an integer", &ObjectBtf::u32, option("enum"),
         "option 'key' is of kind enum, which needs an enum, but variable 'x' is unsigned int"},
        {"integer in a pointer", &ObjectBtf::pointer, option("int"),
         "option 'key' is of kind int, which needs an integer, but variable 'x' is a pointer"},
        {"integer of 128 bits", &ObjectBtf::wide, option("int"),
         "option 'key' is of kind int, which needs an integer, but variable 'x' is __int128"},
        {"cpus in one integer", &ObjectBtf::u64, option("cpus"),
         "option 'key' is of kind cpus, which needs an array of integers, but variable 'x' is unsigned long long"},
        {"cgroup in 32 bits", &ObjectBtf::u32, option("cgroup"),
         "option 'key': a cgroup id needs 64 bits, variable 'x' has 32"},
        {"unknown kind", &ObjectBtf::u32, option("number"), "option 'key' is of the unknown kind 'number'"},
        {"no kind", &ObjectBtf::u32, {"scx.option=key"}, "option 'key' is of the unknown kind ''"},
        {"no key",
         &ObjectBtf::u32,
         {"scx.option=", "scx.kind=int"},
         "variable 'x' is declared as an option without a key"},
        {"key that ends a line",
         &ObjectBtf::u32,
         {"scx.option=a = 1 #", "scx.kind=int"},
         "variable 'x' declares the option \"a = 1 #\", which is no key: letters, digits, '_', '-' and '.' only"},
        {"unknown tag", &ObjectBtf::u32, option("int", "scx.colour=red"), "'x' carries the unknown tag scx.colour"},
        {"tag twice", &ObjectBtf::u32, option("int", "scx.help=Again"), "'x' carries the tag scx.help twice"},
        {"text of two lines", &ObjectBtf::u32, option("int", "scx.unit=a\n[host]"),
         "'x' carries the tag scx.unit with a control character"},
        {"a feature's tag", &ObjectBtf::boolean, option("bool", "scx.feature=kfunc:f"),
         "'x' carries the unknown tag scx.feature"},
        {"prefix that does not fit", &ObjectBtf::mode, option("enum", "scx.prefix=KIND_"),
         "option 'key': enumerator MODE_FIFO does not start with the prefix KIND_"},
        {"prefix that leaves nothing", &ObjectBtf::mode, option("enum", "scx.prefix=MODE_FIFO"),
         "option 'key': enumerator MODE_FIFO does not start with the prefix MODE_FIFO"},
        {"enum without enumerators", &ObjectBtf::empty_enum, option("enum"),
         "option 'key': its enum has no enumerators"},
        {"tags, but no option",
         &ObjectBtf::u32,
         {"scx.kind=int"},
         "variable 'x' carries scx tags but is no option and no feature"},
    };
    for (const auto& test : cases) {
        SCOPED_TRACE(test.description);
        ObjectBtf b;
        b.option("x", b.*test.type, test.tags);
        EXPECT_EQ(b.error(), test.what);
    }
}

TEST(Declarations, OptionsMustBeReadOnlyAndUnique) {
    ObjectBtf writable;
    writable.variable(".data", "x", writable.u32, {"scx.option=key", "scx.kind=int"});
    EXPECT_EQ(writable.error(), "option 'key': its variable 'x' is in .data, but only read-only data can be an option");

    ObjectBtf twice;
    twice.option("x", twice.u32, {"scx.option=key", "scx.kind=int"});
    twice.option("y", twice.u32, {"scx.option=key", "scx.kind=int"});
    EXPECT_EQ(twice.error(), "option 'key' is declared twice");
}

TEST(Declarations, WhatGoesIntoTheStructOpsIsANumber) {
    for (const char* tag : {"scx.ops=timeout_ms", "scx.ops_flag=SCX_OPS_ENQ_LAST", "scx.default=SCX_SLICE_DFL"}) {
        ObjectBtf b;
        b.option("x", b.array(b.character, 16), {"scx.option=key", "scx.kind=string", tag});
        EXPECT_EQ(b.error(), "option 'key' carries the tag " + std::string(tag).substr(0, std::string(tag).find('=')) +
                                 ", which needs a number, but variable 'x' is char[16]");
    }
}

TEST(Declarations, PlainVariablesAreOptionsOfAnObjectWithoutTags) {
    ObjectBtf b;
    b.option("slice", b.u64, {});
    b.option("name", b.array(b.character, 8), {});
    b.option("mode", b.mode, {});
    b.option("mask", b.array(b.u64, 2), {});
    b.option("flag", b.boolean, {});
    b.option("pointer", b.pointer, {});
    b.option("structure", b.structure("s", 4, {{"m", b.u32, 0, {}}}), {});
    b.option("not a key", b.u32, {});
    b.variable(".rodata", "constant", btf__add_const(b.btf_, b.u32));
    b.variable(".data", "volatile_data", b.const_volatile(b.u32));
    const Declarations found = b.read().value();
    std::vector<std::string> keys;
    std::vector<OptionKind> kinds;
    for (const OptionDeclaration& option : found.options) {
        keys.push_back(option.key);
        kinds.push_back(option.kind);
        EXPECT_FALSE(option.tagged);
    }
    EXPECT_THAT(keys, ElementsAre("slice", "name", "mode", "mask", "flag", "structure.m"));
    EXPECT_THAT(kinds, ElementsAre(OptionKind::kInteger, OptionKind::kString, OptionKind::kEnum, OptionKind::kIntegers,
                                   OptionKind::kBool, OptionKind::kInteger));
    EXPECT_THAT(found.options[2].words, ElementsAre("MODE_FIFO", "MODE_VTIME"));
}

TEST(Declarations, PlainVariablesAreNoOptionsBesideDeclaredOnes) {
    ObjectBtf b;
    b.option("plain", b.u64, {});
    b.option("x", b.u32, {"scx.option=key", "scx.kind=int"});
    const Declarations found = b.read().value();
    ASSERT_EQ(found.options.size(), 1U);
    EXPECT_EQ(found.options[0].key, "key");
}

TEST(Declarations, FeaturesAndNeededKfuncs) {
    ObjectBtf b;
    b.option("a", b.boolean, {"scx.feature=kfunc:scx_bpf_dsq_reenq", "scx.missing=no reenqueue"});
    b.option("b", b.boolean, {"scx.feature=enum:SCX_ENQ_IMMED"});
    b.option("c", b.boolean, {"scx.feature=member:sched_ext_ops.sub_attach"});
    b.variable(".bss", "d", b.u64, {"scx.needs=one", "scx.needs=two"});
    const Declarations found = b.read().value();
    ASSERT_EQ(found.features.size(), 3U);
    EXPECT_EQ(found.features[0].what, FeatureDeclaration::What::kKfunc);
    EXPECT_EQ(found.features[0].name, "scx_bpf_dsq_reenq");
    EXPECT_EQ(found.features[0].missing, "no reenqueue");
    EXPECT_EQ(found.features[1].what, FeatureDeclaration::What::kEnumerator);
    EXPECT_EQ(found.features[2].what, FeatureDeclaration::What::kMember);
    EXPECT_EQ(found.features[2].name, "sched_ext_ops.sub_attach");
    EXPECT_THAT(found.needed_kfuncs, ElementsAre("one", "two"));
    EXPECT_TRUE(found.options.empty());
}

TEST(Declarations, ContradictionsOfFeaturesAreNamed) {
    const struct {
        const char* feature;
        int ObjectBtf::* type;
        std::string what;
    } cases[] = {
        {"scx.feature=kfunc:f", &ObjectBtf::u32,
         "variable 'x' stands for a kernel feature and must be a 'const volatile bool'"},
        {"scx.feature=function:f", &ObjectBtf::boolean, "variable 'x': 'function:f' names no kfunc:, enum: or member:"},
        {"scx.feature=member:sched_ext_ops", &ObjectBtf::boolean, "variable 'x': 'sched_ext_ops' is no struct.member"},
    };
    for (const auto& test : cases) {
        SCOPED_TRACE(test.feature);
        ObjectBtf b;
        b.option("x", b.*test.type, {test.feature});
        EXPECT_EQ(b.error(), test.what);
    }
}

TEST(Declarations, StatisticsAreFoundInNestedStructsAndArrays) {
    ObjectBtf b;
    const int inner =
        b.structure("inner", 16,
                    {{"depth",
                      b.u32,
                      0,
                      {"scx.stat=gauge", "scx.help=Tasks", "scx.unit=tasks", "scx.fold=max", "scx.group=queues"}},
                     {"moves", b.u64, 8, {"scx.stat=counter", "scx.help=Moved", "scx.name=moved"}}});
    const int outer = b.structure("outer", 48,
                                  {{"untagged", b.u64, 0, {}},
                                   {"queues", b.array(inner, 2), 8, {}},
                                   {"each", b.typedef_of("each_t", b.array(b.u32, 2)), 40, {"scx.stat=counter"}}});
    b.variable(".bss", "stats", outer, {}, 48);
    const Declarations found = b.read().value();
    ASSERT_EQ(found.statistics.size(), 3U);
    const StatisticDeclaration& depth = found.statistics[0];
    EXPECT_EQ(depth.name, "depth");
    EXPECT_EQ(depth.kind, StatisticKind::kGauge);
    EXPECT_EQ(to_string(depth.kind), "gauge");
    EXPECT_EQ(depth.fold, Fold::kMax);
    EXPECT_EQ(depth.unit, "tasks");
    EXPECT_EQ(depth.group, "queues");
    EXPECT_EQ(depth.home, StatisticDeclaration::Home::kGlobal);
    EXPECT_EQ(depth.container, ".bss");
    EXPECT_THAT(depth.offsets, ElementsAre(8, 24));
    EXPECT_EQ(depth.width, 4U);
    EXPECT_EQ(found.statistics[1].name, "moved");
    EXPECT_THAT(found.statistics[1].offsets, ElementsAre(16, 32));
    EXPECT_THAT(found.statistics[2].offsets, ElementsAre(40, 44));
}

TEST(Declarations, StatisticsOfTheArenaAndOfPerCpuMaps) {
    ObjectBtf b;
    const int stats = b.structure("stats", 8, {{"count", b.u64, 0, {"scx.stat=counter"}}});
    b.variable(".addr_space.1", "arena_stats", stats);
    b.variable(".rodata", "constants", stats);
    const Declarations found = b.read({{"per_cpu", static_cast<std::uint32_t>(stats)}}).value();
    ASSERT_EQ(found.statistics.size(), 2U) << "one of the same name in each container, none in read-only data";
    EXPECT_EQ(found.statistics[0].home, StatisticDeclaration::Home::kArena);
    EXPECT_EQ(found.statistics[1].home, StatisticDeclaration::Home::kPerCpuMap);
    EXPECT_EQ(found.statistics[1].container, "per_cpu");
}

TEST(Declarations, ContradictionsOfStatisticsAreNamed) {
    const struct {
        int ObjectBtf::* type;
        ObjectBtf::Tags tags;
        std::string what;
    } cases[] = {
        {&ObjectBtf::pointer, {"scx.stat=counter"}, "statistic 'm' must be an integer, but it is a pointer"},
        {&ObjectBtf::mode, {"scx.stat=counter", "scx.name=n"}, "statistic 'n' must be an integer, but it is enum mode"},
        {&ObjectBtf::u64, {"scx.stat=histogram"}, "statistic 'm' is of the unknown kind 'histogram'"},
        {&ObjectBtf::u64, {"scx.stat=gauge", "scx.fold=median"}, "statistic 'm' has the unknown fold 'median'"},
        {&ObjectBtf::u64, {"scx.stat=gauge", "scx.min=1"}, "'m' carries the unknown tag scx.min"},
        {&ObjectBtf::u64, {"scx.stat=gauge", "scx.stat=gauge"}, "'m' carries the tag scx.stat twice"},
        {&ObjectBtf::u64,
         {"scx.stat=gauge", "scx.help=\033[2J"},
         "'m' carries the tag scx.help with a control character"},
    };
    for (const auto& test : cases) {
        ObjectBtf b;
        b.variable(".bss", "stats", b.structure("s", 8, {{"m", b.*test.type, 0, test.tags}}));
        EXPECT_EQ(b.error(), test.what);
    }
}

TEST(Declarations, PlacesOfOneStatisticAreAlike) {
    const struct {
        int ObjectBtf::* type;
        ObjectBtf::Tags tags;
        bool alike;
    } cases[] = {
        {&ObjectBtf::u32, {"scx.stat=counter", "scx.name=n"}, true},
        {&ObjectBtf::u64, {"scx.stat=counter", "scx.name=n"}, false},
        {&ObjectBtf::s32, {"scx.stat=counter", "scx.name=n"}, false},
        {&ObjectBtf::u32, {"scx.stat=gauge", "scx.name=n"}, false},
        {&ObjectBtf::u32, {"scx.stat=counter", "scx.name=n", "scx.fold=max"}, false},
    };
    for (const auto& test : cases) {
        ObjectBtf b;
        b.variable(".bss", "first", b.structure("a", 8, {{"m", b.u32, 0, {"scx.stat=counter", "scx.name=n"}}}));
        b.variable(".bss", "second", b.structure("b", 8, {{"m", b.*test.type, 0, test.tags}}));
        EXPECT_EQ(b.error(), test.alike ? "accepted" : "statistic 'n' is declared twice in .bss, in different ways");
    }
}

TEST(Declarations, ExitRecordIsKnownByItsMembers) {
    ObjectBtf b;
    const int record = b.structure("user_exit_info", 1168,
                                   {{"kind", b.s32, 0, {}},
                                    {"exit_code", b.s64, 8, {}},
                                    {"reason", b.array(b.character, 128), 16, {}},
                                    {"msg", b.array(b.character, 1024), 144, {}}});
    b.variable(".data", "uei", record, {}, 1168);
    b.variable(".data.uei_dump", "uei_dump", b.array(b.character, 1), {}, 1);
    b.option("uei_dump_len", b.u32, {});
    b.option("slice", b.u64, {});
    const Declarations found = b.read().value();
    ASSERT_TRUE(found.exit_record);
    EXPECT_EQ(found.exit_record->variable.name, "uei");
    EXPECT_EQ(found.exit_record->exit_code_offset, 8U);
    EXPECT_EQ(found.exit_record->reason_offset, 16U);
    EXPECT_EQ(found.exit_record->reason_size, 128U);
    EXPECT_EQ(found.exit_record->message_offset, 144U);
    EXPECT_EQ(found.exit_record->message_size, 1024U);
    EXPECT_TRUE(found.exit_record->dump);
    EXPECT_TRUE(found.exit_record->dump_length);
    ASSERT_EQ(found.options.size(), 1U) << "the length of the dump is the host's to set";
    EXPECT_EQ(found.options[0].key, "slice");
}

TEST(Declarations, ExitRecordIsReadWithinBounds) {
    constexpr std::size_t kHuge = std::size_t{8} << 20U;
    const ExitRecordPlace place{.kind_offset = 0,
                                .exit_code_offset = 8,
                                .reason_offset = 16,
                                .reason_size = 128,
                                .message_offset = 144,
                                .message_size = kHuge};
    std::vector<std::byte> section(144 + kHuge, std::byte{'x'});
    const std::vector<std::byte> dump(kHuge, std::byte{'d'});
    const ExitReport report = read_exit_report(place, section, dump).value();
    EXPECT_EQ(report.reason, std::string(128, 'x'));
    EXPECT_EQ(report.message.size(), kMaxExitText);
    EXPECT_EQ(report.dump.size(), kMaxExitDump);

    section[16] = std::byte{0};
    section[144 + 3] = std::byte{0};
    const ExitReport ended = read_exit_report(place, section, {}).value();
    EXPECT_EQ(ended.reason, "");
    EXPECT_EQ(ended.message, "xxx");
    EXPECT_EQ(ended.dump, "");
    section.resize(200);
    EXPECT_EQ(read_exit_report(place, section, {}).value().message, "") << "it does not lie within the section";
    section.resize(15);
    EXPECT_FALSE(read_exit_report(place, section, {}));
}

TEST(Declarations, WhatLacksAMemberIsNoExitRecord) {
    ObjectBtf b;
    b.variable(".data", "uei",
               b.structure("user_exit_info", 16, {{"kind", b.s32, 0, {}}, {"exit_code", b.s64, 8, {}}}));
    EXPECT_FALSE(b.read().value().exit_record);
}

// Types that no compiler writes: reading ends, and says no or finds nothing.

TEST(Declarations, CyclesOfTypesEnd) {
    ObjectBtf typedefs;
    // Ids count up by one: the second typedef is the one that the first refers to.
    const int first = typedefs.typedef_of("first", typedefs.u32);
    const int second = typedefs.typedef_of("second", first);
    const_cast<btf_type*>(btf__type_by_id(typedefs.btf_, static_cast<__u32>(first)))->type = static_cast<__u32>(second);
    typedefs.variable(".rodata", "x", second);
    typedefs.variable(".bss", "y", second);
    EXPECT_TRUE(typedefs.read().value().options.empty());

    ObjectBtf tagged;
    const int self = tagged.typedef_of("self", tagged.u32);
    const_cast<btf_type*>(btf__type_by_id(tagged.btf_, static_cast<__u32>(self)))->type = static_cast<__u32>(self);
    tagged.variable(".rodata", "x", self, {"scx.option=key", "scx.kind=int"});
    EXPECT_EQ(tagged.error(),
              "option 'key' is of kind int, which needs an integer, but variable 'x' is an unreadable type");

    ObjectBtf structs;
    const int loop = structs.structure("loop", 8, {{"inner", structs.u64, 0, {}}});
    auto* type = const_cast<btf_type*>(btf__type_by_id(structs.btf_, static_cast<__u32>(loop)));
    btf_members(type)[0].type = static_cast<__u32>(loop);
    structs.variable(".bss", "x", loop);
    EXPECT_TRUE(structs.read().value().statistics.empty());
}

TEST(Declarations, HugeArraysAreRefusedNotWalked) {
    ObjectBtf plain;
    plain.option("x", plain.array(plain.u64, UINT32_MAX), {});
    EXPECT_TRUE(plain.read().value().options.empty()) << "its size does not fit into 32 bits";

    ObjectBtf data;
    data.variable(".bss", "x", data.array(data.structure("s", 8, {{"m", data.u64, 0, {}}}), 100'000'000));
    EXPECT_TRUE(data.read().value().statistics.empty()) << "plain data is not walked";

    ObjectBtf statistics;
    const int stats = statistics.structure("s", 8, {{"m", statistics.u64, 0, {"scx.stat=counter"}}});
    statistics.variable(".bss", "x", statistics.array(stats, 1'000'000));
    EXPECT_THAT(statistics.error(), HasSubstr("more statistics than this host reads"));

    ObjectBtf integers;
    integers.variable(
        ".bss", "x",
        integers.structure("s", 8, {{"m", integers.array(integers.u64, 1'000'000), 0, {"scx.stat=counter"}}}));
    EXPECT_THAT(integers.error(), HasSubstr("more statistics than this host reads"));
}

TEST(Declarations, WideNestsOfStructsAreRefused) {
    // 100^7 members if every path were walked.
    ObjectBtf b;
    int type = b.u64;
    for (int level = 0; level < 7; ++level) {
        std::vector<ObjectBtf::Member> members;
        for (std::uint32_t i = 0; i < 100; ++i)
            members.push_back({"m", type, i, {}});
        type = b.structure("level", 4096, members);
    }
    b.variable(".bss", "x", type);
    EXPECT_THAT(b.error(), HasSubstr("nested too widely"));
}

TEST(Declarations, UnsignedEnumsKeepTheirTopBit) {
    ObjectBtf b;
    const int type = btf__add_enum(b.btf_, "big", 4);
    btf__add_enum_value(b.btf_, "BIG", 0x80000000LL);
    b.option("x", type, {"scx.option=key", "scx.kind=enum"});
    const Declarations found = b.read().value();
    ASSERT_EQ(found.options.size(), 1U);
    EXPECT_EQ(found.options[0].storage.enumerators[0].second, 0x80000000LL);
}

} // namespace
} // namespace scxhost
