// SPDX-License-Identifier: GPL-2.0-only
//
// Read-only view of an ELF file's sections, for files that may be hostile: every offset and size is checked against the
// file before use. Owns the bytes.
#pragma once

#include "host/base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {

class ElfImage {
public:
    // Errors: kObject when the bytes are no 64-bit little-endian ELF file or a header points outside the file.
    static Result<ElfImage> parse(std::vector<std::byte> bytes);

    struct Section {
        std::string_view name;
        std::uint32_t type = 0; // SHT_*
        std::uint32_t link = 0;
        std::size_t offset = 0; // in the file
        std::size_t size = 0;   // 0 for SHT_NOBITS
    };

    [[nodiscard]] std::uint16_t machine() const { return machine_; } // EM_*
    [[nodiscard]] std::uint16_t type() const { return type_; }       // ET_*
    [[nodiscard]] const std::vector<Section>& sections() const { return sections_; }
    [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }
    [[nodiscard]] std::vector<std::byte> release() && { return std::move(bytes_); }

    [[nodiscard]] const Section* find(std::string_view name) const;
    [[nodiscard]] std::span<const std::byte> contents(const Section& section) const {
        return std::span(bytes_).subspan(section.offset, section.size);
    }

    struct Symbol {
        std::string_view name;
        std::uint16_t section = 0; // SHN_UNDEF: it is somewhere else
        std::uint8_t binding = 0;  // STB_*
    };
    // Those with a name, of all tables of this type: SHT_SYMTAB or SHT_DYNSYM.
    [[nodiscard]] std::vector<Symbol> symbols(std::uint32_t table_type) const;

    // The text that starts at `offset` of a string table; nullopt when it is not terminated within the table.
    [[nodiscard]] std::optional<std::string_view> text(const Section& table, std::size_t offset) const;

private:
    std::vector<std::byte> bytes_;
    std::vector<Section> sections_;
    std::uint16_t machine_ = 0;
    std::uint16_t type_ = 0;
};

} // namespace scxhost
