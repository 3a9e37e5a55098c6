// SPDX-License-Identifier: GPL-2.0-only
//
// What the tests of plugins share: the built plugins and objects, and changing bytes of a copy.
#pragma once

#include "host/base/elf_image.hpp"
#include "host/base/regular_file.hpp"
#include "tests/support/places.hpp"
#include "tests/support/temp_dir.hpp"
#include <scxhost/plugin.h>

#include <elf.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace scxhost {

using Bytes = std::vector<std::byte>;

inline std::filesystem::path zoo_path(const std::string& file) {
    return std::filesystem::path(kZooDir) / file;
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

// Makes a plugin's information longer, as a newer contract's would be, over whatever bytes follow it in the file; the
// last byte is `last`, those before it are zero.
inline void add_tail(Bytes& file, std::byte last) {
    constexpr std::size_t kTail = 16;
    const std::size_t begin = section_offset(file, SCXHOST_INFO_SECTION);
    scxhost_plugin_info info;
    std::memcpy(&info, file.data() + begin, sizeof info);
    info.size += kTail;
    std::memcpy(file.data() + begin, &info, sizeof info);
    std::memset(file.data() + begin + sizeof info, 0, kTail);
    file[begin + sizeof info + kTail - 1] = last;
    Elf64_Ehdr header;
    std::memcpy(&header, file.data(), sizeof header);
    for (std::size_t i = 0; i < header.e_shnum; ++i) {
        Elf64_Shdr section;
        std::byte* place = file.data() + header.e_shoff + i * sizeof section;
        std::memcpy(&section, place, sizeof section);
        if (section.sh_offset != begin || section.sh_size != sizeof info)
            continue;
        section.sh_size += kTail;
        std::memcpy(place, &section, sizeof section);
    }
}

// Whether a file is mapped. Not asked of the loader, whose lock a hanging constructor holds.
inline bool is_in_memory(const std::filesystem::path& path) {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);)
        if (line.ends_with("/memfd:" + path.filename().string() + " (deleted)"))
            return true;
    return false;
}

// Waits until the condition holds; false when it does not within what is far beyond what anything takes.
inline constexpr std::chrono::seconds kPatience(60);
inline bool comes_true(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!condition() && std::chrono::steady_clock::now() < deadline)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return condition();
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
