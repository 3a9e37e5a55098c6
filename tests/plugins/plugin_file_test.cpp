// SPDX-License-Identifier: GPL-2.0-only
//
// A plugin as a file: what is read of it, and that reading it runs nothing of it. What is said of broken ones stands in
// animals.cpp.
#include "host/plugins/plugin_directory.hpp"
#include "host/plugins/plugin_file.hpp"
#include "tests/plugins/journal.hpp"
#include "tests/plugins/zoo.hpp"
#include <scxhost/plugin.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

namespace scxhost {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

TEST(PluginFile, GoodOneIsRead) {
    const PluginFile file = read_plugin_file(zoo_path("good.so")).value();
    EXPECT_EQ(file.info.name, "good");
    EXPECT_EQ(file.info.version, "1.2.3");
    EXPECT_EQ(file.info.summary, "Notes what the host asks of it");
    EXPECT_EQ(file.info.struct_ops, "");
    EXPECT_EQ(file.info.contract, host_contract());
    EXPECT_EQ(file.object, zoo_bytes("good.bpf.o")) << "the object beside the library is the one in it";
}

TEST(PluginFile, ReadingRunsNothing) {
    const TempDir dir;
    const fs::path journal = dir.path() / "journal";
    const Environment environment(zoo::kJournal, journal.string());
    EXPECT_TRUE(read_plugin_file(zoo_path("good.so")));
    EXPECT_FALSE(list_plugins({kZooDir}).empty());
    EXPECT_TRUE(find_plugin({kZooDir}, "good"));
    EXPECT_FALSE(fs::exists(journal)) << "a constructor of the library ran";
}

TEST(PluginFile, ZeroTailIsNoHindrance) {
    Bytes file = zoo_bytes("good.so");
    add_tail(file, std::byte{0});
    const auto read = parse_plugin_file("good.so", std::move(file));
    EXPECT_TRUE(read) << read.error().what;
}

TEST(PluginFile, TruncatedAnywhereIsRefused) {
    const Bytes whole = zoo_bytes("good.so");
    std::vector<std::size_t> sizes = {0, 1, 15, sizeof(Elf64_Ehdr) - 1, sizeof(Elf64_Ehdr), whole.size() - 1};
    for (std::size_t part = 1; part < 20; ++part)
        sizes.push_back(whole.size() * part / 20);
    sizes.push_back(section_offset(whole, SCXHOST_INFO_SECTION) + 10);
    sizes.push_back(section_offset(whole, SCXHOST_OBJECT_SECTION) + 10);
    for (const std::size_t size : sizes) {
        SCOPED_TRACE(size);
        const auto file = parse_plugin_file("good.so", Bytes(whole.begin(), whole.begin() + static_cast<long>(size)));
        ASSERT_FALSE(file);
        EXPECT_EQ(file.error().kind, ErrorKind::kPlugin);
        EXPECT_THAT(file.error().what, HasSubstr(size < sizeof(Elf64_Ehdr) ? "not an ELF file" : "outside"));
    }
}

class PluginDirectoryTest : public testing::Test {
protected:
    fs::path put(const fs::path& name, const std::string& from = "good.so") {
        const Bytes bytes = zoo_bytes(from);
        return dir_.write(name, as_text(bytes), 0755);
    }
    Error refused(const std::string& name) {
        const auto file = find_plugin({root()}, name);
        return file ? Error{.what = "accepted"} : file.error();
    }
    [[nodiscard]] fs::path root() const { return fs::canonical(dir_.path()); }

    TempDir dir_;
};

TEST_F(PluginDirectoryTest, FirstFolderWins) {
    const fs::path second = put("second/good.so");
    EXPECT_EQ(find_plugin({root() / "absent", root() / "first", root() / "second"}, "good").value().path, second);
    const fs::path first = put("first/good.so");
    EXPECT_EQ(find_plugin({root() / "absent", root() / "first", root() / "second"}, "good").value().path, first);
}

TEST_F(PluginDirectoryTest, MissingOneIsToldWithWhatIsThere) {
    EXPECT_EQ(refused("good").hint, "set host.plugin_dirs to the folder that holds the plugins");
    put("good.so");
    const Error error = refused("god");
    EXPECT_EQ(error.kind, ErrorKind::kPlugin);
    EXPECT_EQ(error.what, "there is no plugin 'god' in " + root().string());
    EXPECT_EQ(error.hint, "did you mean \"good\"?");
    EXPECT_EQ(refused("nothing-like-it").hint, "known plugins: good");
}

TEST_F(PluginDirectoryTest, NameIsNoPath) {
    put("outside/good.so");
    fs::create_directory(root() / "plugins");
    const auto file = find_plugin({root() / "plugins"}, "../outside/good");
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().what, "\"../outside/good\" is no plugin's name");
    EXPECT_THAT(file.error().hint, HasSubstr("host.plugin_dirs"));
}

TEST_F(PluginDirectoryTest, LinksAreResolvedAndChecked) {
    const fs::path real = put("store/good.so");
    fs::create_symlink("store/good.so", root() / "good.so");
    EXPECT_EQ(find_plugin({root()}, "good").value().path, real);
    ASSERT_EQ(::chmod((root() / "store").c_str(), 0777), 0);
    EXPECT_THAT(refused("good").what, HasSubstr("the folder " + (root() / "store").string()));
    fs::remove(root() / "good.so");
    fs::create_symlink("nowhere.so", root() / "good.so");
    EXPECT_EQ(refused("good").what, "there is no plugin 'good' in " + root().string());
}

TEST_F(PluginDirectoryTest, LinkToAVersionBesideItIsTheLibrary) {
    const fs::path version = put("good-1.2.so");
    fs::create_symlink("good-1.2.so", root() / "good-1.so");
    fs::create_symlink("good-1.so", root() / "good.so");
    const PluginFile file = find_plugin({root()}, "good").value();
    EXPECT_EQ(file.path, version) << "what is loaded is what was checked";
    EXPECT_EQ(file.info.name, "good");

    const std::vector<ListedPlugin> plugins = list_plugins({root()});
    ASSERT_EQ(plugins.size(), 1U) << "the versions are no plugins of their own";
    EXPECT_EQ(plugins[0].path, root() / "good.so");
    EXPECT_TRUE(plugins[0].file);
    EXPECT_EQ(refused("goood").hint, "did you mean \"good\"?");
    EXPECT_THAT(refused("good-1.2").what, HasSubstr("it calls itself 'good', which differs from the file's name"));

    fs::create_symlink("good-1.2.so", root() / "better.so");
    EXPECT_THAT(refused("better").what, HasSubstr("it calls itself 'good', which differs from the file's name"))
        << "a link gives no plugin another name";
}

TEST_F(PluginDirectoryTest, LinkToAVersionElsewhereIsRefused) {
    const fs::path version = put("store/good-1.2.so");
    fs::create_directory(root() / "plugins");
    fs::create_symlink("../store/good-1.2.so", root() / "plugins/good.so");
    const auto file = find_plugin({root() / "plugins"}, "good");
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().kind, ErrorKind::kPlugin);
    EXPECT_EQ(file.error().what, version.string() + " is not a usable plugin: it calls itself 'good', which differs "
                                                    "from the file's name");
    const std::vector<ListedPlugin> plugins = list_plugins({root() / "plugins"});
    ASSERT_EQ(plugins.size(), 1U);
    EXPECT_FALSE(plugins[0].file) << "listed as what it is to those who name it";
}

TEST_F(PluginDirectoryTest, ListShowsGoodAndBroken) {
    put("good.so");
    put("renamed.so");
    put("object.so", "good.bpf.o");
    dir_.write("text.so", "text");
    dir_.write("notes.txt", "text");
    fs::create_directory(root() / "folder.so");
    const std::vector<ListedPlugin> plugins = list_plugins({root(), root() / "absent"});
    ASSERT_EQ(plugins.size(), 5U);
    EXPECT_THAT(plugins[0].file.error().what, HasSubstr("is not a regular file"));
    EXPECT_TRUE(plugins[1].file);
    EXPECT_THAT(plugins[2].file.error().what, HasSubstr("it is a BPF object"));
    EXPECT_THAT(plugins[3].file.error().what, HasSubstr("it calls itself 'good'"));
    EXPECT_THAT(plugins[4].file.error().what, HasSubstr("not an ELF file"));
}

} // namespace
} // namespace scxhost
