// SPDX-License-Identifier: GPL-2.0-only
//
// What the tests of plugins share: the built plugins and objects, and changing bytes of a copy.
#pragma once

#include "host/base/elf_image.hpp"
#include "tests/support/temp_dir.hpp"

#include <elf.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {

using Bytes = std::vector<std::byte>;

inline std::filesystem::path zoo_path(const std::string& file) {
    return std::filesystem::path(SCXHOST_ZOO_DIR) / file;
}

inline Bytes zoo_bytes(const std::string& file) {
    return read_binary_file(zoo_path(file), 64U << 20U, "file of the zoo").value();
}

inline std::string_view as_text(const Bytes& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Where a section's bytes start in the file.
inline std::size_t section_offset(const Bytes& file, std::string_view section) {
    const ElfImage image = ElfImage::parse(file).value();
    const ElfImage::Section* found = image.find(section);
    EXPECT_NE(found, nullptr) << section;
    return found == nullptr ? 0 : found->offset;
}

// Takes a section's name away, so that nobody finds it.
inline void hide_section(Bytes& file, std::string_view section) {
    const ElfImage image = ElfImage::parse(file).value();
    Elf64_Ehdr header;
    std::memcpy(&header, file.data(), sizeof header);
    for (std::size_t i = 0; i < image.sections().size(); ++i)
        if (image.sections()[i].name == section)
            std::memset(file.data() + header.e_shoff + i * sizeof(Elf64_Shdr), 0, sizeof(Elf64_Word)); // sh_name
}

// Sets an environment variable for the length of a test.
class Environment {
public:
    Environment(const char* name, const std::string& value)
        : name_(name) {
        ::setenv(name, value.c_str(), 1);
    }
    Environment(const Environment&) = delete;
    Environment& operator=(const Environment&) = delete;
    ~Environment() { ::unsetenv(name_); }

private:
    const char* name_;
};

} // namespace scxhost
