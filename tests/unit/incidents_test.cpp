// SPDX-License-Identifier: GPL-2.0-only
#include "host/supervisor/incidents.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

namespace scxhost {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::SizeIs;

constexpr std::uint64_t kPlenty = 1U << 20U;

json record(const std::string& scheduler, std::size_t padding = 0) {
    return {{"time", "2026-11-24T10:15:00.123Z"}, {"scheduler", scheduler}, {"dump", std::string(padding, 'x')}};
}

class IncidentTest : public testing::Test {
protected:
    [[nodiscard]] fs::path folder() const { return dir_.path() / "incidents"; }
    [[nodiscard]] IncidentStore store(std::uint64_t limit = kPlenty) const { return {folder(), limit}; }
    [[nodiscard]] std::vector<std::string> files() const {
        std::vector<std::string> names;
        std::error_code error;
        for (const auto& entry : fs::directory_iterator(folder(), error))
            names.push_back(entry.path().filename().string());
        std::ranges::sort(names);
        return names;
    }
    [[nodiscard]] std::vector<std::uint32_t> numbers(const IncidentStore& store) const {
        std::vector<std::uint32_t> result;
        const std::vector<IncidentSummary> all = store.list().value();
        for (const IncidentSummary& summary : all)
            result.push_back(summary.number);
        return result;
    }

    TempDir dir_;
};

TEST_F(IncidentTest, AFreshMachineHasNone) {
    EXPECT_THAT(store().list().value(), IsEmpty());
    EXPECT_FALSE(fs::exists(folder())) << "looking makes nothing";
    const auto missing = store().read(1);
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().kind, ErrorKind::kUsage);
}

TEST_F(IncidentTest, WrittenListedAndRead) {
    const auto path = store().write(record("qmap"));
    ASSERT_TRUE(path) << path.error().what;
    EXPECT_EQ(*path, (folder() / "000001-20261124T101500Z-qmap.json").string());
    ASSERT_TRUE(store().write(record("simple")));
    EXPECT_THAT(files(), ElementsAre("000001-20261124T101500Z-qmap.json", "000002-20261124T101500Z-simple.json"));

    const auto list = store().list().value();
    ASSERT_THAT(list, SizeIs(2));
    EXPECT_EQ(list[0].number, 1U);
    EXPECT_EQ(list[0].time, "2026-11-24T10:15:00Z");
    EXPECT_EQ(list[0].scheduler, "qmap");
    EXPECT_EQ(list[0].bytes, fs::file_size(*path));
    EXPECT_EQ(list[0].path, *path);

    const json read = store().read(2).value();
    EXPECT_EQ(read.at("scheduler"), "simple");
    EXPECT_EQ(read.at("number"), 2);
    EXPECT_EQ(read.at("schema"), kIncidentSchema);
    EXPECT_EQ(read.at("time"), "2026-11-24T10:15:00.123Z");

    const auto missing = store().read(3);
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().kind, ErrorKind::kUsage);
    EXPECT_EQ(missing.error().hint, "there are 1 to 2");
}

TEST_F(IncidentTest, FolderAndRecordsAreNotForEverybody) {
    const mode_t old = ::umask(0);
    const auto path = store().write(record("qmap"));
    ::umask(old);
    ASSERT_TRUE(path);
    struct stat status{};
    ASSERT_EQ(::stat(folder().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777U, 0750U);
    ASSERT_EQ(::stat(path->c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777U, 0640U);
}

TEST_F(IncidentTest, FolderThatOthersCanWriteToIsRefused) {
    fs::create_directory(folder());
    ASSERT_EQ(::chmod(folder().c_str(), 0770), 0);
    const auto path = store().write(record("qmap"));
    ASSERT_FALSE(path);
    EXPECT_EQ(path.error().kind, ErrorKind::kPermission);
    EXPECT_THAT(files(), IsEmpty());
}

TEST_F(IncidentTest, WhatIsNoFolderIsAnError) {
    dir_.write("incidents", "a file");
    const auto path = store().write(record("qmap"));
    ASSERT_FALSE(path);
    EXPECT_EQ(path.error().kind, ErrorKind::kIo);
    EXPECT_FALSE(store().list());
}

// Names come from plugins and objects that anybody wrote.
TEST_F(IncidentTest, NamesAreMadeFitForFiles) {
    const struct {
        json scheduler;
        const char* name;
    } cases[] = {
        {"../../etc/passwd", "000001-20261124T101500Z-.._.._etc_passwd.json"},
        {std::string("a\0b\n\x1b[31m", 9), "000002-20261124T101500Z-a_b___31m.json"},
        {"\xff\xc3\xa4", "000003-20261124T101500Z-___.json"},
        {std::string(300, 'n'), "000004-20261124T101500Z-nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn.json"},
        {"", "000005-20261124T101500Z-unknown.json"},
        {7, "000006-20261124T101500Z-unknown.json"},
    };
    for (const auto& test : cases) {
        json incident = record("");
        incident["scheduler"] = test.scheduler;
        const auto path = store().write(incident);
        ASSERT_TRUE(path) << test.name << path.error().what;
        EXPECT_EQ(*path, (folder() / test.name).string());
    }
    EXPECT_THAT(numbers(store()), ElementsAre(1, 2, 3, 4, 5, 6)) << "what is written is also found";
    EXPECT_EQ(store().read(3).value().at("scheduler"), "\xef\xbf\xbd\xc3\xa4") << "replaced: it must be UTF-8";
}

TEST_F(IncidentTest, ATimeThatIsNoneIsReplaced) {
    for (const json& time :
         {json("yesterday"), json("2026-11-24T10:15"), json("../../../../../../x"), json(3), json()}) {
        json incident = record("qmap");
        incident["time"] = time;
        const auto path = store().write(incident);
        ASSERT_TRUE(path) << time;
        EXPECT_THAT(fs::path(*path).filename().string(), MatchesRegex("00000[1-5]-20[0-9]+T[0-9]+Z-qmap.json")) << time;
    }
}

TEST_F(IncidentTest, TheOldestGoWhenTheLimitIsPassed) {
    constexpr std::size_t kDump = 1000;
    ASSERT_TRUE(store().write(record("one", kDump)));
    const std::uint64_t bytes = store().list().value().front().bytes;
    const IncidentStore limited = store(3 * bytes + bytes / 2);
    for (int i = 0; i < 4; ++i)
        ASSERT_TRUE(limited.write(record("one", kDump)));
    EXPECT_THAT(numbers(limited), ElementsAre(3, 4, 5));
    EXPECT_TRUE(limited.read(5));
    // Numbers go on although the first ones are gone.
    EXPECT_THAT(limited.write(record("one", kDump)).value(), HasSubstr("/000006-"));
}

TEST_F(IncidentTest, ARecordThatCannotFitIsRefusedAndTheOthersStay) {
    const IncidentStore limited = store(2000);
    ASSERT_TRUE(limited.write(record("one")));
    const auto path = limited.write(record("two", 3000));
    ASSERT_FALSE(path);
    EXPECT_EQ(path.error().kind, ErrorKind::kIo);
    EXPECT_THAT(path.error().hint, HasSubstr("incidents.limit"));
    EXPECT_THAT(files(), ElementsAre("000001-20261124T101500Z-one.json"));
}

// What the file system does when it is full, without one: no file may grow past the limit.
TEST_F(IncidentTest, WhatComesLaterIsPutIn) {
    json first = record("one");
    first["process"] = {{"pid", 7}};
    const std::string path = store().write(first).value();
    ASSERT_TRUE(store().amend(path, {{"process", {{"end", "exited"}}}, {"output", "bye"}}));
    const json amended = store().read(1).value();
    EXPECT_EQ(amended.at("process"), (json{{"pid", 7}, {"end", "exited"}}));
    EXPECT_EQ(amended.at("output"), "bye");
    EXPECT_EQ(amended.at("number"), 1);
    EXPECT_THAT(files(), ElementsAre("000001-20261124T101500Z-one.json"));
    EXPECT_FALSE(store(100).amend(path, {{"output", std::string(200, 'x')}})) << "more than may be kept";
    EXPECT_EQ(store().read(1).value(), amended);
    ASSERT_TRUE(fs::remove(path));
    EXPECT_FALSE(store().amend(path, {{"output", "late"}}));
    EXPECT_THAT(files(), IsEmpty()) << "what was removed does not come back";
}

TEST_F(IncidentTest, AFullDiskIsAnErrorAndLeavesNothing) {
    ASSERT_TRUE(store().write(record("one")));
    rlimit old{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
    auto* const handler = ::signal(SIGXFSZ, SIG_IGN);
    const rlimit small{.rlim_cur = 4096, .rlim_max = old.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    const auto path = store().write(record("two", 100'000));
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
    ::signal(SIGXFSZ, handler);
    ASSERT_FALSE(path);
    EXPECT_EQ(path.error().kind, ErrorKind::kIo);
    EXPECT_EQ(path.error().sys_errno, EFBIG);
    EXPECT_THAT(files(), ElementsAre("000001-20261124T101500Z-one.json"));
}

TEST_F(IncidentTest, WhatADeadHostLeftUnfinishedGoes) {
    ASSERT_TRUE(store().write(record("one")));
    dir_.write("incidents/.unfinished-abcdef", "{");
    EXPECT_THAT(numbers(store()), ElementsAre(1));
    ASSERT_TRUE(store().write(record("two")));
    EXPECT_THAT(files(), ElementsAre("000001-20261124T101500Z-one.json", "000002-20261124T101500Z-two.json"));
}

TEST_F(IncidentTest, OtherFilesArePassedOverAndLeftAlone) {
    for (const char* name :
         {"notes.txt", "000001-20261124T101500Z-.json", "000000-20261124T101500Z-a.json", "-20261124T101500Z-a.json",
          "1-20261124T101500-a.json", "1-20261124T101500Z-a b.json", "99999999999-20261124T101500Z-a.json",
          "+1-20261124T101500Z-a.json", "1-20261124T101500Z-a.json.bak", "1-2026112", "1-.json", ".json", "-"})
        dir_.write(fs::path("incidents") / name, "{}");
    fs::create_directory(folder() / "000008-20261124T101500Z-folder.json");
    fs::create_symlink("/etc/passwd", folder() / "000009-20261124T101500Z-link.json");
    EXPECT_THAT(store().list().value(), IsEmpty());
    const std::size_t before = files().size();
    ASSERT_TRUE(store(200).write(record("one"))) << "a limit that the others pass by far";
    EXPECT_EQ(files().size(), before + 1);
}

TEST_F(IncidentTest, ADamagedRecordIsAnError) {
    for (const char* text : {"", "{", "[]", "7", "\xff"}) {
        dir_.write("incidents/000001-20261124T101500Z-one.json", text);
        const auto read = store().read(1);
        ASSERT_FALSE(read) << text;
        EXPECT_EQ(read.error().kind, ErrorKind::kIo);
        EXPECT_THAT(read.error().what, HasSubstr("is damaged"));
    }
}

} // namespace
} // namespace scxhost
