// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/elf_image.hpp"

#include <elf.h>
#include <fmt/format.h>

#include <cstring>

namespace scxhost {

Result<ElfImage> ElfImage::parse(std::vector<std::byte> bytes) {
    // Headers are copied out: nothing guarantees their alignment in the file.
    Elf64_Ehdr header;
    if (bytes.size() < sizeof header || std::memcmp(bytes.data(), ELFMAG, SELFMAG) != 0)
        return fail(ErrorKind::kObject, "not an ELF file");
    std::memcpy(&header, bytes.data(), sizeof header);
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB)
        return fail(ErrorKind::kObject, "not a 64-bit little-endian ELF file");
    if (header.e_shnum == 0 || header.e_shentsize != sizeof(Elf64_Shdr) || header.e_shoff > bytes.size() ||
        header.e_shnum > (bytes.size() - header.e_shoff) / sizeof(Elf64_Shdr) || header.e_shstrndx >= header.e_shnum)
        return fail(ErrorKind::kObject,
                    "the ELF section table lies outside the file: the file is truncated or damaged");

    ElfImage image;
    image.machine_ = header.e_machine;
    image.type_ = header.e_type;
    std::vector<Elf64_Shdr> headers(header.e_shnum);
    std::memcpy(headers.data(), bytes.data() + header.e_shoff, headers.size() * sizeof(Elf64_Shdr));
    for (const Elf64_Shdr& section : headers) {
        const bool has_bytes = section.sh_type != SHT_NOBITS && section.sh_type != SHT_NULL;
        if (has_bytes && (section.sh_offset > bytes.size() || section.sh_size > bytes.size() - section.sh_offset))
            return fail(ErrorKind::kObject, "an ELF section lies outside the file: the file is truncated or damaged");
        image.sections_.push_back({.name = {},
                                   .type = section.sh_type,
                                   .link = section.sh_link,
                                   .offset = has_bytes ? section.sh_offset : 0,
                                   .size = has_bytes ? section.sh_size : 0});
    }
    image.bytes_ = std::move(bytes);

    const Section& names = image.sections_[header.e_shstrndx];
    for (std::size_t i = 0; i < headers.size(); ++i) {
        const std::optional<std::string_view> name = image.text(names, headers[i].sh_name);
        if (!name)
            return fail(ErrorKind::kObject, "an ELF section's name lies outside its table: the file is damaged");
        image.sections_[i].name = *name;
    }
    return image;
}

const ElfImage::Section* ElfImage::find(std::string_view name) const {
    for (const Section& section : sections_)
        if (section.name == name)
            return &section;
    return nullptr;
}

std::vector<ElfImage::Symbol> ElfImage::symbols(std::uint32_t table_type) const {
    std::vector<Symbol> result;
    for (const Section& table : sections_) {
        if (table.type != table_type || table.link >= sections_.size())
            continue;
        const std::span<const std::byte> bytes = contents(table);
        for (std::size_t at = 0; at + sizeof(Elf64_Sym) <= bytes.size(); at += sizeof(Elf64_Sym)) {
            Elf64_Sym raw;
            std::memcpy(&raw, bytes.data() + at, sizeof raw);
            const std::optional<std::string_view> name = text(sections_[table.link], raw.st_name);
            if (name && !name->empty())
                result.push_back({*name, raw.st_shndx, static_cast<std::uint8_t>(ELF64_ST_BIND(raw.st_info))});
        }
    }
    return result;
}

std::optional<std::string_view> ElfImage::text(const Section& table, std::size_t offset) const {
    if (offset >= table.size)
        return std::nullopt;
    const auto* begin = reinterpret_cast<const char*>(bytes_.data() + table.offset + offset);
    const void* end = std::memchr(begin, '\0', table.size - offset);
    if (end == nullptr)
        return std::nullopt;
    return std::string_view(begin, static_cast<const char*>(end));
}

} // namespace scxhost
