// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/regular_file.hpp"
#include "tests/support/places.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

namespace scxhost {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

TEST(ReadBinaryFile, RegularFilesWithinTheLimit) {
    const TempDir dir;
    const auto file = dir.write("x.so", "12345");
    EXPECT_EQ(read_binary_file(file, 5, "plugin").value().size(), 5U);
    const auto large = read_binary_file(file, 4, "plugin");
    ASSERT_FALSE(large);
    EXPECT_EQ(large.error().what, "plugin " + file.string() + " has 5 bytes, more than the limit of 4");

    const auto absent = read_binary_file(dir.path() / "absent", 5, "BPF object");
    ASSERT_FALSE(absent);
    EXPECT_EQ(absent.error().kind, ErrorKind::kIo);
    EXPECT_EQ(absent.error().sys_errno, ENOENT);
    EXPECT_THAT(absent.error().what, HasSubstr("there is no file " + (dir.path() / "absent").string()));

    EXPECT_THAT(read_binary_file(dir.path(), 5, "plugin").error().what, HasSubstr("is not a regular file"));
    const auto fifo = dir.path() / "fifo";
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    EXPECT_THAT(read_binary_file(fifo, 5, "plugin").error().what, HasSubstr("is not a regular file"));
}

TEST(FileVersion, IsTheContentsAlone) {
    const TempDir dir;
    const auto version = [&](const fs::path& name) { return read_file_version(dir.path() / name, 8).version; };
    dir.write("a", "12345");
    dir.write("b", "12345");
    dir.write("c", "12346");
    dir.write("empty", "");
    dir.write("large", "123456789");
    ASSERT_TRUE(version("a"));
    EXPECT_EQ(version("a"), version("b"));
    EXPECT_NE(version("a"), version("c"));
    EXPECT_TRUE(version("empty")) << "an empty file is not the same as none";
    EXPECT_FALSE(version("large"));
    EXPECT_FALSE(version("none"));
    EXPECT_FALSE(version(".")) << "a folder";
    ASSERT_EQ(::mkfifo((dir.path() / "pipe").c_str(), 0600), 0);
    EXPECT_FALSE(version("pipe"));
}

// A file that was changed a moment ago could change again within one step of the file system's clock.
TEST(FileVersion, AFreshStampProvesNothing) {
    const TempDir dir;
    EXPECT_FALSE(read_file_version(dir.write("a", "1"), 8).stamp);
}

TEST(FileVersion, WithTheSameStampTheContentIsNotReadAgain) {
    const fs::path old = fs::path(kSourceDir) / "LICENSE";
    FileReading before = read_file_version(old, 1U << 20U);
    ASSERT_TRUE(before.version);
    ASSERT_TRUE(before.stamp);
    before.version->hash += 1; // what reading would not find
    EXPECT_EQ(read_file_version(old, 1U << 20U, before).version, before.version);
    before.stamp->inode += 1;
    EXPECT_NE(read_file_version(old, 1U << 20U, before).version, before.version);
}

} // namespace
} // namespace scxhost
