// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/plugin_template.hpp"
#include "tests/support/other_user.hpp"
#include "tests/support/places.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

namespace scxhost {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

std::string content(const fs::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

class PluginTemplateTest : public testing::Test {
protected:
    PluginTemplate plugin(const std::string& name, bool with_cpp = false) {
        return {.templates = fs::path(kSourceDir) / "plugins/template", .name = name, .with_cpp = with_cpp};
    }
    TempDir dir_;
};

TEST_F(PluginTemplateTest, TheNameIsTheOnlyDifference) {
    const auto files = write_plugin(plugin("rocket"), dir_.path());
    ASSERT_TRUE(files) << files.error().what;
    EXPECT_THAT(*files, Contains("rocket.bpf.c"));
    EXPECT_THAT(*files, Contains("tests/rocket_test.cpp"));
    EXPECT_THAT(*files, Contains(".gitignore"));
    for (const fs::path& file : *files)
        EXPECT_THAT(content(dir_.path() / "rocket" / file), Not(HasSubstr("my_sched"))) << file;
    EXPECT_THAT(content(dir_.path() / "rocket/CMakeLists.txt"), HasSubstr("scx_add_plugin(rocket"));
    EXPECT_THAT(content(dir_.path() / "rocket/CMakeLists.txt"), Not(HasSubstr("SOURCES")));
}

TEST_F(PluginTemplateTest, AUserSpaceHalf) {
    const auto files = write_plugin(plugin("rocket", true), dir_.path());
    ASSERT_TRUE(files) << files.error().what;
    EXPECT_THAT(*files, Contains("rocket.cpp"));
    EXPECT_THAT(content(dir_.path() / "rocket/CMakeLists.txt"), HasSubstr("SOURCES rocket.cpp"));
}

TEST_F(PluginTemplateTest, ThePlaceholderIsANameLikeAnyOther) {
    ASSERT_TRUE(write_plugin(plugin("my_sched"), dir_.path()));
    ASSERT_TRUE(write_plugin(plugin("my_sched_2"), dir_.path()));
    EXPECT_THAT(content(dir_.path() / "my_sched_2/my_sched_2.bpf.c"), HasSubstr("my_sched_2_ops"));
    EXPECT_THAT(content(dir_.path() / "my_sched_2/my_sched_2.bpf.c"), Not(HasSubstr("my_sched_2_2")));
}

TEST_F(PluginTemplateTest, NothingIsOverwritten) {
    const fs::path file = dir_.write("rocket", "mine");
    auto files = write_plugin(plugin("rocket"), dir_.path());
    ASSERT_FALSE(files);
    EXPECT_EQ(files.error().kind, ErrorKind::kUsage);
    EXPECT_THAT(files.error().what, HasSubstr("exists already"));
    EXPECT_EQ(content(file), "mine");

    fs::remove(file);
    fs::create_directory(file);
    dir_.write("rocket/rocket.bpf.c", "mine");
    ASSERT_FALSE(write_plugin(plugin("rocket"), dir_.path()));
    EXPECT_EQ(content(file / "rocket.bpf.c"), "mine");
    EXPECT_FALSE(fs::exists(file / "README.md"));

    // A link that leads nowhere is something too.
    fs::remove_all(file);
    fs::create_symlink(dir_.path() / "elsewhere", file);
    ASSERT_FALSE(write_plugin(plugin("rocket"), dir_.path()));
    EXPECT_FALSE(fs::exists(dir_.path() / "elsewhere"));
}

TEST_F(PluginTemplateTest, NamesThatDoNot) {
    const struct {
        const char* name;
        const char* why;
        const char* hint;
    } cases[] = {
        {"", "starts with a letter", "my_sched would do"},
        {"my-sched", "letters, digits and '_'", "my_sched would do"},
        {"../x", "letters, digits and '_'", "my____x would do"},
        {"2fast", "starts with a letter", "my_2fast would do"},
        {"_x", "starts with a letter", "my__x would do"},
        {"test", "CMake", "my_test would do"},
        {"a_very_long_name_that_nobody_would_want_to_type", "at most 40 characters", "my_sched would do"},
    };
    for (const auto& test : cases) {
        const auto files = write_plugin(plugin(test.name), dir_.path());
        ASSERT_FALSE(files) << test.name;
        EXPECT_EQ(files.error().kind, ErrorKind::kUsage) << test.name;
        EXPECT_THAT(files.error().what, HasSubstr(test.why));
        EXPECT_EQ(files.error().hint, test.hint);
    }
    EXPECT_TRUE(fs::is_empty(dir_.path()));
    EXPECT_TRUE(check_plugin_name("Rocket_2"));
}

TEST_F(PluginTemplateTest, AFolderThatIsNotThere) {
    const auto files = write_plugin(plugin("rocket"), dir_.path() / "none");
    ASSERT_FALSE(files);
    EXPECT_EQ(files.error().kind, ErrorKind::kUsage);
    EXPECT_THAT(files.error().hint, HasSubstr("--dir"));
}

TEST_F(PluginTemplateTest, AFolderOfSomebodyElse) {
    if (::geteuid() != 0)
        GTEST_SKIP() << "being somebody else takes root";
    ASSERT_EQ(::chmod(dir_.path().c_str(), 0755), 0);
    dir_.write("templates/base/a", "readable for everybody");
    as_other_user(65534, 65534, {}, [&] {
        const auto files = write_plugin({.templates = dir_.path() / "templates", .name = "rocket"}, dir_.path());
        ASSERT_FALSE(files);
        EXPECT_EQ(files.error().kind, ErrorKind::kPermission);
        EXPECT_THAT(files.error().hint, HasSubstr("--dir"));
    });
}

TEST_F(PluginTemplateTest, NoTemplates) {
    const auto files = write_plugin({.templates = dir_.path() / "none", .name = "rocket"}, dir_.path());
    ASSERT_FALSE(files);
    EXPECT_THAT(files.error().hint, HasSubstr("SDK"));
    EXPECT_FALSE(fs::exists(dir_.path() / "rocket"));
}

// What cannot be written in full is not left in part.
TEST_F(PluginTemplateTest, NothingIsLeftOfAFailure) {
    const fs::path templates = dir_.path() / "templates";
    fs::create_directories(templates / "base");
    dir_.write("templates/base/a", "first");
    fs::create_symlink("/nowhere", templates / "base/b");
    const auto files = write_plugin({.templates = templates, .name = "rocket"}, dir_.path());
    ASSERT_FALSE(files);
    EXPECT_FALSE(fs::exists(dir_.path() / "rocket"));
}

} // namespace
} // namespace scxhost
