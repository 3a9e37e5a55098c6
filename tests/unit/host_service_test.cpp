// SPDX-License-Identifier: GPL-2.0-only
//
// What the methods refuse before they ask the supervisor; what they do is tested in guests (tests/vm/swap_test.cpp).
#include "host/base/error_json.hpp"
#include "host/control/host_service.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/unit/btf_builder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <vector>

namespace scxhost {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class NobodyListens : public SupervisorListener {
    void on_event(const json&) override {}
    void on_error(const Error&) override {}
    void on_warning(const Error&) override {}
    void on_note(std::string_view, std::string_view) override {}
    void on_config(const Config&) override {}
    bool on_sample(std::string_view, const StatisticsSample&) override { return true; }
};

class HostServiceTest : public testing::Test {
protected:
    Result<json> call(const std::string& method, const json& params, uid_t caller = ::geteuid()) {
        std::optional<Result<json>> answer;
        service_.call(method, params, {.uid = caller, .may_change = true},
                      [&](const Result<json>& result) { answer = result; });
        // What names files is answered once these are read, which a thread does.
        for (int turns = 0; !answer && turns < 1000; ++turns)
            EXPECT_TRUE(loop_.turn(std::chrono::milliseconds(10)));
        EXPECT_TRUE(answer) << method << ": no answer";
        return answer.value_or(json());
    }

    EventLoop loop_ = EventLoop::make().value();
    KernelBtf kernel_ = BtfBuilder().build();
    NobodyListens listener_;
    Supervisor supervisor_{loop_, kernel_, {}, listener_};
    HostService service_{supervisor_};
};

TEST_F(HostServiceTest, WhatChangesAnythingIsNotForEverybody) {
    for (const char* method : {"swap", "stop", "resume", "check", "borrow", "return"}) {
        EXPECT_TRUE(service_.knows(method) && HostService::changes(method)) << method;
        std::optional<Result<json>> answer;
        service_.call(method, json::object(), {.uid = 65534, .may_change = false},
                      [&](const Result<json>& result) { answer = result; });
        ASSERT_TRUE(answer && !*answer) << method;
        EXPECT_EQ(answer->error().kind, ErrorKind::kPermission) << method;
    }
    for (const char* method : {"status", "stats", "metrics"})
        EXPECT_TRUE(service_.knows(method) && !HostService::changes(method)) << method;
    for (const char* method : {"", "Status", "status ", "reboot"})
        EXPECT_TRUE(!service_.knows(method) && HostService::changes(method)) << method;
}

TEST_F(HostServiceTest, ParametersThatAreRefused) {
    const json nul = std::string("/etc/a\0.toml", 12);
    const std::vector<std::pair<json, std::string>> cases = {
        {{{"What", "qmap"}}, "no parameter \"What\""},
        {{{"what", "qmap"}, {"dry_run", true}}, "no parameter \"dry_run\""},
        {{{"what", 7}}, "what: expected"},
        {{{"what", ""}}, "what: expected"},
        {{{"what", {"qmap"}}}, "what: expected"},
        {{{"what", "qmap.toml"}}, "what: expected an absolute path"},
        {{{"what", "../qmap.so"}}, "what: expected an absolute path"},
        {{{"what", nul}}, "what: expected"},
        {{{"set", {"slice=5ms"}}}, "what: expected"},
        {{{"plugin_dirs", {"/opt"}}}, "what: expected"},
        {{{"what", "qmap"}, {"set", "slice=5ms"}}, "set: expected"},
        {{{"what", "qmap"}, {"set", {1}}}, "set: expected"},
        {{{"what", "qmap"}, {"set", {nul}}}, "set: expected"},
        {{{"what", "qmap"}, {"set", {"slice"}}}, "KEY=VALUE"},
        {{{"what", "qmap"}, {"set", {"incidents.dir=/root"}}}, "control socket"},
        {{{"what", "qmap"}, {"set", {"slice=5ms", "control.socket=/tmp/x"}}}, "control socket"},
        {{{"what", "qmap"}, {"plugin_dirs", {"plugins"}}}, "plugin_dirs: expected absolute paths"},
        {{{"what", "qmap"}, {"plugin_dirs", {{"a", "/b"}}}}, "plugin_dirs: expected"},
        {{{"object", 7}}, "object: expected"},
        {{{"object", "x.bpf.o"}}, "object: expected an absolute path"},
        {{{"object", "/x.bpf.o"}, {"what", "qmap"}}, "object: expected no"},
        {{{"program", 7}}, "program: expected"},
        {{{"program", "scx_lavd"}}, "program: expected an absolute path"},
        {{{"program", "/usr/bin/scx_lavd"}, {"what", "qmap"}}, "program: expected no parameter what"},
        {{{"program", "/usr/bin/scx_lavd"}, {"args", "-v"}}, "args: expected"},
        {{{"what", "qmap"}, {"args", {"-v"}}}, "args: expected a program"},
    };
    for (const auto& [params, message] : cases)
        for (const char* method : {"swap", "check"}) {
            const Result<json> answer = call(method, params);
            ASSERT_FALSE(answer) << method << " " << params;
            EXPECT_EQ(answer.error().kind, ErrorKind::kUsage) << method << " " << params;
            EXPECT_THAT(answer.error().what, HasSubstr(message)) << method << " " << params;
        }
    EXPECT_THAT(call("swap", {{"wait", 1}}).error().what, HasSubstr("wait: expected"));
    EXPECT_THAT(call("swap", {{"force", "yes"}}).error().what, HasSubstr("force: expected"));
    EXPECT_THAT(call("swap", {{"again", true}, {"what", "qmap"}}).error().what, HasSubstr("again: expected"));
    EXPECT_THAT(call("swap", {{"again", true}, {"set", {"a=1"}}}).error().what, HasSubstr("what: expected"));
    EXPECT_THAT(call("check", {{"what", "qmap"}, {"force", true}}).error().what, HasSubstr("no parameter"));
    EXPECT_THAT(call("check", json::object()).error().what, HasSubstr("what: expected"));
    EXPECT_THAT(call("status", {{"verbose", true}}).error().what, HasSubstr("no parameter"));
}

TEST_F(HostServiceTest, ConfigurationsThatAreNone) {
    const TempDir dir;
    const json missing = {{"what", (dir.path() / "none.toml").string()}};
    EXPECT_FALSE(call("swap", missing));
    const json broken = {{"what", dir.write("a.toml", "[scheduler]\nplugin = 7\n").string()}};
    const Result<json> answer = call("swap", broken);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind, ErrorKind::kConfig);
    ASSERT_TRUE(answer.error().where);
    EXPECT_EQ(answer.error().where->line, 2U);
}

// The host may read what its caller may not, and its errors would tell.
TEST_F(HostServiceTest, CallersLearnNothingOfFilesThatAreNotForEverybody) {
    constexpr uid_t kMember = 65534;
    const TempDir dir;
    ASSERT_EQ(::chmod(dir.path().c_str(), 0755), 0);
    const std::filesystem::path secret = dir.write("closed/secret.toml", "DB_PASSWORD = hunter2\n");
    const std::filesystem::path folder = secret.parent_path();
    ASSERT_EQ(::chmod(folder.c_str(), 0755), 0);
    const std::vector<json> ways = {
        {{"what", secret.string()}},
        {{"object", secret.string()}},
        {{"what", "qmap"}, {"set", {"scheduler.object=\"" + secret.string() + "\""}}},
    };
    const auto expect_silence = [&](const json& params) {
        for (const char* method : {"swap", "check"}) {
            const Result<json> answer = call(method, params, kMember);
            ASSERT_FALSE(answer) << method << params;
            EXPECT_EQ(answer.error().kind, ErrorKind::kPermission) << params << answer.error().what;
            EXPECT_THAT(answer.error().hint, HasSubstr("only root may name it"));
            EXPECT_THAT(to_json(answer.error()).dump(), testing::Not(HasSubstr("PASSWORD"))) << params;
        }
    };
    ASSERT_EQ(::chmod(secret.c_str(), 0640), 0);
    for (const json& params : ways)
        if (params.value("set", json()).is_null()) // such a setting is not known to every version
            expect_silence(params);
    EXPECT_THAT(call("swap", ways[0]).error().hint, HasSubstr("DB_PASSWORD")) << "the host's own user may read it";

    ASSERT_EQ(::chmod(secret.c_str(), 0644), 0);
    EXPECT_THAT(call("swap", ways[0], kMember).error().hint, HasSubstr("DB_PASSWORD")) << "everybody can read it";
    ASSERT_EQ(::chmod(folder.c_str(), 0750), 0);
    expect_silence(ways[0]);
    expect_silence({{"what", "qmap"}, {"plugin_dirs", {folder.string()}}});
}

// A program runs as root, with any arguments: who may choose it may do everything.
TEST_F(HostServiceTest, OnlyRootNamesAProgram) {
    constexpr uid_t kMember = 65534;
    const std::vector<json> ways = {
        {{"program", "/bin/sh"}, {"args", {"-c", "id"}}},
        {{"what", "simple"}, {"set", {"scheduler.program=/bin/sh"}}},
        {{"what", "simple"}, {"set", {"scheduler.args=[\"-c\"]"}}},
        {{"what", "simple"}, {"set", {"scheduler.env.LD_PRELOAD=/tmp/x.so"}}},
        {{"what", "simple"}, {"set", {"program.memory_max=0"}}},
        {{"what", "simple"}, {"set", {"host.fallback=[\"/bin/sh\"]"}}},
        {{"what", "simple"}, {"set", {"below.games.scheduler.program=/bin/sh"}}},
        {{"what", "simple"}, {"set", {"below.games.host.fallback=[\"/bin/sh\"]"}}},
        {{"what", "simple"}, {"set", {"host.fallback=[\"\\u002fbin\\u002fsh\"]"}}},
    };
    for (const json& params : ways)
        for (const char* method : {"swap", "check"}) {
            const Result<json> answer = call(method, params, kMember);
            ASSERT_FALSE(answer) << method << params;
            EXPECT_EQ(answer.error().kind, ErrorKind::kPermission) << params << answer.error().what;
            EXPECT_THAT(answer.error().what, HasSubstr("only root may name a program"));
        }
}

TEST_F(HostServiceTest, ABranchThatThereIsNotIsNamed) {
    for (const char* method : {"swap", "stop", "resume"}) {
        const Result<json> answer = call(method, {{"at", "gmaes"}});
        ASSERT_FALSE(answer) << method;
        EXPECT_EQ(answer.error().kind, ErrorKind::kUsage);
        EXPECT_THAT(answer.error().what, HasSubstr("there is no branch \"gmaes\""));
    }
}

// What the rules allow is tested in delegation_test.cpp; here, that they are asked.
TEST_F(HostServiceTest, ADelegateMeetsTheRules) {
    constexpr uid_t kAlice = 1001;
    HostService service(supervisor_,
                        Delegation({{.uid = kAlice, .user = "alice", .cgroup = "/games", .plugins = {"simple"}}}));
    const auto error_of = [&](const std::string& method, const json& params, bool may_change) {
        std::optional<Result<json>> answer;
        service.call(method, params, {.uid = kAlice, .may_change = may_change},
                     [&](const Result<json>& result) { answer = result; });
        EXPECT_TRUE(answer && !*answer) << method;
        return answer && !*answer ? answer->error() : Error{};
    };
    for (const char* method : {"swap", "stop", "resume", "stats", "borrow", "check"}) {
        const Error error = error_of(method, {{"at", "games"}}, false);
        EXPECT_EQ(error.kind, ErrorKind::kPermission) << method;
        EXPECT_THAT(error.what, HasSubstr("user alice may not")) << method;
    }
    EXPECT_EQ(error_of("stop", {{"at", "games"}}, true).kind, ErrorKind::kUsage) << "who may everything still may";
    const auto shows = [&](const json& event, bool may_change) {
        return service.shows(event, {.uid = kAlice, .may_change = may_change});
    };
    EXPECT_FALSE(shows({{"event", "incident"}, {"path", "/x"}}, false));
    EXPECT_FALSE(shows({{"event", "enabled"}, {"seat", "machine"}}, false));
    EXPECT_FALSE(shows({{"event", "enabled"}, {"seat", 7}}, false));
    EXPECT_TRUE(shows({{"event", "incident"}, {"path", "/x"}}, true));
}

// What he may see as a reader he sees, and what he may choose as a delegate he chooses.
TEST_F(HostServiceTest, ADelegateWhoIsAReaderSeesAll) {
    constexpr uid_t kAlice = 1001;
    HostService service(supervisor_,
                        Delegation({{.uid = kAlice, .user = "alice", .cgroup = "/games", .plugins = {"simple"}}}));
    const Peer alice{.uid = kAlice, .is_reader = true};
    const auto answer_to = [&](const std::string& method) {
        std::optional<Result<json>> answer;
        service.call(method, json::object(), alice, [&](const Result<json>& result) { answer = result; });
        EXPECT_TRUE(answer) << method;
        return answer.value_or(json());
    };
    // Without a scheduler there are none, which only who may ask is told.
    EXPECT_EQ(answer_to("stats").error().kind, ErrorKind::kUsage);
    for (const char* method : {"swap", "stop", "resume", "check", "borrow"}) {
        const Result<json> refused = answer_to(method);
        ASSERT_FALSE(refused) << method;
        EXPECT_EQ(refused.error().kind, ErrorKind::kPermission) << method;
    }
    EXPECT_TRUE(service.shows({{"event", "enabled"}, {"seat", "machine"}}, alice));
}

// What a program writes is a matter of those who may run one.
TEST_F(HostServiceTest, TheOutputOfProgramsIsNotForReaders) {
    const json output = {{"event", "output"}, {"seat", "machine"}, {"text", "password"}};
    EXPECT_FALSE(service_.shows(output, {.uid = 65534, .is_reader = true}));
    EXPECT_FALSE(service_.shows(output, {.uid = 65534}));
    EXPECT_TRUE(service_.shows(output, {.uid = 65534, .may_change = true}));
}

TEST_F(HostServiceTest, WithoutAConfigurationThereIsNothingToReadAgain) {
    const Result<json> answer = call("swap", json::object());
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind, ErrorKind::kUsage);
    EXPECT_THAT(answer.error().what, HasSubstr("not started from a configuration"));
}

TEST_F(HostServiceTest, WithoutASchedulerThereAreNoStatistics) {
    const Result<json> answer = call("stats", json::object());
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind, ErrorKind::kUsage);
}

} // namespace
} // namespace scxhost
