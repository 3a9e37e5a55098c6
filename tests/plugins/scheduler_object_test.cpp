// SPDX-License-Identifier: GPL-2.0-only
//
// Objects opened, good and broken; no kernel is asked.
#include "host/bpf/scheduler_object.hpp"
#include "tests/plugins/zoo.hpp"

#include <bpf/libbpf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace scxhost {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::StartsWith;

Result<SchedulerObject> open(const Bytes& bytes, const std::string& struct_ops = {}) {
    return SchedulerObject::open({.name = "x", .bytes = bytes, .struct_ops = struct_ops});
}

Error refused(const Bytes& bytes, const std::string& struct_ops = {}) {
    const auto object = open(bytes, struct_ops);
    if (object)
        return {.what = "accepted"};
    EXPECT_EQ(object.error().kind, ErrorKind::kObject);
    return object.error();
}

TEST(SchedulerObject, SaysWhatItIs) {
    const SchedulerObject object = open(zoo_bytes("good.bpf.o")).value();
    EXPECT_EQ(object.struct_ops_name(), "zoo_ops");
    EXPECT_EQ(object.build_id().size(), 16U);
    EXPECT_EQ(object.ops_name(), "zoo_" + object.build_id());
    EXPECT_THAT(object.ops_members_set(), AllOf(Contains("enqueue"), Contains("exit"), Contains("name")));
    ASSERT_TRUE(object.declarations().exit_record);
    EXPECT_EQ(object.declarations().exit_record->variable.name, "uei");
    ASSERT_EQ(object.declarations().statistics.size(), 1U);
    EXPECT_EQ(object.declarations().statistics[0].name, "enqueued");
    EXPECT_FALSE(object.kfuncs().empty());
    EXPECT_FALSE(object.loaded());
}

TEST(SchedulerObject, BuildIdIsOfTheBytes) {
    Bytes bytes = zoo_bytes("good.bpf.o");
    const std::string before = open(bytes).value().build_id();
    EXPECT_EQ(open(bytes).value().build_id(), before);
    bytes.push_back(std::byte{0}); // after the section table: means nothing
    EXPECT_NE(open(bytes).value().build_id(), before);
}

TEST(SchedulerObject, OneOfSeveralMustBeChosen) {
    const Bytes bytes = zoo_bytes("two_ops.bpf.o");
    const Error error = refused(bytes);
    EXPECT_EQ(error.what, "'x' has 2 struct_ops maps: first_ops and second_ops");
    EXPECT_EQ(error.hint, "choose one with struct_ops = \"first_ops\", or --set scheduler.struct_ops=first_ops");
    EXPECT_EQ(open(bytes, "second_ops").value().struct_ops_name(), "second_ops");
    const Error unknown = refused(bytes, "third_ops");
    EXPECT_EQ(unknown.what, "'x' has no struct_ops map 'third_ops'");
    EXPECT_THAT(unknown.hint, AllOf(HasSubstr("first_ops"), HasSubstr("second_ops")));
}

TEST(SchedulerObject, WhatIsNoSchedulerIsNamed) {
    EXPECT_EQ(refused(zoo_bytes("no_scheduler.bpf.o")).what,
              "'x' is no sched_ext scheduler: it has no struct_ops map of type sched_ext_ops");
    EXPECT_EQ(refused({}).what, "'x' is not a BPF object: not an ELF file");
    const Error library = refused(zoo_bytes("good.so"));
    EXPECT_EQ(library.what, "'x' is not a BPF object: it is an ELF file for another machine");
    EXPECT_EQ(library.hint, "compile it with clang -target bpf");

    Bytes big_endian = zoo_bytes("good.bpf.o");
    big_endian[EI_DATA] = std::byte{ELFDATA2MSB};
    EXPECT_EQ(refused(big_endian).what, "'x' is not a BPF object: not a 64-bit little-endian ELF file");
}

TEST(SchedulerObject, WithoutTypeInformation) {
    Bytes bytes = zoo_bytes("good.bpf.o");
    hide_section(bytes, ".BTF");
    const Error error = refused(bytes);
    EXPECT_EQ(error.what, "'x' has no BTF type information");
    EXPECT_EQ(error.hint, "compile it with -g");
}

TEST(SchedulerObject, UnreadableTypeInformation) {
    // libbpf refuses it where something needs it, and goes on without where nothing does.
    for (const char* file : {"good.bpf.o", "no_scheduler.bpf.o"}) {
        Bytes bytes = zoo_bytes(file);
        bytes[section_offset(bytes, ".BTF")] ^= std::byte{0xff};
        EXPECT_THAT(refused(bytes).what, StartsWith("'x' is not a BPF object that can be opened: ")) << file;
    }
}

// The next kind of type that nobody knows yet, in the place of the first one.
TEST(SchedulerObject, TypesOfALaterCompiler) {
    Bytes bytes = zoo_bytes("good.bpf.o");
    const std::size_t header = section_offset(bytes, ".BTF");
    std::uint32_t info = 0;
    const std::size_t at = header + 24 + 4; // behind the header, the type's name
    std::memcpy(&info, bytes.data() + at, sizeof info);
    info = (info & ~0x1f000000U) | 0x1f000000U;
    std::memcpy(bytes.data() + at, &info, sizeof info);
    const Error error = refused(bytes);
    EXPECT_THAT(error.what, StartsWith("'x' is not a BPF object that can be opened: BTF "));
    EXPECT_THAT(error.hint, HasSubstr("newer"));
}

// Maps as they were declared before libbpf 1.0.
TEST(SchedulerObject, MapsOfAnEarlierLibbpf) {
    Bytes bytes = zoo_bytes("good.bpf.o");
    const std::string_view text = as_text(bytes);
    const std::size_t name = text.find(std::string_view("\0.maps\0", 7));
    ASSERT_NE(name, std::string_view::npos);
    const ElfImage image = ElfImage::parse(bytes).value();
    Elf64_Ehdr header;
    std::memcpy(&header, bytes.data(), sizeof header);
    for (std::size_t i = 0; i < image.sections().size(); ++i) {
        if (image.sections()[i].name != ".maps")
            continue;
        Elf64_Word* entry = reinterpret_cast<Elf64_Word*>(bytes.data() + header.e_shoff + i * sizeof(Elf64_Shdr));
        ++*entry; // ".maps" without its dot
    }
    const Error error = refused(bytes);
    EXPECT_THAT(error.what, AllOf(StartsWith("'x' is not a BPF object that can be opened: "), HasSubstr("legacy")));
    EXPECT_THAT(error.hint, HasSubstr("another libbpf"));
}

TEST(SchedulerObject, LyingTags) {
    EXPECT_EQ(refused(zoo_bytes("lying.bpf.o")).what,
              "option 'slice' is of kind string, which needs an array of char, but variable 'slice_ns' is "
              "unsigned long long");
}

TEST(SchedulerObject, TruncatedAnywhereIsRefused) {
    const Bytes whole = zoo_bytes("good.bpf.o");
    for (std::size_t part = 0; part < 64; ++part) {
        const std::size_t size = whole.size() * part / 64;
        EXPECT_THAT(refused({whole.begin(), whole.begin() + static_cast<long>(size)}).what,
                    StartsWith("'x' is not a BPF object: "))
            << size;
    }
}

TEST(SchedulerObject, NamesForTheKernel) {
    const Bytes bytes = zoo_bytes("good.bpf.o");
    for (const std::string& name : {std::string(), std::string(300, 'n'), std::string("a b/\033\n\xc3\xa4.x-y")}) {
        const SchedulerObject object = SchedulerObject::open({.name = name, .bytes = bytes, .struct_ops = {}}).value();
        EXPECT_EQ(object.ops_name(), "zoo_" + object.build_id());
    }
}

// As a loader leaves it that means to set the size itself. The kernel is not asked.
TEST(SchedulerObject, MapWithoutASizeIsTheObjectsFault) {
    const Bytes bytes = zoo_bytes("counts.bpf.o");
    SchedulerObject object = open(bytes).value();
    ASSERT_EQ(bpf_map__set_max_entries(object.find_map("places"), 0), 0);
    const Result<> loaded = object.load();
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().kind, ErrorKind::kObject);
    EXPECT_EQ(loaded.error().what, "map 'places' of 'x' has no number of entries");
    EXPECT_THAT(loaded.error().hint, HasSubstr("max_entries"));
}

TEST(SchedulerObject, KernelConfigurationIsLookedForAndWhatIsMissingIsNamed) {
    const TempDir dir;
    const std::filesystem::path file = dir.write("config", "CONFIG_HZ=250\nCONFIG_SMP=y\n# CONFIG_OTHER is not set\n");
    const auto check = [](const char* object, const std::filesystem::path& config) {
        const Bytes bytes = zoo_bytes(object);
        const auto opened =
            SchedulerObject::open({.name = "x", .bytes = bytes, .struct_ops = {}, .kernel_configs = {config}});
        EXPECT_TRUE(opened) << opened.error().what;
        return opened->check_kernel_config();
    };
    EXPECT_TRUE(check("configured.bpf.o", file));
    const Result<> none = check("configured.bpf.o", "/nonexistent/config");
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().kind, ErrorKind::kUnsupported);
    EXPECT_THAT(none.error().what,
                AllOf(HasSubstr("'x' asks for CONFIG_"), HasSubstr("CONFIG_HZ"), HasSubstr("/nonexistent/config")));
    EXPECT_EQ(check("unconfigured.bpf.o", file).error().what,
              "'x' needs CONFIG_OF_ANOTHER_WORLD, and " + file.string() + " does not set it");
    EXPECT_TRUE(check("counts.bpf.o", "/nonexistent/config")) << "it asks for nothing";
}

} // namespace
} // namespace scxhost
