// SPDX-License-Identifier: GPL-2.0-only
//
// ElfImage on a small file made here, whole and damaged at each place that it reads.
#include "host/base/elf_image.hpp"
#include "tests/support/temp_dir.hpp"

#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <string>

namespace scxhost {
namespace {

using testing::HasSubstr;

// Header, names, a data section, section table.
struct SmallElf {
    Elf64_Ehdr header{};
    char names[32] = "\0.names\0.data\0.bss";
    char data[8] = "content";
    Elf64_Shdr sections[4]{};

    SmallElf() {
        std::memcpy(header.e_ident, ELFMAG, SELFMAG);
        header.e_ident[EI_CLASS] = ELFCLASS64;
        header.e_ident[EI_DATA] = ELFDATA2LSB;
        header.e_type = ET_REL;
        header.e_machine = EM_BPF;
        header.e_shoff = offsetof(SmallElf, sections);
        header.e_shentsize = sizeof(Elf64_Shdr);
        header.e_shnum = 4;
        header.e_shstrndx = 1;
        sections[1].sh_name = 1;
        sections[1].sh_type = SHT_STRTAB;
        sections[1].sh_offset = offsetof(SmallElf, names);
        sections[1].sh_size = sizeof names;
        sections[2].sh_name = 8;
        sections[2].sh_type = SHT_PROGBITS;
        sections[2].sh_offset = offsetof(SmallElf, data);
        sections[2].sh_size = sizeof data;
        sections[3].sh_name = 14;
        sections[3].sh_type = SHT_NOBITS;
        sections[3].sh_offset = ~0ULL; // takes no room in the file: anything goes
        sections[3].sh_size = 1ULL << 40U;
    }

    [[nodiscard]] std::vector<std::byte> bytes(std::size_t size = sizeof(SmallElf)) const {
        const auto* begin = reinterpret_cast<const std::byte*>(this);
        return {begin, begin + size};
    }
};

TEST(ElfImage, SectionsAndTheirContents) {
    const ElfImage image = ElfImage::parse(SmallElf().bytes()).value();
    EXPECT_EQ(image.machine(), EM_BPF);
    EXPECT_EQ(image.type(), ET_REL);
    const ElfImage::Section* data = image.find(".data");
    ASSERT_NE(data, nullptr);
    EXPECT_EQ(image.contents(*data).size(), 8U);
    EXPECT_EQ(image.text(*data, 0), "content");
    EXPECT_EQ(image.text(*data, 8), std::nullopt) << "past its end";
    ASSERT_NE(image.find(".bss"), nullptr);
    EXPECT_TRUE(image.contents(*image.find(".bss")).empty());
    EXPECT_EQ(image.find(".absent"), nullptr);
}

TEST(ElfImage, TruncatedAnywhereIsRefused) {
    const SmallElf elf;
    for (std::size_t size = 0; size < sizeof elf; ++size)
        EXPECT_FALSE(ElfImage::parse(elf.bytes(size))) << size;
}

TEST(ElfImage, DamageIsNamed) {
    const struct {
        const char* description;
        std::function<void(SmallElf&)> damage;
        const char* what;
    } cases[] = {
        {"no magic", [](SmallElf& e) { e.header.e_ident[1] = 'X'; }, "not an ELF file"},
        {"32 bits", [](SmallElf& e) { e.header.e_ident[EI_CLASS] = ELFCLASS32; }, "not a 64-bit little-endian"},
        {"big endian", [](SmallElf& e) { e.header.e_ident[EI_DATA] = ELFDATA2MSB; }, "not a 64-bit little-endian"},
        {"no sections", [](SmallElf& e) { e.header.e_shnum = 0; }, "section table lies outside"},
        {"strange entries", [](SmallElf& e) { e.header.e_shentsize = 40; }, "section table lies outside"},
        {"table elsewhere", [](SmallElf& e) { e.header.e_shoff = ~0ULL - 8; }, "section table lies outside"},
        {"too many", [](SmallElf& e) { e.header.e_shnum = 5; }, "section table lies outside"},
        {"names in no section", [](SmallElf& e) { e.header.e_shstrndx = 4; }, "section table lies outside"},
        {"offset outside", [](SmallElf& e) { e.sections[2].sh_offset = ~0ULL; }, "an ELF section lies outside"},
        {"size outside", [](SmallElf& e) { e.sections[2].sh_size = ~0ULL; }, "an ELF section lies outside"},
        {"name outside", [](SmallElf& e) { e.sections[2].sh_name = 4000; }, "name lies outside its table"},
        {"name without end", [](SmallElf& e) { e.sections[1].sh_size = 9; }, "name lies outside its table"},
        {"no names at all", [](SmallElf& e) { e.sections[1].sh_type = SHT_NOBITS; }, "name lies outside its table"},
    };
    for (const auto& test : cases) {
        SCOPED_TRACE(test.description);
        SmallElf elf;
        test.damage(elf);
        const auto image = ElfImage::parse(elf.bytes());
        ASSERT_FALSE(image);
        EXPECT_EQ(image.error().kind, ErrorKind::kObject);
        EXPECT_THAT(image.error().what, HasSubstr(test.what));
    }
}

} // namespace
} // namespace scxhost
