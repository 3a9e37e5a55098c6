// SPDX-License-Identifier: GPL-2.0-only
//
// A folder of a test's own, removed with everything in it at the end.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>

namespace scxhost {

class TempDir {
public:
    TempDir() {
        std::string name = testing::TempDir() + "scxhost-test-XXXXXX";
        if (::mkdtemp(name.data()) != nullptr)
            path_ = name;
        EXPECT_FALSE(path_.empty()) << "cannot create " << name;
    }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    ~TempDir() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

    // Writes a file below the folder, with the folders on its way; its mode does not depend on the umask.
    std::filesystem::path write(const std::filesystem::path& name, std::string_view content, mode_t mode = 0644) const {
        const std::filesystem::path file = path_ / name;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file, std::ios::binary) << content;
        EXPECT_EQ(::chmod(file.c_str(), mode), 0) << file;
        return file;
    }

private:
    std::filesystem::path path_;
};

} // namespace scxhost
