// SPDX-License-Identifier: GPL-2.0-only
#include "host/kernel/kernel_config.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <string>

namespace scxhost {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr const char* kText = "# a comment\nCONFIG_HZ=250\nCONFIG_HZ_250=y\n# CONFIG_OTHER is not set\n"
                              "CONFIG_NAME=\"a=b\"\nCONFIG_LAST=m";

void write_gzip(const std::filesystem::path& path, const std::string& text) {
    gzFile file = ::gzopen(path.c_str(), "wb");
    ASSERT_NE(file, nullptr);
    EXPECT_EQ(::gzwrite(file, text.data(), static_cast<unsigned>(text.size())), static_cast<int>(text.size()));
    ::gzclose(file);
}

TEST(KernelConfig, ValuesAsTheyStandInTheFile) {
    const KernelConfig config{.path = "x", .text = kText};
    EXPECT_EQ(config.value("CONFIG_HZ"), "250");
    EXPECT_EQ(config.value("CONFIG_HZ_250"), "y");
    EXPECT_EQ(config.value("CONFIG_NAME"), "\"a=b\"");
    EXPECT_EQ(config.value("CONFIG_LAST"), "m") << "no newline at the end";
    EXPECT_EQ(config.value("CONFIG_OTHER"), std::nullopt);
    EXPECT_EQ(config.value("CONFIG_H"), std::nullopt);
    EXPECT_EQ(config.value("CONFIG_HZ=250"), std::nullopt);
}

TEST(KernelConfig, FirstPlaceThatIsThereAndCompressedOnes) {
    const TempDir dir;
    const std::filesystem::path plain = dir.write("config", "CONFIG_HZ=100\n");
    const std::filesystem::path packed = dir.path() / "config.gz";
    write_gzip(packed, kText);
    EXPECT_EQ(find_kernel_config({dir.path() / "none", plain, packed}).value().value("CONFIG_HZ"), "100");
    const KernelConfig found = find_kernel_config({packed, plain}).value();
    EXPECT_EQ(found.path, packed);
    EXPECT_EQ(found.text, kText);
}

TEST(KernelConfig, NonePlacesAreNamed) {
    const auto none = find_kernel_config({"/nonexistent/a", "/nonexistent/b"});
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().kind, ErrorKind::kUnsupported);
    EXPECT_EQ(none.error().what,
              "there is no file with this kernel's configuration: neither /nonexistent/a nor /nonexistent/b");
    EXPECT_THAT(kernel_config_places("7.3.4"),
                testing::ElementsAre("/boot/config-7.3.4", "/usr/lib/modules/7.3.4/config", "/lib/modules/7.3.4/config",
                                     "/proc/config.gz"));
}

TEST(KernelConfig, WhatIsDamagedOrTooLargeIsRefused) {
    const TempDir dir;
    const std::filesystem::path bomb = dir.path() / "bomb.gz";
    write_gzip(bomb, std::string(5U << 20U, '\n'));
    EXPECT_THAT(find_kernel_config({bomb}).error().what, AllOf(HasSubstr("bomb.gz"), HasSubstr("more than 4194304")));
    const std::filesystem::path cut = dir.path() / "cut.gz";
    write_gzip(cut, kText);
    std::filesystem::resize_file(cut, std::filesystem::file_size(cut) / 2);
    EXPECT_THAT(find_kernel_config({cut}).error().what, HasSubstr("truncated or damaged"));
}

TEST(KernelConfig, FileThatAnybodyMayChangeIsNotBelieved) {
    const TempDir dir;
    const std::filesystem::path open = dir.write("config", kText);
    std::filesystem::permissions(open, std::filesystem::perms::all);
    EXPECT_EQ(find_kernel_config({open}).error().kind, ErrorKind::kPermission);
}

} // namespace
} // namespace scxhost
