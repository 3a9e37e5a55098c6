// SPDX-License-Identifier: GPL-2.0-only
//
// Several schedulers at once from one configuration: a root and its branches, in one host. Runs as root in a guest.
#include "host/supervisor/tree_check.hpp"
#include "tests/vm/children.hpp"
#include "tests/vm/guest_test.hpp"
#include "tests/vm/host_commands.hpp"
#include "tests/vm/live_policy.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace scxhost {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr const char* kGames = "/sys/fs/cgroup/games";
constexpr const char* kShooters = "/sys/fs/cgroup/games/shooters";
constexpr const char* kWork = "/sys/fs/cgroup/work";
constexpr const char* kConfig = "/root/tree.toml";

// A root and three branches, one of them below another one.
constexpr const char* kTree = R"([scheduler]
plugin = "qmap"
[swap]
probation = "0s"
[[below]]
cgroup = "/games"
plugin = "qmap"
options = { slice = "5ms" }
[[below]]
cgroup = "/games/shooters"
plugin = "qmap"
options = { slice = "2ms" }
[[below]]
cgroup = "/work"
plugin = "qmap"
)";

class Tree : public PolicyTest {
protected:
    void SetUp() override {
        PolicyTest::SetUp();
        if (IsSkipped())
            return;
        SCX_SKIP_WITHOUT("sub-capabilities");
        for (const char* cgroup : {kGames, kShooters, kWork})
            ASSERT_EQ(::mkdir(cgroup, 0755), 0) << cgroup;
    }
    void TearDown() override {
        for (const char* cgroup : {kShooters, kGames, kWork})
            remove_cgroup(cgroup);
        PolicyTest::TearDown();
    }

    static std::uint64_t id_of(const char* cgroup) {
        struct stat file{};
        return ::stat(cgroup, &file) == 0 ? file.st_ino : 0;
    }
    // What the kernel shows below a cgroup; empty: nothing.
    static std::string name_at(const std::vector<const char*>& cgroups) {
        std::string folder = "/sys/kernel/sched_ext/root";
        for (const char* cgroup : cgroups)
            folder += fmt::format("/sub/sub-{}", id_of(cgroup));
        std::string name = std::filesystem::exists(folder + "/ops") ? read_text(folder + "/ops") : "";
        return name.substr(0, name.find('\n'));
    }

    static std::unique_ptr<HostProcess> start(const std::string& config, std::vector<std::string> more = {}) {
        write_text(kConfig, config);
        more.insert(more.begin(), {"run", kConfig, "--json"});
        return std::make_unique<HostProcess>(more);
    }
    // The next time that the branch is enabled.
    static json enabled_at(HostProcess& host, const std::string& seat) { return next_of(host, "enabled", seat); }
    static json next_of(HostProcess& host, const std::string& event, const std::string& seat) {
        for (;;) {
            const std::optional<json> next = host.next_event(event);
            if (!next) {
                ADD_FAILURE() << "no " << event << " of " << seat << ": " << host.err();
                return json::object();
            }
            if (next->value("seat", "") == seat)
                return *next;
        }
    }
    static void wait_for_all(HostProcess& host) {
        for (const char* seat : {"machine", "games", "work", "shooters"})
            enabled_at(host, seat);
    }
    // How often it happened in a seat so far, by what the host remembers.
    static int count(const std::string& event, const std::string& seat) {
        HostProcess events({"events", "--json"});
        EXPECT_EQ(events.wait(), 0) << events.err();
        int found = 0;
        std::istringstream lines(events.out());
        for (std::string line; std::getline(lines, line);) {
            const json one = json::parse(line, nullptr, false);
            found += !one.is_discarded() && one.value("event", "") == event && one.value("seat", "") == seat ? 1 : 0;
        }
        return found;
    }
    static bool reaches(const std::string& seat, const std::string& phase) {
        return wait_until([&] { return branch(seat).value("phase", "") == phase; });
    }
    static void expect_done(const std::vector<std::string>& command) {
        HostProcess process(command);
        EXPECT_EQ(process.wait(), 0) << process.out() << process.err();
    }
    static void put(pid_t pid, const std::string& cgroup) { write_text(cgroup + "/cgroup.procs", std::to_string(pid)); }
    // Sleeps and wakes all the time: it is enqueued often, and leaves the CPUs to others.
    static pid_t waker(Children& crowd) {
        return crowd.start([](Board& board, std::size_t index) {
            for (;;) {
                ::usleep(2000);
                ++board.work[index];
            }
        });
    }
    static void expect_progress(Children& crowd, std::size_t child) {
        const std::uint64_t before = crowd.board().work[child].load();
        EXPECT_TRUE(wait_until([&] { return crowd.board().work[child].load() > before; })) << "child " << child;
    }
    static std::string replaced(std::string text, const std::string& from, const std::string& to) {
        const std::size_t at = text.find(from);
        EXPECT_NE(at, std::string::npos) << from;
        return text.replace(at, from.size(), to);
    }

    static json branch(const std::string& name) {
        for (const json& one : status().at("below"))
            if (one.at("seat") == name)
                return one;
        ADD_FAILURE() << "status shows no branch " << name;
        return json::object();
    }
    static json away(const std::string& name) { return branch(name).at("away"); }
    static double longest_ms(const std::string& name) { return away(name).at("longest_seconds").get<double>() * 1000; }
    static std::int64_t statistic_at(const std::string& seat, const std::string& name) {
        HostProcess command({"stats", "--json", "--at", seat});
        EXPECT_EQ(command.wait(), 0) << command.err();
        for (const json& entry : json::parse(command.out(), nullptr, false).value("statistics", json::array()))
            if (entry.at("name") == name)
                return entry.at("value").get<std::int64_t>();
        ADD_FAILURE() << "no statistic " << name << " at " << seat;
        return -1;
    }
};

TEST_F(Tree, OneConfigurationOneProcessSeveralSchedulers) {
    const auto host = start(kTree);
    wait_for_all(*host);
    expect_runs("qmap");
    EXPECT_THAT(name_at({kGames}), HasSubstr("qmap"));
    EXPECT_THAT(name_at({kGames, kShooters}), HasSubstr("qmap"));
    EXPECT_THAT(name_at({kWork}), HasSubstr("qmap"));

    // Each has the tasks of its cgroup, and no others.
    Children crowd;
    for (const char* cgroup : {kGames, kShooters, kWork})
        put(waker(crowd), cgroup);
    for (const char* seat : {"games", "shooters", "work"}) {
        EXPECT_EQ(statistic_at(seat, "in_use"), 1) << seat;
        const std::int64_t before = statistic_at(seat, "enqueued");
        EXPECT_TRUE(wait_until([&] { return statistic_at(seat, "enqueued") >= before + 20; })) << seat;
    }

    const json all = status();
    EXPECT_EQ(all.at("seat"), "machine");
    ASSERT_EQ(all.at("below").size(), 3U) << all.dump(1);
    EXPECT_EQ(branch("shooters").at("above"), "games");
    EXPECT_EQ(branch("games").at("above"), "machine");
    for (const char* seat : {"games", "shooters", "work"}) {
        EXPECT_EQ(branch(seat).at("phase"), "good") << seat;
        EXPECT_EQ(branch(seat).at("agrees"), true) << seat;
    }
    EXPECT_EQ(branch("games").at("tasks"), 2);
    EXPECT_EQ(branch("work").at("tasks"), 1);
    // qmap grants all that it has itself.
    for (const char* seat : {"games", "shooters", "work"}) {
        EXPECT_EQ(branch(seat).at("cpus"), ::sysconf(_SC_NPROCESSORS_ONLN)) << seat;
        EXPECT_NE(branch(seat).at("caps").value("enq", ""), "") << seat;
    }

    // Each has its rows, its own count of the kernel's events among them.
    HostProcess metrics({"metrics"});
    EXPECT_EQ(metrics.wait(), 0) << metrics.err();
    for (const std::string& seat : {std::string("games"), std::string("shooters"), std::string("work")})
        for (const std::string& line : {
                 "scxhost_phase{seat=\"" + seat + "\",scxhost_phase=\"good\"} 1\n",
                 "scxhost_swaps_total{seat=\"" + seat + "\",outcome=\"good\"} 1\n",
                 "scxhost_scheduler_info{seat=\"" + seat + "\",scheduler=\"qmap\",title=",
                 "scxhost_stats_in_use{seat=\"" + seat + "\",scheduler=\"qmap\"} 1\n",
                 "scxhost_kernel_events_total{seat=\"" + seat + "\",scheduler=\"qmap\",event=\"SCX_EV_",
             })
            EXPECT_THAT(metrics.out(), HasSubstr(line));
    EXPECT_THAT(metrics.out(), HasSubstr("\nscxhost_branch_info{seat=\"shooters\",above=\"games\",cgroup=\"/games/"));
    EXPECT_THAT(metrics.out(), HasSubstr("\nscxhost_branch_tasks{seat=\"games\"} 2\n"));
    EXPECT_THAT(metrics.out(), HasSubstr("\nscxhost_stats_enqueued_total{seat=\"machine\",scheduler=\"qmap\"} "));
    crowd.end_all();
    end(*host);
    EXPECT_EQ(name_at({kGames}), "");
}

// Another scheduler in one branch: the root and the other branches do not notice. What is below it comes again.
TEST_F(Tree, ASwapAtABranchTouchesNoOther) {
    const auto host = start(kTree);
    wait_for_all(*host);
    const std::string work = name_at({kWork});
    const std::uint64_t enable_seq = kernel_status().enable_seq;
    const Answer answer = swap({"qmap", "--at", "games", "--set", "slice=1ms"});
    EXPECT_EQ(answer.status, 0) << answer.report << answer.err;
    EXPECT_EQ(answer.report.value("outcome", ""), "good") << answer.report;
    EXPECT_EQ(branch("games").at("scheduler").at("options").at("slice"), "\"1ms\"");
    EXPECT_EQ(kernel_status().enable_seq, enable_seq);
    const json back = enabled_at(*host, "games");
    EXPECT_GT(back.value("gap_ms", 0.0), 0.0) << back.dump(1);
    const json lower = enabled_at(*host, "shooters");
    EXPECT_THAT(name_at({kGames, kShooters}), HasSubstr("qmap"));
    EXPECT_EQ(branch("shooters").at("phase"), "good");
    EXPECT_EQ(name_at({kWork}), work);
    EXPECT_EQ(count("enabled", "work"), 1);
    EXPECT_EQ(count("enabled", "machine"), 1);
    EXPECT_EQ(count("suspended", "work"), 0);
    EXPECT_EQ(count("preparing", "shooters"), 1) << "it stayed loaded";
    // As the event has it: none of them was away but for this.
    EXPECT_EQ(away("games").at("count"), 1);
    EXPECT_DOUBLE_EQ(longest_ms("games"), back.at("gap_ms").get<double>());
    EXPECT_EQ(away("shooters").at("count"), 1);
    EXPECT_DOUBLE_EQ(longest_ms("shooters"), lower.at("away_ms").get<double>());
    EXPECT_EQ(away("work").at("count"), 0);

    const Answer unknown = swap({"qmap", "--at", "gmaes"});
    EXPECT_EQ(unknown.status, 2);
    EXPECT_THAT(unknown.err, HasSubstr("games"));
    end(*host);
}

// Another root: every branch is attached again as it is, right after it.
TEST_F(Tree, ASwapOfTheRootBringsTheBranchesBack) {
    const auto host = start(kTree);
    wait_for_all(*host);
    for (const char* slice : {"slice=3ms", "slice=4ms"}) {
        const Answer answer = swap({"qmap", "--set", slice});
        EXPECT_EQ(answer.status, 0) << answer.report << answer.err;
        for (const char* seat : {"games", "work", "shooters"})
            EXPECT_GT(enabled_at(*host, seat).value("away_ms", 0.0), 0.0) << seat;
    }
    EXPECT_THAT(name_at({kGames, kShooters}), HasSubstr("qmap"));
    for (const char* seat : {"games", "work", "shooters"}) {
        EXPECT_EQ(count("preparing", seat), 1) << seat << " stayed loaded";
        EXPECT_EQ(branch(seat).at("phase"), "good") << seat;
        EXPECT_EQ(branch(seat).at("recent_failures"), 0) << seat;
    }
    // One that does not come up: the old root is back, and the branches too.
    const Answer refused = swap({"qmap", "--set", "max_tasks=1"});
    EXPECT_EQ(refused.status, 1) << refused.report;
    EXPECT_EQ(refused.report.value("outcome", ""), "rolled-back") << refused.report;
    for (const char* seat : {"games", "work", "shooters"})
        enabled_at(*host, seat);
    end(*host);
}

// A policy of both forms is attached in the one that its place needs.
TEST_F(Tree, SimpleServesABranch) {
    const auto host = start("[scheduler]\nplugin = \"qmap\"\n[swap]\nprobation = \"0s\"\n"
                            "[[below]]\ncgroup = \"/work\"\nplugin = \"simple\"\n");
    enabled_at(*host, "work");
    EXPECT_THAT(name_at({kWork}), testing::StartsWith("simple_"));
    Children crowd;
    put(waker(crowd), kWork);
    put(crowd.spinner(), kWork);
    fill_cpus(crowd, 1); // of the root's
    const auto serves = [&](const char* statistic) {
        const std::int64_t before = statistic_at("work", statistic);
        return wait_until([&] { return statistic_at("work", statistic) >= before + 20; });
    };
    EXPECT_TRUE(serves("queued"));
    for (const std::size_t child : {0U, 1U})
        expect_progress(crowd, child);
    const Answer fifo = swap({"simple", "--at", "work", "--set", "fifo=true"});
    EXPECT_EQ(fifo.report.value("outcome", ""), "good") << fifo.report << fifo.err;
    EXPECT_TRUE(serves("queued"));
    for (const std::size_t child : {0U, 1U})
        expect_progress(crowd, child);
    crowd.end_all();

    // An idle CPU is found, and one that goes offline is none.
    Children alone;
    put(waker(alone), kWork);
    EXPECT_TRUE(serves("direct"));
    {
        const CpuAway away;
        expect_progress(alone, 0);
    }
    expect_progress(alone, 0);
    EXPECT_EQ(branch("work").at("phase"), "good");
    EXPECT_EQ(count("left", "work"), 0);
    alone.end_all();
    end(*host);
}

// A comparison takes one scheduler's place, not a tree's.
TEST_F(Tree, AHostWithBranchesIsNotLent) {
    const auto host = start(kTree);
    wait_for_all(*host);
    const std::uint64_t enable_seq = kernel_status().enable_seq;
    HostProcess compare({"compare", "kernel", "simple", "--workload", "true"});
    EXPECT_EQ(compare.wait(), 2) << compare.out();
    EXPECT_THAT(compare.err(), HasSubstr("the host runs a tree of schedulers"));
    EXPECT_EQ(kernel_status().enable_seq, enable_seq);
    EXPECT_EQ(count("suspended", "games"), 0);
    EXPECT_EQ(status().at("borrowed"), false);
    end(*host);
}

TEST_F(Tree, StopAndResumeOfABranchAndOfAll) {
    const auto host = start(kTree);
    wait_for_all(*host);
    expect_done({"stop", "games"});
    EXPECT_EQ(branch("games").at("phase"), "stopped");
    EXPECT_EQ(branch("shooters").at("phase"), "waiting") << "nothing runs that it could be below";
    EXPECT_EQ(name_at({kGames}), "");
    EXPECT_THAT(name_at({kWork}), HasSubstr("qmap"));
    expect_done({"resume", "games"});
    enabled_at(*host, "shooters");

    expect_done({"stop"});
    EXPECT_TRUE(on_its_own_scheduler());
    for (const char* seat : {"games", "work", "shooters"})
        EXPECT_EQ(branch(seat).at("phase"), "waiting") << seat;
    HostProcess refused({"swap", "qmap", "--at", "work"});
    EXPECT_EQ(refused.wait(), 2);
    EXPECT_THAT(refused.err(), HasSubstr("no scheduler runs above it"));
    expect_done({"resume"});
    enabled_at(*host, "shooters");
    EXPECT_TRUE(reaches("work", "good"));
    end(*host);
}

// In a boot of its own.
constexpr const char* kUsers = "/etc/passwd";
constexpr uid_t kAlice = 1001;
constexpr uid_t kBob = 1002;

// The same with a branch less, and a user without rights of his own who has a say at one.
constexpr const char* kDelegatedTree = R"([scheduler]
plugin = "qmap"
[swap]
probation = "0s"
[[below]]
cgroup = "/games"
plugin = "simple"
options = { slice = "5ms" }
[[below]]
cgroup = "/work"
plugin = "qmap"
[[delegate]]
user = "alice"
cgroup = "/games"
plugins = ["simple", "qmap"]
)";

class DelegatedTree : public Tree {
protected:
    void SetUp() override {
        Tree::SetUp();
        if (IsSkipped())
            return;
        users_ = read_text(kUsers);
        write_text(kUsers, users_ + "alice:x:1001:1001::/:/bin/sh\nbob:x:1002:1002::/:/bin/sh\n");
    }
    void TearDown() override {
        if (!users_.empty())
            write_text(kUsers, users_);
        Tree::TearDown();
    }

    struct Said {
        int status = -1;
        std::string out;
        std::string err;
    };
    static Said as(uid_t user, const std::vector<std::string>& command) {
        HostProcess process(command, [user] {
            if (::setgroups(0, nullptr) != 0 || ::setgid(user) != 0 || ::setuid(user) != 0)
                std::_Exit(126);
        });
        Said said;
        said.status = process.wait();
        said.out = process.out();
        said.err = process.err();
        return said;
    }
    // Once more where the limit on changes says so.
    static Said alice(const std::vector<std::string>& command) {
        Said said;
        EXPECT_TRUE(wait_until([&] {
            said = as(kAlice, command);
            return said.err.find("ask again in") == std::string::npos;
        })) << said.err;
        return said;
    }
    static void expect_alice_may(const std::vector<std::string>& command) {
        const Said said = alice(command);
        EXPECT_EQ(said.status, 0) << testing::PrintToString(command) << said.out << said.err;
    }

private:
    std::string users_;
};

// He swaps, stops and resumes there, and the kernel says so.
TEST_F(DelegatedTree, AUserChoosesAtHisBranch) {
    const auto host = start(kDelegatedTree);
    for (const char* seat : {"machine", "games", "work"})
        enabled_at(*host, seat);
    const std::string work = name_at({kWork});
    const std::uint64_t enable_seq = kernel_status().enable_seq;
    const auto kernel_shows = [&](const std::string& prefix) {
        return wait_until([&] {
            const std::string name = name_at({kGames});
            return prefix.empty() ? name.empty() : name.starts_with(prefix);
        });
    };
    EXPECT_TRUE(kernel_shows("simple_"));

    expect_alice_may({"swap", "qmap", "--at", "games", "--set", "slice=3ms"});
    EXPECT_TRUE(kernel_shows("qmap_"));
    EXPECT_EQ(branch("games").at("scheduler").at("options").at("slice"), "\"3ms\"");
    expect_alice_may({"swap", "--at", "games"}); // what the configuration says
    EXPECT_TRUE(kernel_shows("simple_"));
    EXPECT_EQ(branch("games").at("scheduler").at("options").at("slice"), "\"5ms\"");
    expect_alice_may({"stop", "games"});
    EXPECT_TRUE(kernel_shows(""));
    EXPECT_EQ(branch("games").at("phase"), "stopped");
    expect_alice_may({"resume", "games"});
    EXPECT_TRUE(kernel_shows("simple_"));
    EXPECT_TRUE(reaches("games", "good"));

    // What he sees is his.
    const Said told = as(kAlice, {"status", "--json"});
    ASSERT_EQ(told.status, 0) << told.err;
    const json seen = json::parse(told.out);
    ASSERT_EQ(seen.at("below").size(), 1U) << seen.dump(1);
    EXPECT_EQ(seen.at("below")[0].at("seat"), "games");
    EXPECT_EQ(seen.at("below")[0].at("scheduler").at("options").at("slice"), "\"5ms\"");
    EXPECT_EQ(seen.at("scheduler").at("options"), json::object());
    EXPECT_EQ(seen.at("scheduler").at("config"), json());
    EXPECT_THAT(as(kAlice, {"status"}).out, HasSubstr("games"));
    const Said events = as(kAlice, {"events", "--json"});
    EXPECT_THAT(events.out, HasSubstr("\"seat\":\"games\""));
    EXPECT_THAT(events.out, testing::Not(testing::AnyOf(HasSubstr("\"machine\""), HasSubstr("\"work\""))));
    EXPECT_EQ(as(kAlice, {"stats", "--at", "games"}).status, 0);
    const Said metrics = as(kAlice, {"metrics"});
    EXPECT_EQ(metrics.status, 0) << metrics.err;
    EXPECT_THAT(metrics.out, HasSubstr("seat=\"games\""));
    EXPECT_THAT(metrics.out, testing::Not(testing::AnyOf(HasSubstr("work"), HasSubstr("scxhost_stats_in_use"))));

    // The rules are those of the start.
    write_text(kConfig, replaced(kDelegatedTree, "[\"simple\", \"qmap\"]", "[]"));
    ASSERT_TRUE(host->wait_for_event("config-changed")) << host->err();
    std::string outcome = "good"; // of the start
    while (outcome == "good")
        outcome = next_of(*host, "settled", "machine").value("outcome", "");
    EXPECT_EQ(outcome, "unchanged");
    expect_alice_may({"swap", "qmap", "--at", "games"});
    EXPECT_TRUE(kernel_shows("qmap_"));

    EXPECT_EQ(kernel_status().enable_seq, enable_seq) << "of the machine's";
    EXPECT_EQ(name_at({kWork}), work);
    end(*host);
    EXPECT_THAT(host->err(), HasSubstr("start the host anew"));
}

TEST_F(DelegatedTree, NothingElseIsHis) {
    const auto host = start(kDelegatedTree);
    for (const char* seat : {"machine", "games", "work"})
        enabled_at(*host, seat);
    const std::string work = name_at({kWork});
    const std::string games = name_at({kGames});
    const std::uint64_t enable_seq = kernel_status().enable_seq;
    const std::vector<std::vector<std::string>> commands = {
        {"swap"},
        {"swap", "simple"},
        {"swap", "simple", "--at", "machine"},
        {"swap", "simple", "--at", "work"},
        {"swap", "simple", "--at", "gmaes"},
        {"stop"},
        {"stop", "work"},
        {"resume", "work"},
        {"stats"},
        {"stats", "--at", "work"},
        {"swap", "central", "--at", "games"}, // not in his list
        {"swap", kConfig, "--at", "games"},
        {"swap", "--object", "/root/bare.bpf.o", "--at", "games"},
        {"swap", "--program", "/bin/busybox", "--at", "games"},
        {"swap", "qmap", "--at", "games", "--force"},
        {"swap", "qmap", "--at", "games", "--plugin-dir", "/root"},
        {"compare", "kernel", "simple", "--workload", "true"},
    };
    for (const std::vector<std::string>& command : commands) {
        const Said said = as(kAlice, command);
        EXPECT_EQ(said.status, 4) << testing::PrintToString(command) << said.out << said.err;
        EXPECT_THAT(said.err, HasSubstr("user alice may not")) << testing::PrintToString(command);
        EXPECT_THAT(said.err, HasSubstr("games (plugins: simple and qmap)")) << testing::PrintToString(command);
        EXPECT_THAT(said.err, testing::Not(HasSubstr("/work"))) << testing::PrintToString(command);
    }
    for (const char* setting : {"scheduler.ops.timeout_ms=1000", "scheduler.sizes.task_ctx=7", "host.fallback=qmap",
                                "scheduler.object=/root/bare.bpf.o"}) {
        const Said said = alice({"swap", "qmap", "--at", "games", "--set", setting});
        EXPECT_EQ(said.status, 4) << setting << said.out << said.err;
        EXPECT_THAT(said.err, HasSubstr("more than options of the plugin")) << setting;
    }
    const Said stranger = as(kBob, {"status"});
    EXPECT_EQ(stranger.status, 4) << stranger.out;
    EXPECT_THAT(stranger.err, HasSubstr("[[delegate]]"));

    EXPECT_EQ(kernel_status().enable_seq, enable_seq);
    EXPECT_EQ(name_at({kWork}), work);
    EXPECT_EQ(name_at({kGames}), games);
    EXPECT_EQ(branch("games").at("last_swap").at("outcome"), "good") << "of the start: nothing came of his requests";

    // As often as he likes he may not either; root may.
    Said said;
    EXPECT_TRUE(wait_until([&] {
        said = as(kAlice, {"resume", "games"});
        return said.status != 0;
    }));
    EXPECT_EQ(said.status, 1);
    EXPECT_THAT(said.err, HasSubstr("a delegate may change something"));
    expect_done({"stop", "games"});
    EXPECT_EQ(name_at({kGames}), "");
    EXPECT_EQ(name_at({kWork}), work);
    end(*host);
}

TEST_F(DelegatedTree, AFileSystemWithoutAccessListsIsNamed) {
    const std::string folder = "/root/plain"; // a ramfs has none
    ASSERT_EQ(::mkdir(folder.c_str(), 0755), 0);
    ASSERT_EQ(::mount("none", folder.c_str(), "ramfs", 0, "mode=755"), 0);
    write_text(kConfig, fmt::format("{}[control]\nsocket = \"{}/control.sock\"\n", kDelegatedTree, folder));
    HostProcess host({"run", kConfig});
    EXPECT_EQ(host.wait(), 3) << host.out();
    EXPECT_THAT(host.err(), HasSubstr("/root/tree.toml:17:10: "));
    EXPECT_THAT(host.err(), HasSubstr("keeps no access control lists (ACLs)"));
    EXPECT_THAT(host.err(), HasSubstr("or remove [[delegate]]"));
    EXPECT_FALSE(std::filesystem::exists(folder + "/control.sock")) << "nobody is to wait at it";
    EXPECT_NE(kernel_status().state, SchedExtState::kEnabled);
    EXPECT_EQ(::umount(folder.c_str()), 0);
    ::rmdir(folder.c_str());
}

class FailingTree : public Tree {};

// A branch fails: the one that was there before comes back, below the same root.
TEST_F(FailingTree, ABranchThatFailsGoesBackToItsLastGoodOne) {
    const auto host = start(kTree);
    wait_for_all(*host);
    Children crowd;
    put(waker(crowd), kWork);
    const std::uint64_t enable_seq = kernel_status().enable_seq;
    const Answer answer = swap({"qmap", "--at", "work", "--set", "swap.probation=1m", "--set", "error_after=20"});
    EXPECT_EQ(answer.status, 1) << answer.report << answer.err;
    EXPECT_EQ(answer.report.value("outcome", ""), "rolled-back") << answer.report;
    EXPECT_EQ(branch("work").at("quarantine").size(), 1U);
    // In the swap, and from the error until the old one was back.
    EXPECT_EQ(away("work").at("count"), 2);
    EXPECT_GT(longest_ms("work"), 0);
    EXPECT_EQ(away("games").at("count"), 0);
    EXPECT_EQ(branch("games").at("quarantine").size(), 0U) << "quarantine goes by place too";
    EXPECT_THAT(name_at({kWork}), HasSubstr("qmap"));
    EXPECT_EQ(kernel_status().enable_seq, enable_seq);
    EXPECT_EQ(count("enabled", "machine"), 1);
    EXPECT_EQ(count("enabled", "games"), 1);
    EXPECT_EQ(count("enabled", "shooters"), 1);
    HostProcess incidents({"incidents", "--json", "--last", "1"});
    EXPECT_EQ(incidents.wait(), 0) << incidents.err();
    EXPECT_EQ(json::parse(incidents.out(), nullptr, false).at("incidents").at(0).at("branch"), "work");
    crowd.end_all();
    end(*host);
}

// With nothing to go back to, the scheduler above has the tasks, and the host goes on.
TEST_F(FailingTree, ABranchWithNothingLeftLeavesItsTasksToTheOneAbove) {
    const auto host = start(replaced(kTree, "cgroup = \"/work\"\nplugin = \"qmap\"\n",
                                     "cgroup = \"/work\"\nplugin = \"qmap\"\noptions = { error_after = 20 }\n"
                                     "probation = \"1m\"\n"));
    Children crowd;
    put(waker(crowd), kWork);
    EXPECT_TRUE(next_of(*host, "stood-down", "work").contains("message")) << host->err();
    EXPECT_EQ(name_at({kWork}), "");
    expect_runs("qmap");
    const std::uint64_t work = crowd.board().work[0].load();
    EXPECT_TRUE(wait_until([&] { return crowd.board().work[0].load() > work; })) << "the root has its task";
    EXPECT_EQ(branch("work").at("phase"), "stood-down");
    const double so_far = longest_ms("work");
    EXPECT_TRUE(wait_until([&] { return longest_ms("work") > so_far; })) << "and has it as long as nobody comes";
    EXPECT_EQ(away("work").at("count"), 1);
    EXPECT_TRUE(reaches("shooters", "good"));
    EXPECT_THAT(host->err(), HasSubstr("work: "));
    crowd.end_all();
    end(*host);
}

// Cgroups come and go, files change, hosts die. In a boot of its own.
class ChangingTree : public Tree {};

// A cgroup that is not there is waited for; one that goes is no failure.
TEST_F(ChangingTree, ABranchWaitsForItsCgroup) {
    remove_cgroup(kShooters);
    remove_cgroup(kGames);
    const auto host = start(kTree);
    enabled_at(*host, "work");
    EXPECT_TRUE(reaches("games", "waiting"));
    EXPECT_THAT(branch("games").at("waits_for").get<std::string>(), HasSubstr("/games"));
    for (int round = 0; round < 2; ++round) {
        ASSERT_EQ(::mkdir(kGames, 0755), 0);
        enabled_at(*host, "games");
        ASSERT_EQ(::mkdir(kShooters, 0755), 0);
        enabled_at(*host, "shooters");
        remove_cgroup(kShooters);
        EXPECT_TRUE(reaches("shooters", "waiting"));
        remove_cgroup(kGames);
        EXPECT_TRUE(reaches("games", "waiting"));
    }
    const json so_far = away("games");
    EXPECT_EQ(away("games"), so_far) << "there are no tasks that could be away";
    EXPECT_EQ(branch("games").at("recent_failures"), 0);
    EXPECT_EQ(count("enabled", "work"), 1);
    end(*host);
}

TEST_F(ChangingTree, ACgroupIsMadeAndRemovedWhereTheConfigurationSaysSo) {
    remove_cgroup(kShooters);
    remove_cgroup(kGames);
    const auto host =
        start(replaced(kTree, "cgroup = \"/games/shooters\"\n", "cgroup = \"/games/shooters\"\ncreate = true\n"));
    wait_for_all(*host);
    EXPECT_THAT(name_at({kGames, kShooters}), HasSubstr("qmap"));
    end(*host);
    EXPECT_FALSE(std::filesystem::exists(kGames)) << "it was made on the way";
}

// As the README has it: a table for each, and the tree as people read it.
TEST_F(ChangingTree, TheShippedConfigurationShowsItsTree) {
    remove_cgroup(kShooters);
    remove_cgroup(kGames);
    HostProcess host({"run", "/usr/share/scxhost/configs/tree.toml"});
    ASSERT_TRUE(host.wait_for_output([](const std::string& out) {
        return out.find("machine: trunk") != std::string::npos && out.find("games: qmap") != std::string::npos &&
               out.find("shooters: qmap") != std::string::npos;
    })) << host.out()
        << host.err();
    EXPECT_THAT(host.out(), HasSubstr("shooters: enabled: qmap"));
    HostProcess status({"status"});
    EXPECT_EQ(status.wait(), 0) << status.err();
    EXPECT_THAT(status.out(), testing::ContainsRegex("\n  games +qmap.*/games"));
    EXPECT_THAT(status.out(), testing::ContainsRegex("\n    shooters +qmap.*/games/shooters"));
    host.signal(SIGTERM);
    EXPECT_EQ(host.wait(), 0) << host.err();
}

// The smallest set of changes makes a changed file true.
TEST_F(ChangingTree, AChangedFileIsFollowedBranchByBranch) {
    const auto host = start(kTree);
    wait_for_all(*host);
    const std::uint64_t enable_seq = kernel_status().enable_seq;
    write_text(kConfig, replaced(kTree, "slice = \"2ms\"", "slice = \"1ms\""));
    enabled_at(*host, "shooters");
    EXPECT_EQ(branch("shooters").at("scheduler").at("options").at("slice"), "\"1ms\"");
    EXPECT_EQ(count("enabled", "games"), 1);

    const std::string without_work = replaced(kTree, "[[below]]\ncgroup = \"/work\"\nplugin = \"qmap\"\n", "");
    write_text(kConfig, without_work);
    next_of(*host, "removed", "work");
    EXPECT_TRUE(wait_until([] { return status().at("below").size() == 2; }));
    EXPECT_EQ(name_at({kWork}), "");

    write_text(kConfig, kTree);
    enabled_at(*host, "work");
    EXPECT_TRUE(reaches("shooters", "good"));
    EXPECT_EQ(count("enabled", "games"), 1);
    EXPECT_EQ(count("enabled", "machine"), 1);
    EXPECT_EQ(kernel_status().enable_seq, enable_seq);
    end(*host);
}

// The kernel detaches all of them with their host, and the next one starts as the first did.
TEST_F(ChangingTree, NothingIsLeftOfAKilledHost) {
    for (int round = 0; round < 2; ++round) {
        const auto host = start(kTree);
        wait_for_all(*host);
        host->signal(SIGKILL);
        EXPECT_EQ(host->wait(), 128 + SIGKILL);
        EXPECT_TRUE(wait_until([] { return on_its_own_scheduler(); }));
        EXPECT_EQ(name_at({kGames}), "");
    }
}

// In a boot of its own.
class LimitsOfTree : public Tree {};

// What cannot be is told with its place before anything is attached.
TEST_F(LimitsOfTree, WhatTheKernelOrTheOneAboveCannotIsRefusedBeforehand) {
    struct Case {
        const char* description;
        std::string config;
        const char* place;
        const char* message;
    };
    const std::string deep =
        "[scheduler]\nplugin = \"qmap\"\n[[below]]\ncgroup = \"/a\"\nplugin = \"qmap\"\n[[below]]\n"
        "cgroup = \"/a/b\"\nplugin = \"qmap\"\n[[below]]\ncgroup = \"/a/b/c\"\nplugin = \"qmap\"\n"
        "[[below]]\ncgroup = \"/a/b/c/d\"\nplugin = \"qmap\"\n";
    for (const Case& test : std::vector<Case>{
             {"a root that takes none",
              "[scheduler]\nplugin = \"simple\"\n[[below]]\ncgroup = \"/work\"\n"
              "plugin = \"qmap\"\n",
              "tree.toml:3:", "takes no schedulers below it"},
             {"a branch by CPU number",
              "[scheduler]\nplugin = \"qmap\"\n[[below]]\ncgroup = \"/work\"\n"
              "plugin = \"interactive\"\n",
              "tree.toml:5:", "cid form"},
             {"its own place",
              "[scheduler]\nplugin = \"qmap\"\n[[below]]\ncgroup = \"/work\"\nplugin = \"qmap\"\n"
              "options = { sub_cgroup = \"/games\" }\n",
              "tree.toml:5:", "its own options say where"},
             {"too deep", deep, "tree.toml:13:", "4 levels below the root"},
         }) {
        SCOPED_TRACE(test.description);
        write_text(kConfig, test.config);
        HostProcess check({"check", kConfig});
        EXPECT_NE(check.wait(), 0) << check.out();
        EXPECT_THAT(check.err(), HasSubstr(test.place));
        EXPECT_THAT(check.err(), HasSubstr(test.message));
        HostProcess run({"run", kConfig, "--json"});
        EXPECT_NE(run.wait(), 0) << run.out();
        EXPECT_THAT(run.err(), HasSubstr(test.message));
        EXPECT_FALSE(run.wait_for_event("enabled")) << run.out();
    }
    write_text(kConfig, kTree);
    expect_done({"check", kConfig});
}

// What check_shape() holds the kernel to.
TEST_F(LimitsOfTree, NothingIsBelowThreeLevels) {
    std::vector<std::string> cgroups;
    std::vector<std::unique_ptr<LivePolicy>> policies;
    policies.push_back(std::make_unique<LivePolicy>("qmap"));
    policies.back()->attach();
    for (std::size_t depth = 1; depth <= kMaxBranchDepth + 1; ++depth) {
        cgroups.push_back(cgroups.empty() ? "/depth" : cgroups.back() + "/further");
        ASSERT_EQ(::mkdir(("/sys/fs/cgroup" + cgroups.back()).c_str(), 0755), 0);
        policies.push_back(std::make_unique<LivePolicy>("qmap", std::vector{"sub_cgroup=" + cgroups.back()}));
        if (depth <= kMaxBranchDepth)
            policies.back()->attach();
        else
            EXPECT_FALSE(policies.back()->try_attach());
    }
    while (!policies.empty())
        policies.pop_back();
    for (; !cgroups.empty(); cgroups.pop_back())
        remove_cgroup("/sys/fs/cgroup" + cgroups.back());
}

// Where no scheduler can be below another one, nor even the root is attached.
class OlderKernelTree : public QuietGuestTest {};

TEST_F(OlderKernelTree, IsRefusedWithThePlaceAndTheReason) {
    if (availability("sub-capabilities") == Availability::kPresent)
        GTEST_SKIP() << "this kernel has what a tree needs";
    const std::uint64_t enable_seq = kernel_status().enable_seq;
    for (const char* command : {"check", "run"}) {
        HostProcess process({command, "/usr/share/scxhost/configs/tree.toml"});
        EXPECT_EQ(process.wait(), 3) << command << process.out() << process.err();
        EXPECT_THAT(process.err(), HasSubstr("tree.toml:"));
        EXPECT_THAT(process.err(), HasSubstr("\"games\": this kernel has no capabilities of sub-schedulers"));
        EXPECT_THAT(process.err(), HasSubstr("leave [[below]] away"));
    }
    EXPECT_EQ(kernel_status().enable_seq, enable_seq);
}

// Does something again and again beside the test, until it is destroyed; what it throws is a failure.
class Meanwhile {
public:
    explicit Meanwhile(std::function<void()> what)
        : thread_([this, what = std::move(what)] {
            try {
                for (; !over_; ++rounds_)
                    what();
            } catch (const std::exception& error) {
                ADD_FAILURE() << error.what();
            }
        }) {}
    Meanwhile(const Meanwhile&) = delete;
    Meanwhile& operator=(const Meanwhile&) = delete;
    ~Meanwhile() {
        over_ = true;
        thread_.join();
    }
    // So many times more.
    void wait_for(int rounds) const {
        EXPECT_TRUE(wait_until([&, before = rounds_.load()] { return rounds_ >= before + rounds; }));
    }

private:
    std::atomic<bool> over_ = false;
    std::atomic<int> rounds_ = 0;
    std::thread thread_;
};

// What happens to the cgroups of branches from outside. In a boot of its own.
class CgroupsOfTree : public Tree {
protected:
    // Two that take none below them, and are loaded fast.
    static constexpr const char* kConfigured = R"([scheduler]
plugin = "qmap"
[swap]
probation = "0s"
[[below]]
cgroup = "/games"
plugin = "qmap"
[[below]]
cgroup = "/games/shooters"
plugin = "simple"
[[below]]
cgroup = "/work"
plugin = "simple"
)";

    static void swap_at(const std::string& seat, const std::string& plugin, int slice_us) {
        const Answer answer = swap({plugin, "--at", seat, "--set", fmt::format("slice={}us", slice_us)});
        EXPECT_EQ(answer.status, 0) << seat << answer.report << answer.err;
        EXPECT_EQ(answer.report.value("outcome", ""), "good") << seat << answer.report;
    }
    static void expect_no_failures() {
        for (const char* seat : {"games", "work", "shooters"}) {
            EXPECT_TRUE(reaches(seat, "good")) << seat;
            EXPECT_EQ(branch(seat).at("recent_failures"), 0) << seat;
            EXPECT_EQ(count("left", seat), 0) << seat;
        }
    }
    // Of a simple.
    static std::int64_t enqueued_at(const std::string& seat) {
        return statistic_at(seat, "direct") + statistic_at(seat, "queued");
    }
};

// A task that cannot run is moved like any other.
TEST_F(CgroupsOfTree, FrozenTasksAreMovedAndRunOnWhenTheyThaw) {
    const auto host = start(kConfigured);
    wait_for_all(*host);
    Children crowd;
    put(waker(crowd), kGames);
    put(crowd.spinner(), kGames);
    put(waker(crowd), kShooters);
    for (std::size_t child = 0; child < 3; ++child)
        expect_progress(crowd, child);
    write_text(std::string(kGames) + "/cgroup.freeze", "1");
    ASSERT_TRUE(wait_until(
        [] { return read_text(std::string(kGames) + "/cgroup.events").find("frozen 1") != std::string::npos; }));
    std::vector<std::uint64_t> work;
    for (std::size_t child = 0; child < 3; ++child)
        work.push_back(crowd.board().work[child].load());
    swap_at("games", "qmap", 1000);
    EXPECT_TRUE(reaches("shooters", "good"));
    swap_at("machine", "trunk", 20000);
    for (const char* seat : {"games", "work", "shooters"})
        EXPECT_TRUE(reaches(seat, "good")) << seat;
    EXPECT_EQ(statistic_at("games", "in_use"), 2);
    EXPECT_EQ(branch("games").at("tasks"), 3);
    for (std::size_t child = 0; child < 3; ++child)
        EXPECT_EQ(crowd.board().work[child].load(), work[child]) << "it is frozen";

    write_text(std::string(kGames) + "/cgroup.freeze", "0");
    for (std::size_t child = 0; child < 3; ++child)
        expect_progress(crowd, child);
    const std::int64_t before = enqueued_at("shooters");
    EXPECT_TRUE(wait_until([&] { return enqueued_at("shooters") > before; }));
    expect_no_failures();
    crowd.end_all();
    end(*host);
}

// The cpu controller comes, limits and weighs a branch's tasks, and goes, while the branch is swapped.
TEST_F(CgroupsOfTree, LimitsOfTheCpuControllerChangeWhileABranchIsSwapped) {
    const auto host = start(kConfigured);
    wait_for_all(*host);
    Children crowd;
    put(crowd.spinner(), kGames);
    put(waker(crowd), kShooters);
    put(crowd.spinner(), kWork);
    write_text("/sys/fs/cgroup/cgroup.subtree_control", "+cpu");
    {
        const Meanwhile changes([] {
            for (const char* limit : {"20000 100000", "50000 100000", "max 100000"})
                write_text(std::string(kGames) + "/cpu.max", limit);
            for (const char* weight : {"500", "100"})
                write_text(std::string(kGames) + "/cpu.weight", weight);
            ::usleep(1000);
        });
        swap_at("games", "qmap", 1000);
        swap_at("machine", "trunk", 20000);
        changes.wait_for(1);
    }
    write_text(std::string(kGames) + "/cpu.max", "20000 100000");
    write_text("/sys/fs/cgroup/cgroup.subtree_control", "-cpu");
    for (std::size_t child = 0; child < 3; ++child)
        expect_progress(crowd, child);
    expect_no_failures();
    crowd.end_all();
    end(*host);
}

// Tasks end all at once, and others move between branches all the time, while the branches are swapped.
TEST_F(CgroupsOfTree, TasksAreKilledAndMovedWhileBranchesAreSwapped) {
    const auto host = start(kConfigured);
    wait_for_all(*host);
    ASSERT_EQ(::mkdir("/sys/fs/cgroup/other", 0755), 0);
    Children crowd;
    const std::vector<pid_t> moving = {waker(crowd), crowd.spinner(), waker(crowd), crowd.sleeper()};
    {
        std::mt19937 random(1);
        const std::vector<std::string> cgroups = {kWork, "/sys/fs/cgroup", "/sys/fs/cgroup/other"};
        const Meanwhile moves([&] {
            put(moving[random() % moving.size()], cgroups[random() % cgroups.size()]);
            ::usleep(1000);
        });
        for (int i = 0; i < 2; ++i) {
            Children doomed;
            for (int n = 0; n < 3; ++n) {
                put(waker(doomed), kGames);
                put(doomed.sleeper(), kGames);
                put(waker(doomed), kShooters);
            }
            HostProcess asked({"swap", "qmap", "--at", "games", "--set", fmt::format("slice={}us", 1000 + i)});
            if (i > 0) // as it is asked for, and when it has come to run
                enabled_at(*host, "games");
            write_text(std::string(kGames) + "/cgroup.kill", "1");
            EXPECT_EQ(asked.wait(), 0) << asked.out() << asked.err();
            EXPECT_TRUE(wait_until([] { return statistic_at("games", "in_use") == 0; }))
                << statistic_at("games", "in_use") << " tasks left";
            EXPECT_TRUE(reaches("shooters", "good"));
            swap_at("work", "simple", 1000 + i);
            moves.wait_for(10);
        }
    }
    for (const std::size_t child : {0U, 1U, 2U})
        expect_progress(crowd, child);
    expect_no_failures();
    crowd.end_all();
    end(*host);
    remove_cgroup("/sys/fs/cgroup/other");
}

// The kernel lets a branch have single threads of a process.
TEST_F(CgroupsOfTree, AThreadedCgroupHasItsThreads) {
    write_text(std::string(kWork) + "/cgroup.type", "threaded");
    const auto host = start(kConfigured);
    wait_for_all(*host);
    Children crowd;
    crowd.start([](Board& board, std::size_t) {
        std::thread second([&board] {
            write_text(std::string(kWork) + "/cgroup.threads", std::to_string(::gettid()));
            for (;; ++board.work[1])
                ::usleep(2000);
        });
        for (;; ++board.work[0])
            ::usleep(2000);
    });
    for (const char* plugin : {"simple", "qmap"}) {
        swap_at("work", plugin, 1000);
        expect_progress(crowd, 0);
        expect_progress(crowd, 1);
        EXPECT_EQ(branch("work").at("tasks"), 1);
    }
    EXPECT_EQ(statistic_at("work", "in_use"), 1);
    expect_no_failures();
    crowd.end_all();
    end(*host);
}

// Each branch swapped again and again in random order, and the root between, while tasks run, fork, sleep and move.
TEST_F(Tree, ManySwapsLeaveNothingBehind) {
    constexpr std::size_t kFailedForks = 60;
    const auto host = start(kTree);
    wait_for_all(*host);
    Children crowd;
    std::vector<pid_t> moving = {crowd.spinner()};
    for (const char* cgroup : {kGames, kShooters, kWork}) {
        put(moving.emplace_back(waker(crowd)), cgroup);
        put(crowd.sleeper(), cgroup);
        const pid_t forks = crowd.start([](Board& board, std::size_t index) {
            for (;;) {
                const pid_t child = ::fork();
                if (child == 0)
                    ::_exit(0);
                child > 0 ? (void)::waitpid(child, nullptr, 0) : (void)++board.work[kFailedForks];
                ++board.work[index];
                ::usleep(1000);
            }
        });
        put(forks, cgroup);
    }
    std::mt19937 random(1);
    const std::vector<std::string> seats = {"games", "shooters", "work"};
    const std::vector<std::string> cgroups = {kGames, kShooters, kWork, "/sys/fs/cgroup"};
    std::size_t descriptors = 0;
    std::size_t objects = 0;
    // One of the machine's scheduler is one of all four.
    const int swaps = std::max(5, static_cast<int>(from_environment("SCX_TEST_SWAPS", 20)) / 4);
    for (int i = 0; i < swaps; ++i) {
        const bool root = i % 5 == 4;
        const std::string seat = root ? "machine" : seats[random() % seats.size()];
        const Answer answer = swap({"qmap", "--at", seat, "--set", fmt::format("slice={}us", 3000 + i)});
        ASSERT_EQ(answer.status, 0) << "swap " << i << " at " << seat << ": " << answer.report << answer.err;
        EXPECT_EQ(answer.report.at("outcome"), "good") << answer.report;
        for (const pid_t pid : moving)
            put(pid, cgroups[random() % cgroups.size()]);
        EXPECT_TRUE(wait_until([] {
            const json now = status();
            return std::ranges::all_of(now.at("below"), [](const json& one) { return one.at("phase") == "good"; });
        })) << "after swap "
            << i;
        if (i == std::min(10, swaps / 2)) {
            descriptors = open_descriptors(host->pid());
            objects = count_bpf_objects();
        }
    }
    EXPECT_TRUE(wait_until([&] { return open_descriptors(host->pid()) <= descriptors; }))
        << open_descriptors(host->pid()) << " descriptors, there were " << descriptors;
    expect_bpf_objects(objects);
    EXPECT_EQ(crowd.board().work[kFailedForks], 0U) << "forks that failed";
    for (const std::string& one : seats)
        EXPECT_EQ(branch(one).at("recent_failures"), 0) << one;
    crowd.end_all();
    end(*host);
}

} // namespace
} // namespace scxhost
