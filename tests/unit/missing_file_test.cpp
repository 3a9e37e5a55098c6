// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/missing_file.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>

#include <cerrno>

namespace scxhost {
namespace {

namespace fs = std::filesystem;

TEST(MissingFile, IsNamedAsItWasGiven) {
    const Error error = missing_file("/no/such/../such.toml");
    EXPECT_EQ(error.kind, ErrorKind::kIo);
    EXPECT_EQ(error.what, "there is no file /no/such/../such.toml");
    EXPECT_EQ(error.hint, "there is no folder /no/such/..");
    EXPECT_EQ(error.sys_errno, ENOENT);
    EXPECT_EQ(missing_file("no-such-file-at-all").what, "there is no file no-such-file-at-all");
}

TEST(MissingFile, FileOfANearNameIsTheHint) {
    const TempDir dir;
    const fs::path file = dir.write("simple.toml", "");
    dir.write("unlike-it.toml", "");
    fs::create_directory(dir.path() / "workshop");
    fs::create_symlink("nowhere", dir.path() / "simpel.toml");
    EXPECT_EQ(missing_file(dir.path() / "simpl.toml").hint, "did you mean " + file.string() + "?");
    EXPECT_EQ(missing_file(dir.path() / "simple.tmol").hint, "did you mean " + file.string() + "?");
    EXPECT_EQ(missing_file(dir.path() / "workshp").hint, "") << "a folder is no file";
    EXPECT_EQ(missing_file(dir.path() / "quite-another.conf").hint, "");
}

TEST(MissingFile, NearNameIsGivenAsTheUserWouldWriteIt) {
    const TempDir dir;
    dir.write("simple.toml", "");
    const fs::path before = fs::current_path();
    fs::current_path(dir.path());
    const std::string plain = missing_file("simpl.toml").hint;
    const std::string dotted = missing_file("./simpl.toml").hint;
    fs::current_path(before);
    EXPECT_EQ(plain, "did you mean simple.toml?");
    EXPECT_EQ(dotted, "did you mean ./simple.toml?");
}

TEST(MissingFile, LinkToNothingIsToldApart) {
    const TempDir dir;
    const fs::path link = dir.path() / "link.toml";
    fs::create_symlink("gone.toml", link);
    EXPECT_EQ(missing_file(link).what, link.string() + " is a link, and there is no file gone.toml");
}

} // namespace
} // namespace scxhost
