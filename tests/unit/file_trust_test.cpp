// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/file_trust.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace scxhost {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr uid_t kStranger = 65533;

class FileTrustTest : public testing::Test {
protected:
    void mode(const fs::path& path, mode_t mode) { ASSERT_EQ(::chmod(path.c_str(), mode), 0) << path; }

    fs::path folder(const std::string& name, mode_t permissions) {
        const fs::path path = root() / name;
        fs::create_directories(path);
        mode(path, permissions);
        return path;
    }

    void expect_refused(const fs::path& path, const std::string& what, const std::string& hint) {
        const auto trusted = check_trusted(path);
        ASSERT_FALSE(trusted);
        EXPECT_EQ(trusted.error().kind, ErrorKind::kPermission);
        EXPECT_THAT(trusted.error().what, HasSubstr(what));
        EXPECT_THAT(trusted.error().hint, HasSubstr(hint));
    }

    // Canonical, so that a linked temporary folder does not matter.
    [[nodiscard]] fs::path root() const { return fs::canonical(dir_.path()); }

    TempDir dir_;
};

TEST_F(FileTrustTest, OwnFileIsTrusted) {
    const fs::path file = dir_.write("config.toml", "");
    EXPECT_EQ(check_trusted(file).value(), root() / "config.toml");
}

TEST_F(FileTrustTest, OwnFolderIsTrusted) {
    const fs::path plugins = folder("plugins", 0755);
    EXPECT_EQ(check_trusted(plugins).value(), plugins);
    EXPECT_EQ(check_trusted(plugins / "").value(), plugins) << "with a slash at its end";
    EXPECT_EQ(check_trusted("/").value(), "/");
}

TEST_F(FileTrustTest, FileThatItsGroupOrOthersCanWriteIsRefused) {
    for (const mode_t permissions : {0664, 0646}) {
        const fs::path file = dir_.write("config.toml", "", permissions);
        expect_refused(file, "can be written by others than its owner (mode 06", "chmod go-w " + file.string());
    }
}

TEST_F(FileTrustTest, FolderThatOthersCanWriteIsRefusedAnywhereOnTheWay) {
    const fs::path open_folder = folder("open", 0777);
    folder("open/inner", 0755);
    const fs::path file = dir_.write("open/inner/config.toml", "");
    expect_refused(file, "the folder " + open_folder.string() + ", on the way to " + file.string() + ", can be written",
                   "chmod go-w " + open_folder.string());
    expect_refused(open_folder / "inner/../inner/config.toml", "the folder " + open_folder.string(), "chmod go-w");
}

TEST_F(FileTrustTest, StickyFolderMayBeOnTheWayButIsNotTrustedItself) {
    const fs::path sticky = folder("sticky", 01777);
    const fs::path file = dir_.write("sticky/config.toml", "");
    EXPECT_EQ(check_trusted(file).value(), file);
    expect_refused(sticky, "can be written by others than its owner (mode 1777)", "chmod go-w");
    expect_refused(sticky / ".", "can be written", "chmod go-w");
    folder("sticky/inner", 0755);
    expect_refused(sticky / "inner/..", "can be written", "chmod go-w");
}

TEST_F(FileTrustTest, StrangersFileIsRefused) {
    // Seen from another user, this test's own files are a stranger's; root's are everybody's.
    if (::geteuid() == 0) {
        ASSERT_EQ(::chown(dir_.path().c_str(), kStranger, 0), 0);
    }
    const fs::path file = dir_.write("config.toml", "");
    const auto trusted = check_trusted(file, ::geteuid() == 0 ? 0 : kStranger);
    ASSERT_FALSE(trusted);
    EXPECT_EQ(trusted.error().kind, ErrorKind::kPermission);
    EXPECT_THAT(trusted.error().what, HasSubstr("belongs to user "));
    EXPECT_THAT(trusted.error().what, HasSubstr("on the way to " + file.string()));
}

TEST_F(FileTrustTest, OwnerOfTheFileItselfIsChecked) {
    const fs::path file = dir_.write("config.toml", "");
    if (::chown(file.c_str(), kStranger, 0) != 0)
        GTEST_SKIP() << "only root can give a file away";
    expect_refused(file, file.string() + " belongs to user 65533, who could change it", "chown 0 " + file.string());
    EXPECT_EQ(check_trusted(file, kStranger).value(), root() / "config.toml") << "the user's own file";
}

TEST_F(FileTrustTest, LinksAreFollowed) {
    const fs::path file = dir_.write("real/config.toml", "");
    fs::create_symlink("real/config.toml", root() / "relative.toml");
    fs::create_symlink(file, root() / "absolute.toml");
    fs::create_directory_symlink("real", root() / "folder");
    fs::create_symlink("../relative.toml", root() / "real/up.toml");
    for (const char* name : {"relative.toml", "absolute.toml", "folder/config.toml", "folder/up.toml"})
        EXPECT_EQ(check_trusted(root() / name).value(), root() / "real/config.toml") << name;
}

TEST_F(FileTrustTest, WhatALinkLeadsToIsChecked) {
    folder("open", 0777);
    dir_.write("open/config.toml", "");
    fs::create_symlink("open/config.toml", root() / "link.toml");
    expect_refused(root() / "link.toml", "the folder " + (root() / "open").string(), "chmod go-w");
}

TEST_F(FileTrustTest, StrangersLinkInASharedFolderIsRefused) {
    folder("sticky", 01777);
    dir_.write("config.toml", "");
    const fs::path link = root() / "sticky/link.toml";
    fs::create_symlink("../config.toml", link);
    EXPECT_EQ(check_trusted(link).value(), root() / "config.toml") << "an own link is fine";
    if (::lchown(link.c_str(), kStranger, 0) != 0)
        GTEST_SKIP() << "only root can give a link away";
    expect_refused(link, "the link " + link.string() + " in a folder that others can write to belongs to user 65533",
                   "name the file itself");
}

TEST_F(FileTrustTest, WhatIsNotThereIsNoMatterOfTrust) {
    const fs::path file = dir_.write("config.toml", "");
    fs::create_symlink("loop", root() / "loop");
    fs::create_symlink("nowhere", root() / "dangling");
    const struct {
        fs::path path;
        int sys_errno;
    } cases[] = {
        {"", ENOENT},
        {root() / "absent", ENOENT},
        {file / "below", ENOTDIR},
        {root() / "loop", ELOOP},
        {root() / "dangling", ENOENT},
    };
    for (const auto& test : cases) {
        SCOPED_TRACE(test.path);
        const auto trusted = check_trusted(test.path);
        ASSERT_FALSE(trusted);
        EXPECT_EQ(trusted.error().kind, ErrorKind::kIo);
        EXPECT_EQ(trusted.error().sys_errno, test.sys_errno);
    }
    EXPECT_EQ(check_trusted("/no/such/file").error().what, "there is no file /no/such/file")
        << "not only the part of it that was missed first";
    EXPECT_EQ(check_trusted(root() / "confg.toml").error().hint, "did you mean " + file.string() + "?");
}

TEST(MakeTrustedFolder, MakesWhatIsMissing) {
    const TempDir dir;
    const auto made = make_trusted_folder(dir.path() / "a" / "b" / "c", 0755);
    ASSERT_TRUE(made);
    EXPECT_EQ(*made, fs::canonical(dir.path()) / "a/b/c");
    EXPECT_TRUE(fs::is_directory(*made));
    EXPECT_EQ(make_trusted_folder(dir.path() / "a" / "b" / "c/", 0755).value(), *made) << "and takes what is there";
}

TEST(MakeTrustedFolder, FollowsLinksThatCanBeTrusted) {
    const TempDir dir;
    fs::create_directory(dir.path() / "real");
    fs::create_directory_symlink("real", dir.path() / "link");
    EXPECT_EQ(make_trusted_folder(dir.path() / "link", 0755).value(), fs::canonical(dir.path()) / "real");
    EXPECT_EQ(make_trusted_folder(dir.path() / "link" / "sub", 0755).value(), fs::canonical(dir.path()) / "real/sub");
}

TEST(MakeTrustedFolder, MakesNothingWhereOthersCouldMeddle) {
    const TempDir dir;
    fs::create_directory(dir.path() / "open");
    ASSERT_EQ(::chmod((dir.path() / "open").c_str(), 0777), 0);
    const auto made = make_trusted_folder(dir.path() / "open" / "run", 0755);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().kind, ErrorKind::kPermission);
    EXPECT_TRUE(fs::is_empty(dir.path() / "open"));
}

TEST(MakeTrustedFolder, NeitherThroughADanglingLinkNorAFile) {
    const TempDir dir;
    fs::create_symlink(dir.path() / "nowhere", dir.path() / "link");
    EXPECT_FALSE(make_trusted_folder(dir.path() / "link", 0755));
    EXPECT_FALSE(make_trusted_folder(dir.path() / "link" / "sub", 0755));
    EXPECT_FALSE(fs::exists(dir.path() / "nowhere"));
    const fs::path file = dir.write("file", "");
    EXPECT_FALSE(make_trusted_folder(file / "sub", 0755));
}

TEST(MakeTrustedFolder, NotBelowWhatBelongsToAStranger) {
    if (::geteuid() != 0)
        GTEST_SKIP() << "only root can give a folder away";
    const TempDir dir;
    fs::create_directory(dir.path() / "theirs");
    ASSERT_EQ(::chown((dir.path() / "theirs").c_str(), kStranger, kStranger), 0);
    const auto made = make_trusted_folder(dir.path() / "theirs" / "run", 0755);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().kind, ErrorKind::kPermission);
    EXPECT_TRUE(fs::is_empty(dir.path() / "theirs"));
}

TEST(ReadableByAll, GoesByEveryFolderOnTheWay) {
    const TempDir dir;
    ASSERT_EQ(::chmod(dir.path().c_str(), 0755), 0);
    const fs::path file = dir.write("a/b/file", "x");
    const fs::path inner = file.parent_path();
    ASSERT_EQ(::chmod(inner.parent_path().c_str(), 0755), 0);
    ASSERT_EQ(::chmod(inner.c_str(), 0711), 0); // search is enough
    ASSERT_EQ(::chmod(file.c_str(), 0604), 0);
    EXPECT_TRUE(check_readable_by_all(file));
    EXPECT_FALSE(check_readable_by_all(inner)) << "as a folder to be listed it is closed";
    fs::create_symlink(file, dir.path() / "link");
    EXPECT_TRUE(check_readable_by_all(dir.path() / "link"));

    ASSERT_EQ(::chmod(file.c_str(), 0660), 0);
    for (const fs::path& path : {file, dir.path() / "link"}) {
        const Result<> closed = check_readable_by_all(path);
        ASSERT_FALSE(closed);
        EXPECT_EQ(closed.error().kind, ErrorKind::kPermission);
    }
    ASSERT_EQ(::chmod(file.c_str(), 0644), 0);
    ASSERT_EQ(::chmod(inner.c_str(), 0750), 0);
    EXPECT_FALSE(check_readable_by_all(file));
    EXPECT_EQ(check_readable_by_all(dir.path() / "none").error().kind, ErrorKind::kIo);
}

} // namespace
} // namespace scxhost
