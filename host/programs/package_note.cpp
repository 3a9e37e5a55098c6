// SPDX-License-Identifier: GPL-2.0-only
#include "host/programs/package_note.hpp"

#include "host/base/json_fields.hpp"

#include <elf.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace scxhost {
namespace {

constexpr std::uint32_t kPackageMetadata = 0xcafe1a7e;
constexpr std::string_view kOwner("FDO\0", 4);
constexpr std::size_t kMaxNotes = 64U << 10U; // bytes of one segment
constexpr std::size_t kMaxVersion = 64;

bool read_at(int fd, void* to, std::size_t size, std::uint64_t offset) {
    return offset <= INT64_MAX && ::pread(fd, to, size, static_cast<off_t>(offset)) == static_cast<ssize_t>(size);
}

std::string version_in(std::string_view json) {
    json = json.substr(0, json.find('\0')); // padded
    std::string version = json_text(nlohmann::json::parse(json, nullptr, false), "version");
    const bool plain = std::ranges::all_of(version, [](unsigned char c) { return std::isgraph(c) != 0; });
    return plain && version.size() <= kMaxVersion ? version : std::string();
}

// A segment of notes: each has a header, and its owner and its content begin at multiples of four.
std::string version_among(std::string_view notes) {
    while (notes.size() >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr header;
        std::memcpy(&header, notes.data(), sizeof header);
        notes.remove_prefix(sizeof header);
        const auto take = [&notes](std::uint64_t size) -> std::string_view {
            const std::string_view taken = notes.substr(0, size);
            notes.remove_prefix(std::min<std::uint64_t>(notes.size(), (size + 3) / 4 * 4));
            return taken;
        };
        const std::string_view owner = take(header.n_namesz);
        const std::string_view content = take(header.n_descsz);
        if (header.n_type == kPackageMetadata && owner == kOwner && content.size() == header.n_descsz)
            return version_in(content);
    }
    return {};
}

} // namespace

std::string packaged_version(int fd) {
    Elf64_Ehdr file;
    if (!read_at(fd, &file, sizeof file, 0) || std::memcmp(file.e_ident, ELFMAG, SELFMAG) != 0 ||
        file.e_ident[EI_CLASS] != ELFCLASS64 || file.e_ident[EI_DATA] != ELFDATA2LSB ||
        file.e_phentsize != sizeof(Elf64_Phdr))
        return {};
    for (std::uint64_t i = 0; i < file.e_phnum; ++i) {
        Elf64_Phdr segment;
        if (file.e_phoff > INT64_MAX || !read_at(fd, &segment, sizeof segment, file.e_phoff + i * sizeof segment))
            return {};
        if (segment.p_type != PT_NOTE || segment.p_filesz > kMaxNotes)
            continue;
        std::vector<char> notes(segment.p_filesz);
        if (!read_at(fd, notes.data(), notes.size(), segment.p_offset))
            return {};
        if (std::string version = version_among({notes.data(), notes.size()}); !version.empty())
            return version;
    }
    return {};
}

} // namespace scxhost
