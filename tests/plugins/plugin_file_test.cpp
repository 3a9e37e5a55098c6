// SPDX-License-Identifier: GPL-2.0-only
//
// A plugin as a file: each way in which one can be broken, and that reading one runs nothing of it.
#include "host/plugins/plugin_directory.hpp"
#include "host/plugins/plugin_file.hpp"
#include "tests/plugins/journal.hpp"
#include "tests/plugins/zoo.hpp"
#include <scxhost/plugin.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>

namespace scxhost {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::StartsWith;

constexpr uid_t kStranger = 65533;

scxhost_plugin_info info_of(const Bytes& file) {
    scxhost_plugin_info info;
    std::memcpy(&info, file.data() + section_offset(file, SCXHOST_INFO_SECTION), sizeof info);
    return info;
}

// A good plugin with its information changed.
Bytes changed(const std::function<void(scxhost_plugin_info&)>& change) {
    Bytes file = zoo_bytes("good.so");
    scxhost_plugin_info info = info_of(file);
    change(info);
    std::memcpy(file.data() + section_offset(file, SCXHOST_INFO_SECTION), &info, sizeof info);
    return file;
}

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
    EXPECT_FALSE(list_plugins({SCXHOST_ZOO_DIR}).empty());
    EXPECT_TRUE(find_plugin({SCXHOST_ZOO_DIR}, "good"));
    EXPECT_FALSE(fs::exists(journal)) << "a constructor of the library ran";
}

TEST(PluginFile, BrokenInformationIsNamed) {
    using Info = scxhost_plugin_info;
    const std::string size = std::to_string(sizeof(Info));
    const struct {
        const char* description;
        std::function<void(Info&)> change;
        std::string what;
        std::string hint;
    } cases[] = {
        {"wrong magic", [](Info& i) { i.magic[0] = 'X'; }, "its plugin information is damaged: wrong magic",
         "rebuild the plugin"},
        {"older major",
         [](Info& i) {
             i.contract_major = 0;
             i.contract_minor = 9;
         },
         "it was built for plugin contract 0.9, this host speaks 1.0", "rebuild the plugin against this host's SDK"},
        {"newer minor", [](Info& i) { i.contract_minor = 1; },
         "it was built for plugin contract 1.1, this host speaks 1.0",
         "use a newer scxhost, or rebuild the plugin against this host's SDK"},
        {"newer major", [](Info& i) { i.contract_major = 2; },
         "it was built for plugin contract 2.0, this host speaks 1.0",
         "use a newer scxhost, or rebuild the plugin against this host's SDK"},
        {"short struct", [](Info& i) { i.size = 32; },
         "its plugin information is damaged: it says it has 32 bytes; " + size + " are needed and " + size +
             " are there",
         "rebuild the plugin"},
        {"struct of no size", [](Info& i) { i.size = 0; }, "it says it has 0 bytes", "rebuild the plugin"},
        {"struct larger than its section", [](Info& i) { i.size = UINT32_MAX; }, "it says it has 4294967295 bytes",
         "rebuild the plugin"},
        {"name without end", [](Info& i) { std::memset(i.name, 'x', sizeof i.name); },
         "its plugin information is damaged: a text is not terminated", "rebuild the plugin"},
        {"version without end", [](Info& i) { std::memset(i.version, 'x', sizeof i.version); },
         "a text is not terminated", "rebuild the plugin"},
        {"summary without end", [](Info& i) { std::memset(i.summary, 'x', sizeof i.summary); },
         "a text is not terminated", "rebuild the plugin"},
        {"struct_ops without end", [](Info& i) { std::memset(i.struct_ops, 'x', sizeof i.struct_ops); },
         "a text is not terminated", "rebuild the plugin"},
        {"empty name", [](Info& i) { i.name[0] = '\0'; }, "its name may hold letters, digits, '_' and '-' only",
         "rebuild the plugin"},
        {"name with a folder", [](Info& i) { std::strcpy(i.name, "../good"); },
         "its name may hold letters, digits, '_' and '-' only", "rebuild the plugin"},
        {"another name than the file's", [](Info& i) { std::strcpy(i.name, "better"); },
         "it calls itself 'better', which differs from the file's name", "name the file better.so"},
        {"capabilities that we lack", [](Info& i) { i.capabilities = 0x6; },
         "it asks for capabilities 0x6, which this host does not have", "use a newer scxhost"},
    };
    for (const auto& test : cases) {
        SCOPED_TRACE(test.description);
        const auto file = parse_plugin_file("/plugins/good.so", changed(test.change));
        ASSERT_FALSE(file);
        EXPECT_EQ(file.error().kind, ErrorKind::kPlugin);
        EXPECT_THAT(file.error().what, StartsWith("/plugins/good.so is not a usable plugin: "));
        EXPECT_THAT(file.error().what, HasSubstr(test.what));
        EXPECT_EQ(file.error().hint, test.hint);
    }
}

// The information with more behind it, as a newer contract's would have: the section header is made longer, over
// whatever bytes follow it in the file.
Bytes with_tail(std::byte value) {
    constexpr std::size_t tail = 16;
    Bytes file = changed([](scxhost_plugin_info& info) { info.size += tail; });
    const std::size_t at = section_offset(file, SCXHOST_INFO_SECTION) + sizeof(scxhost_plugin_info);
    std::memset(file.data() + at, 0, tail);
    file[at + tail - 1] = value;
    Elf64_Ehdr header;
    std::memcpy(&header, file.data(), sizeof header);
    for (std::size_t i = 0; i < header.e_shnum; ++i) {
        Elf64_Shdr section;
        std::byte* place = file.data() + header.e_shoff + i * sizeof section;
        std::memcpy(&section, place, sizeof section);
        if (section.sh_offset + sizeof(scxhost_plugin_info) == at && section.sh_size == sizeof(scxhost_plugin_info)) {
            section.sh_size += tail;
            std::memcpy(place, &section, sizeof section);
        }
    }
    return file;
}

TEST(PluginFile, TailMustBeZero) {
    const auto zero = parse_plugin_file("good.so", with_tail(std::byte{0}));
    EXPECT_TRUE(zero) << zero.error().what;
    const auto used = parse_plugin_file("good.so", with_tail(std::byte{1}));
    ASSERT_FALSE(used);
    EXPECT_THAT(used.error().what, HasSubstr("it uses fields that this host does not know"));
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

TEST(PluginFile, WhatIsNoPluginIsNamed) {
    const auto refused = [](Bytes bytes) {
        const auto file = parse_plugin_file("good.so", std::move(bytes));
        return file ? Error{.what = "accepted"} : file.error();
    };
    const std::string text = "#!/bin/sh\nexit 0\n# padding so that it is longer than the header of an ELF file\n";
    const auto* begin = reinterpret_cast<const std::byte*>(text.data());
    EXPECT_EQ(refused({begin, begin + text.size()}).what, "good.so is not a usable plugin: not an ELF file");

    Bytes narrow = zoo_bytes("good.so");
    narrow[EI_CLASS] = std::byte{ELFCLASS32};
    EXPECT_EQ(refused(narrow).what, "good.so is not a usable plugin: not a 64-bit little-endian ELF file");

    const Error object = refused(zoo_bytes("good.bpf.o"));
    EXPECT_EQ(object.what, "good.so is not a usable plugin: it is a BPF object, not a shared library");
    EXPECT_THAT(object.hint, HasSubstr("object = "));

    Bytes executable = zoo_bytes("good.so");
    executable[offsetof(Elf64_Ehdr, e_type)] = std::byte{ET_EXEC};
    EXPECT_EQ(refused(executable).what, "good.so is not a usable plugin: it is no shared library");

    for (const char* section : {SCXHOST_INFO_SECTION, SCXHOST_OBJECT_SECTION}) {
        Bytes file = zoo_bytes("good.so");
        hide_section(file, section);
        const Error error = refused(file);
        EXPECT_EQ(error.what, std::string("good.so is not a usable plugin: it has no ") + section + " section");
        EXPECT_THAT(error.hint, HasSubstr("scx_add_plugin()"));
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

TEST_F(PluginDirectoryTest, WritableByOthersIsRefused) {
    const fs::path file = put("good.so");
    ASSERT_EQ(::chmod(file.c_str(), 0757), 0);
    const Error error = refused("good");
    EXPECT_EQ(error.kind, ErrorKind::kPermission);
    EXPECT_EQ(error.what, file.string() + " can be written by others than its owner (mode 0757)");
    ASSERT_EQ(::chmod(file.c_str(), 0755), 0);
    ASSERT_EQ(::chmod(root().c_str(), 0777), 0);
    EXPECT_THAT(refused("good").what, HasSubstr("the folder " + root().string() + ", on the way to"));
}

TEST_F(PluginDirectoryTest, StrangersFileIsRefused) {
    const fs::path file = put("good.so");
    if (::chown(file.c_str(), kStranger, 0) != 0)
        GTEST_SKIP() << "only root can give a file away";
    const Error error = refused("good");
    EXPECT_EQ(error.kind, ErrorKind::kPermission);
    EXPECT_EQ(error.what, file.string() + " belongs to user 65533, who could change it");
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
