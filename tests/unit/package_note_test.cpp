// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/unique_fd.hpp"
#include "host/programs/package_note.hpp"
#include "tests/support/temp_dir.hpp"

#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>

// What a distribution's linker flags put into a program: this one is the unit tests' own.
asm(R"(
    .pushsection .note.package, "a", @note
    .balign 4
    .long 4, 2f - 1f, 0xcafe1a7e
    .asciz "FDO"
1:  .asciz "{\"type\":\"deb\",\"name\":\"scxhost\",\"version\":\"1.2.3-4\"}"
2:  .balign 4
    .popsection
)");

namespace scxhost {
namespace {

UniqueFd open_file(const std::string& path) {
    return UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
}

// A program with one segment, of notes, that has these bytes.
std::string program_with(const std::string& notes, Elf64_Phdr segment = {}) {
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_phoff = sizeof header;
    header.e_phentsize = sizeof segment;
    header.e_phnum = 1;
    segment.p_type = PT_NOTE;
    segment.p_offset = sizeof header + sizeof segment;
    if (segment.p_filesz == 0)
        segment.p_filesz = notes.size();
    return std::string(reinterpret_cast<const char*>(&header), sizeof header) +
           std::string(reinterpret_cast<const char*>(&segment), sizeof segment) + notes;
}

std::string note(const std::string& owner, const std::string& content, std::uint32_t type = 0xcafe1a7e) {
    const Elf64_Nhdr header{.n_namesz = static_cast<Elf64_Word>(owner.size()),
                            .n_descsz = static_cast<Elf64_Word>(content.size()),
                            .n_type = type};
    const auto padded = [](std::string text) {
        text.resize((text.size() + 3) / 4 * 4);
        return text;
    };
    return std::string(reinterpret_cast<const char*>(&header), sizeof header) + padded(owner) + padded(content);
}

const std::string kFdo("FDO\0", 4);

class PackageNote : public testing::Test {
protected:
    std::string version_of(const std::string& bytes) {
        return packaged_version(open_file(folder_.write("program", bytes)).get());
    }
    TempDir folder_;
};

TEST_F(PackageNote, IsFoundInARealProgram) {
    EXPECT_EQ(packaged_version(open_file("/proc/self/exe").get()), "1.2.3-4");
}

TEST_F(PackageNote, IsOneAmongOthers) {
    EXPECT_EQ(version_of(program_with(note("GNU", "an id", 3) + note(kFdo, R"({"version":"2"})"))), "2");
}

TEST_F(PackageNote, HasNothingInAFileWithoutOne) {
    EXPECT_EQ(version_of(""), "");
    EXPECT_EQ(version_of("#!/bin/sh\nexit 0\n"), "");
    EXPECT_EQ(version_of(program_with(note("GNU", "an id", 3))), "");
    EXPECT_EQ(version_of(program_with(note("Go\0\0", R"({"version":"2"})"))), "");
    EXPECT_EQ(version_of(program_with(note(kFdo, R"({"version":"2"})", 1))), "");
}

TEST_F(PackageNote, IsRefusedWhereItIsDamagedOrHostile) {
    for (const char* json : {R"({"version":2})", R"({"version":"a b"})", R"({"version":"\u001b[31m"})",
                             R"(["version"])", R"({"version":")", R"({"version":"\ud800"})"})
        EXPECT_EQ(version_of(program_with(note(kFdo, json))), "") << json;
    EXPECT_EQ(version_of(program_with(note(kFdo, R"({"version":")" + std::string(65, '1') + R"("})"))), "");
    EXPECT_EQ(version_of(program_with(note(kFdo, std::string(60'000, '[')))), "");

    const std::string whole = program_with(note(kFdo, R"({"version":"2"})"));
    ASSERT_EQ(version_of(whole), "2");
    for (std::size_t size = 0; size + 1 < whole.size(); ++size)
        EXPECT_EQ(version_of(whole.substr(0, size)), "") << size;
    for (const std::uint64_t size : {std::uint64_t{1} << 40U, ~std::uint64_t{0}})
        EXPECT_EQ(version_of(program_with(note(kFdo, R"({"version":"2"})"), {.p_filesz = size})), "");
    std::string sizes = program_with(note(kFdo, R"({"version":"2"})"));
    std::memset(sizes.data() + sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr), 0xff, 8); // of owner and content
    EXPECT_EQ(version_of(sizes), "");
}

} // namespace
} // namespace scxhost
