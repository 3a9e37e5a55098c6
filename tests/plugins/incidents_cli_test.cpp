// SPDX-License-Identifier: GPL-2.0-only
//
// `scxhost incidents` as a user sees it. The records are written here, as a host writes them.
#include "host/supervisor/incidents.hpp"
#include "tests/support/places.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/vm/host_process.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace scxhost {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

struct Answer {
    int status;
    std::string out;
    std::string err;
};

class IncidentsCliTest : public testing::Test {
protected:
    static void SetUpTestSuite() { ::setenv("PATH", (std::string(kProgramDir) + ":/usr/bin:/bin").c_str(), 1); }

    Answer incidents(std::vector<std::string> arguments) const {
        arguments.insert(arguments.begin(), {"incidents", "--dir", folder().string()});
        HostProcess process(arguments);
        const int status = process.wait();
        return {status, process.out(), process.err()};
    }
    [[nodiscard]] std::filesystem::path folder() const { return dir_.path() / "incidents"; }
    void write(const std::string& message) const {
        const IncidentStore store(folder(), 1U << 20U);
        const auto path = store.write({{"time", "2026-11-24T10:15:00.123Z"},
                                       {"scheduler", "qmap"},
                                       {"title", "qmap 1.0"},
                                       {"error", {{"kind", "ejected"}, {"message", message}, {"detail", "the dump\n"}}},
                                       {"exit",
                                        {{"kind", "SCX_EXIT_ERROR_STALL"},
                                         {"code", 0},
                                         {"reason", "runnable task stall"},
                                         {"message", "task \x1b[31m stalled"},
                                         {"dump", "the dump\n"}}},
                                       {"seconds", 12.5},
                                       {"options", {{"slice", "5ms"}}},
                                       {"statistics", {{"dispatched", 42}}},
                                       {"version", "0.1.0"},
                                       {"pid", 77},
                                       {"kernel_log", "[    1.000000] sched_ext: disabled\n"}});
        ASSERT_TRUE(path) << path.error().what;
    }

    TempDir dir_;
};

TEST_F(IncidentsCliTest, WithoutAnyItSaysSo) {
    const Answer none = incidents({});
    EXPECT_EQ(none.status, 0);
    EXPECT_EQ(none.out, "");
    EXPECT_THAT(none.err, HasSubstr("there are no incident records in " + folder().string()));
    EXPECT_EQ(json::parse(incidents({"--json"}).out),
              (json{{"schema", 1}, {"total", 0}, {"incidents", json::array()}}));
    EXPECT_EQ(incidents({"show"}).status, 2);
    EXPECT_EQ(incidents({"show", "1"}).status, 2);
}

TEST_F(IncidentsCliTest, TheLatestAreListedOldestFirst) {
    for (const char* message : {"first", "second", "third"})
        write(message);
    const Answer all = incidents({});
    EXPECT_EQ(all.status, 0);
    EXPECT_EQ(all.out, "NUMBER  TIME                  SCHEDULER  WHAT\n"
                       "     1  2026-11-24T10:15:00Z  qmap       first\n"
                       "     2  2026-11-24T10:15:00Z  qmap       second\n"
                       "     3  2026-11-24T10:15:00Z  qmap       third\n");
    EXPECT_EQ(all.err, "");
    const Answer last = incidents({"--last", "1"});
    EXPECT_THAT(last.out, AllOf(HasSubstr("third"), Not(HasSubstr("second"))));
    EXPECT_THAT(last.err, HasSubstr("2 older ones are not shown"));
    EXPECT_THAT(incidents({"--last", "0"}).out, HasSubstr("first"));
    const json document = json::parse(incidents({"--json"}).out);
    EXPECT_EQ(document["incidents"].size(), 3U);
    EXPECT_EQ(document["incidents"][1]["number"], 2);
    EXPECT_EQ(document["incidents"][1]["what"], "second");
}

TEST_F(IncidentsCliTest, ABranchIsNamed) {
    const IncidentStore store(folder(), 1U << 20U);
    for (const char* seat : {"machine", "games"})
        ASSERT_TRUE(store.write(
            {{"time", "2026-11-24T10:15:00.123Z"}, {"seat", seat}, {"scheduler", "qmap"}, {"title", "qmap 1.0"}}));
    EXPECT_EQ(incidents({}).out, "NUMBER  TIME                  SCHEDULER      WHAT\n"
                                 "     1  2026-11-24T10:15:00Z  qmap\n"
                                 "     2  2026-11-24T10:15:00Z  qmap at games\n");
    const json document = json::parse(incidents({"--json"}).out);
    EXPECT_EQ(document["incidents"][0]["branch"], nullptr);
    EXPECT_EQ(document["incidents"][1]["branch"], "games");
    EXPECT_THAT(incidents({"show", "2"}).out, HasSubstr("branch     games"));
    EXPECT_THAT(incidents({"show", "1"}).out, Not(HasSubstr("branch")));
}

TEST_F(IncidentsCliTest, OneIsShownInFull) {
    write("first");
    write("second");
    const Answer latest = incidents({"show"});
    EXPECT_EQ(latest.status, 0);
    for (const char* text : {"incident 2, 2026-11-24T10:15:00.123Z", "qmap 1.0", "second",
                             "SCX_EXIT_ERROR_STALL (code 0): runnable task stall: task ?[31m stalled", "12.5 s",
                             "slice = 5ms", "dispatched = 42", "scxhost 0.1.0, process 77", "\ndetails\nthe dump\n",
                             "\nkernel log\n[    1.000000] sched_ext: disabled\n"})
        EXPECT_THAT(latest.out, HasSubstr(text));
    EXPECT_THAT(latest.out, Not(HasSubstr("\ndump\n"))) << "it is among the details already";
    EXPECT_THAT(incidents({"show", "1"}).out, HasSubstr("first"));

    const json document = json::parse(incidents({"show", "1", "--json"}).out);
    EXPECT_EQ(document["schema"], 1);
    EXPECT_EQ(document["incident"]["number"], 1);
    EXPECT_EQ(document["incident"]["exit"]["reason"], "runnable task stall");
}

TEST_F(IncidentsCliTest, WhatCannotBeShown) {
    write("first");
    const Answer missing = incidents({"show", "9"});
    EXPECT_EQ(missing.status, 2);
    EXPECT_THAT(missing.err, AllOf(HasSubstr("there is no incident 9"), HasSubstr("there are 1 to 1")));
    EXPECT_EQ(incidents({"show", "first"}).status, 2);
    EXPECT_EQ(incidents({"shwo"}).status, 2);

    dir_.write("incidents/000002-20261124T101500Z-simple.json", "{");
    const Answer list = incidents({});
    EXPECT_EQ(list.status, 0) << "the others are listed";
    EXPECT_THAT(list.out, AllOf(HasSubstr("first"), HasSubstr("is damaged")));
    EXPECT_EQ(incidents({"show"}).status, 2);
    // What has other fields than ours is shown as far as it goes.
    dir_.write("incidents/000003-20261124T101500Z-simple.json", R"({"error":7,"exit":[],"seconds":"x","options":3})");
    EXPECT_EQ(incidents({"show"}).status, 0);
}

} // namespace
} // namespace scxhost
