// SPDX-License-Identifier: GPL-2.0-only
//
// Completion of words: what the program offers, and what real shells make of it when somebody types and presses Tab.
#include "host/base/unique_fd.hpp"
#include "host/base/write_all.hpp"
#include "host/cli/command.hpp"
#include "host/cli/complete.hpp"
#include "host/control/protocol.hpp"
#include "host/supervisor/incidents.hpp"
#include "tests/plugins/zoo.hpp"
#include "tests/vm/host_process.hpp"

#include <CLI/CLI.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace scxhost {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::Not;

class CompleteTest : public testing::Test {
protected:
    static void SetUpTestSuite() { ::setenv("PATH", (std::string(kProgramDir) + ":/usr/bin:/bin").c_str(), 1); }
    CompleteTest() { add_commands({app_, chosen_}); }

    std::vector<std::string> words(const std::vector<std::string>& line) {
        std::vector<std::string> result;
        for (const Candidate& candidate : complete(app_, line).candidates)
            result.push_back(candidate.word);
        return result;
    }
    OfferedFiles files(const std::vector<std::string>& line) { return complete(app_, line).files; }

    CLI::App app_;
    std::function<CommandResult()> chosen_;
    TempDir dir_;
};

TEST_F(CompleteTest, CommandsAndOptionsAreThoseOfTheProgram) {
    EXPECT_THAT(words({""}), IsSupersetOf({"run", "swap", "incidents", "completion"}));
    EXPECT_THAT(words({"sta"}), ElementsAre("status", "stats"));
    EXPECT_THAT(words({"--v"}), ElementsAre("--version"));
    EXPECT_THAT(words({"run", "--"}), AllOf(Contains("--watch"), Contains("--set"), Not(Contains("--program-arg"))));
    EXPECT_THAT(words({"events", "--f"}), ElementsAre("--follow"));
    EXPECT_THAT(words({"top", "--"}), ElementsAre("--help", "--socket", "--at", "--interval", "--once"));
    EXPECT_THAT(words({"incidents", ""}), ElementsAre("show"));
    EXPECT_THAT(words({"incidents", "show", "--"}), ElementsAre("--help", "--dir", "--last", "--json"))
        << "it takes those of the command above too";
    EXPECT_THAT(words({"completion", ""}), ElementsAre("bash", "zsh", "fish"));
    EXPECT_THAT(words({"metrics", "--format", ""}), ElementsAre("openmetrics", "prometheus"));
    EXPECT_THAT(words({"no-such-command", ""}), IsEmpty());
    EXPECT_FALSE(complete(app_, std::vector<std::string>{"sw"}).candidates.at(0).help.empty());
}

TEST_F(CompleteTest, WhatIsThereOnceIsNotOfferedAgain) {
    EXPECT_THAT(words({"run", "--watch", "--w"}), IsEmpty());
    EXPECT_THAT(words({"run", "-q", "--q"}), IsEmpty());
    EXPECT_THAT(words({"run", "--set", "a=1", "--s"}), ElementsAre("--set", "--stay"));
    EXPECT_THAT(words({"run", "qmap", "--o"}), IsEmpty()) << "the other way to name a scheduler";
    EXPECT_THAT(words({"run", "--object", "x.bpf.o", "--plugin-dir", kZooDir, "g"}), IsEmpty());
}

TEST_F(CompleteTest, EveryKindOfValueHasItsWordsOrFiles) {
    EXPECT_EQ(files({"run", ""}), OfferedFiles::kSchedulers);
    EXPECT_EQ(files({"run", "--object", ""}), OfferedFiles::kAll);
    EXPECT_EQ(files({"run", "--object="}), OfferedFiles::kAll);
    EXPECT_EQ(files({"run", "--plugin-dir", ""}), OfferedFiles::kFolders);
    EXPECT_EQ(files({"run", "--for", ""}), OfferedFiles::kNone);
    EXPECT_EQ(files({"swap", "--program", "/bin/x", "--", ""}), OfferedFiles::kAll);
    EXPECT_EQ(files({"status", ""}), OfferedFiles::kNone);
    EXPECT_EQ(files({"dbus", ""}), OfferedFiles::kAll);
    EXPECT_EQ(files({"compare", "kernel", "simple", "--", ""}), OfferedFiles::kAll);
    EXPECT_THAT(words({"compare", "--workload", "builtin:m"}), ElementsAre("builtin:messages", "builtin:mix"));
    EXPECT_THAT(words({"compare", "ker"}), ElementsAre("kernel"));
    EXPECT_THAT(words({"compare", "kernel", "--plugin-dir", kZooDir, "goo"}), ElementsAre("good")) << "and one more";
    EXPECT_THAT(words({"run", "good", "--plugin-dir", kZooDir, "goo"}), testing::IsEmpty()) << "only one";
    // A kind that the table in complete.cpp does not have would be offered nothing, unseen.
    const std::set<std::string> known = {"WHAT", "FILE", "PATH",   "DIR",      "KEY=VALUE", "NUMBER", "SHELL",  "TIME",
                                         "N",    "NAME", "FORMAT", "WORKLOAD", "REGEX",     "BRANCH", "ADDRESS"};
    std::vector<const CLI::App*> commands = {&app_};
    while (!commands.empty()) {
        const CLI::App* command = commands.back();
        commands.pop_back();
        for (const CLI::App* sub : command->get_subcommands({}))
            commands.push_back(sub);
        for (const CLI::Option* option : command->get_options()) {
            const std::string kind = option->get_positional() ? option->get_name(true) : option->get_type_name();
            if (!option->get_group().empty() && option->get_items_expected_max() > 0) {
                EXPECT_TRUE(known.contains(kind)) << command->get_name() << ": " << kind;
            }
        }
    }
}

TEST_F(CompleteTest, PluginsAndTheOptionsOfTheOneThatIsNamed) {
    EXPECT_THAT(words({"swap", "--plugin-dir", kZooDir, "go"}), ElementsAre("good"));
    const auto set = [&](const std::string& value) {
        return words({"run", "good", "--plugin-dir", kZooDir, "--set", value});
    };
    EXPECT_THAT(set(""), IsSupersetOf({"slice=", "mode=", "title=", "swap.", "restart."}));
    EXPECT_THAT(set("sl"), ElementsAre("slice="));
    EXPECT_THAT(set("mode="), ElementsAre("mode=calm", "mode=wild"));
    EXPECT_THAT(set("flag="), ElementsAre("flag=true", "flag=false"));
    EXPECT_THAT(set("swap."), ElementsAre("swap.probation=", "swap.expedite_rcu="));
    EXPECT_THAT(set("log.level=w"), ElementsAre("log.level=warning"));
    // In one word, as some shells hand it over.
    EXPECT_THAT(words({"run", "--plugin-dir=" + std::string(kZooDir), "good", "--set=mo"}), ElementsAre("--set=mode="));
    EXPECT_THAT(words({"run", "--plugin-dir", kZooDir, "good", "--set=mode=w"}), ElementsAre("--set=mode=wild"));
    EXPECT_THAT(words({"run", "--object", zoo_path("counts.bpf.o").string(), "--set", "swap.p"}),
                ElementsAre("swap.probation="));
    // What a swap may not change.
    EXPECT_THAT(words({"swap", "simple", "--set", "incid"}), IsEmpty());
    EXPECT_THAT(words({"run", "simple", "--set", "incid"}), ElementsAre("incidents."));
    EXPECT_THAT(words({"run", "none", "--set", "sl"}), IsEmpty()) << "there is no such plugin";
}

TEST_F(CompleteTest, NumbersOfIncidents) {
    const std::string folder = dir_.path() / "incidents";
    for (int i = 0; i < 2; ++i)
        ASSERT_TRUE(IncidentStore(folder, 1U << 20U).write({{"scheduler", "qmap"}}));
    EXPECT_THAT(words({"incidents", "--dir", folder, "show", ""}), ElementsAre("2", "1"));
    EXPECT_THAT(words({"incidents", "--dir", folder, "show", "1", ""}), IsEmpty());
}

// A host that says of itself what the test wants, to as many as ask.
class StatedHost {
public:
    StatedHost(const std::filesystem::path& socket, json status) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, socket.c_str(), sizeof address.sun_path - 1);
        EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(::listen(listener_.get(), 4), 0);
        thread_ = std::thread([this, answer = format_result(1, status)] {
            while (const UniqueFd client{::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)}) {
                char buffer[4096];
                if (::recv(client.get(), buffer, sizeof buffer, 0) > 0)
                    (void)::send(client.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
            }
        });
    }
    StatedHost(const StatedHost&) = delete;
    StatedHost& operator=(const StatedHost&) = delete;
    ~StatedHost() {
        ::shutdown(listener_.get(), SHUT_RDWR); // ends the accept
        thread_.join();
    }

private:
    UniqueFd listener_{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    std::thread thread_;
};

json status_of_a_tree() {
    return {{"below",
             {{{"seat", "games"}, {"cgroup", "/games"}, {"scheduler", {{"title", "qmap 1"}}}},
              {{"seat", "shooters"}, {"cgroup", "/games/shooters"}, {"scheduler", nullptr}, {"phase", "waiting"}}}}};
}

TEST_F(CompleteTest, BranchesOfTheRunningHost) {
    const std::string socket = dir_.path() / "sock";
    EXPECT_THAT(words({"swap", "--socket", socket, "--at", ""}), IsEmpty()) << "nobody is there";
    {
        const StatedHost host(socket, status_of_a_tree());
        EXPECT_THAT(words({"swap", "--socket", socket, "--at", ""}), ElementsAre("games", "shooters"));
        EXPECT_THAT(words({"stats", "--socket=" + socket, "--at=sh"}), ElementsAre("--at=shooters"));
        EXPECT_THAT(words({"top", "--socket", socket, "--at", "sh"}), ElementsAre("shooters"));
        EXPECT_THAT(words({"stop", "--socket", socket, "g"}), ElementsAre("games"));
        EXPECT_THAT(words({"resume", "--socket", socket, ""}), ElementsAre("games", "shooters"));
        EXPECT_THAT(words({"stop", "games", "--socket", socket, ""}), IsEmpty()) << "one at a time";
        const Completions both = complete(app_, std::vector<std::string>{"stop", "--socket", socket, ""});
        EXPECT_EQ(both.candidates.at(0).help, "/games, qmap 1");
        EXPECT_EQ(both.candidates.at(1).help, "/games/shooters, waiting");
    }
    std::filesystem::remove(socket);
    const StatedHost odd(socket, {{"below", {7, {{"seat", 7}}}}});
    EXPECT_THAT(words({"stop", "--socket", socket, ""}), IsEmpty());
}

TEST_F(CompleteTest, NothingButLinesComesOut) {
    const std::string text = completion_text({.candidates = {{"a=", "help"}}, .files = OfferedFiles::kFolders});
    EXPECT_EQ(text, "folders\na=\thelp\n");
    HostProcess process({"__complete", "run", "--set", ""});
    EXPECT_EQ(process.wait(), 0);
    EXPECT_EQ(process.err(), "") << "a Tab shows no errors";
}

// A shell with a terminal, in which somebody types.
class Shell {
public:
    Shell(const char* program, const std::vector<const char*>& arguments) {
        const struct winsize size = {.ws_row = 50, .ws_col = 200, .ws_xpixel = 0, .ws_ypixel = 0};
        pid_ = ::forkpty(&terminal_, nullptr, nullptr, &size);
        if (pid_ != 0)
            return;
        std::vector<char*> argv = {const_cast<char*>(program)};
        for (const char* argument : arguments)
            argv.push_back(const_cast<char*>(argument));
        argv.push_back(nullptr);
        ::execvp(program, argv.data());
        ::_exit(127);
    }
    Shell(const Shell&) = delete;
    Shell& operator=(const Shell&) = delete;
    ~Shell() {
        ::kill(pid_, SIGKILL);
        ::close(terminal_);
        ::waitpid(pid_, nullptr, 0);
    }

    void type(const std::string& keys) { ASSERT_EQ(write_all(terminal_, keys), 0); }
    // Whether `text` appears on the terminal, behind what was waited for before.
    bool shows(const std::string& text) {
        const auto deadline = std::chrono::steady_clock::now() + 30s;
        for (;;) {
            if (const std::size_t found = screen_.find(text, seen_); found != std::string::npos) {
                seen_ = found + text.size();
                return true;
            }
            pollfd ready = {.fd = terminal_, .events = POLLIN, .revents = 0};
            const auto left =
                std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
            char buffer[4096];
            if (left <= 0ms || ::poll(&ready, 1, static_cast<int>(left.count())) <= 0)
                return false;
            const ssize_t count = ::read(terminal_, buffer, sizeof buffer);
            if (count <= 0)
                return false;
            screen_.append(buffer, static_cast<std::size_t>(count));
        }
    }
    [[nodiscard]] const std::string& screen() const { return screen_; }

private:
    pid_t pid_ = -1;
    int terminal_ = -1;
    std::string screen_;
    std::size_t seen_ = 0;
};

struct ShellCase {
    const char* program;
    std::vector<const char*> arguments;
    const char* setup; // a line that makes `scxhost` say which words it was given: "<swap><qmap>"
    const char* no_scheduler = "<run><some/ot>"; // of "some/ot", which names no scheduler's file
    const char* name = program;
};
void PrintTo(const ShellCase& shell, std::ostream* out) {
    *out << shell.program;
}

class ShellCompletionTest : public testing::TestWithParam<ShellCase> {
protected:
    void SetUp() override {
        home_.write("some/mine.toml", "");
        home_.write("some/other.txt", "");
        ::setenv("PATH", (std::string(kProgramDir) + ":/usr/bin:/bin").c_str(), 1);
        ::setenv("HOME", home_.path().c_str(), 1);
        ::setenv("XDG_CONFIG_HOME", home_.path().c_str(), 1);
        ::setenv("XDG_DATA_HOME", home_.path().c_str(), 1);
        ::setenv("TERM", "dumb", 1);
        ::unsetenv("FPATH");
    }

    TempDir home_;
};

TEST_P(ShellCompletionTest, TabCompletesWhatIsTyped) {
    const ShellCase& shell = GetParam();
    const StatedHost host(home_.path() / "sock", status_of_a_tree());
    Shell terminal(shell.program, shell.arguments);
    const std::string zoo = std::string(" --plugin-dir ") + kZooDir + " ";
    terminal.type("cd " + home_.path().string() + "\n" + shell.setup + "\n");
    terminal.type("echo re''ady\n");
    ASSERT_TRUE(terminal.shows("ready")) << terminal.screen();
    const struct {
        std::string typed;
        std::string words;
    } cases[] = {
        {"swa\t", "<swap>"},
        {"run --wa\t", "<run><--watch>"},
        {"swap" + zoo + "goo\t", "<good>"},
        {"run" + zoo + "good --set mod\twil\t", "<--set><mode=wild>"},
        {"run" + zoo + "good --set=mod\twil\t", "<--set=mode=wild>"},
        {"run --set swap.pro\t5s", "<--set><swap.probation=5s>"},
        {"run some/mi\t", "<run><some/mine.toml>"},
        {"run --object=some/mi\t", "<run><--object=some/mine.toml>"},
        {"list --plugin-dir so\t", "<list><--plugin-dir><some"}, // zsh takes the slash away again
        {"run some/ot\t", shell.no_scheduler},
        {"swap --socket sock --at ga\t", "<--at><games>"},
        {"stats --socket sock --at=sh\t", "<--at=shooters>"},
        {"stop --socket sock sh\t", "<sock><shooters>"},
        {"resume --socket=sock ga\t", "<games>"},
    };
    for (const auto& test : cases) {
        terminal.type("scxhost " + test.typed + "\n");
        EXPECT_TRUE(terminal.shows(test.words)) << test.typed << "\n" << terminal.screen();
        if (HasFailure())
            break;
    }
}

INSTANTIATE_TEST_SUITE_P(
    Each, ShellCompletionTest,
    testing::Values(ShellCase{"bash",
                              {"--norc", "--noprofile", "-i"},
                              "scxhost() { printf '<%s>' \"$@\"; echo; }; source <(command scxhost completion bash)"},
                    ShellCase{"zsh",
                              {"-f", "-i"},
                              "autoload -Uz compinit && compinit -u; scxhost() { printf '<%s>' \"$@\"; echo; }; "
                              "source <(command scxhost completion zsh)",
                              "<run><some/other.txt>"}, // zsh offers any file where none of those wanted is there
                    // From a folder of such scripts, as an installation has it.
                    ShellCase{"zsh",
                              {"-f", "-i"},
                              "mkdir f; command scxhost completion zsh > f/_scxhost; fpath=($PWD/f $fpath); "
                              "autoload -Uz compinit && compinit -u; scxhost() { printf '<%s>' \"$@\"; echo; }",
                              "<run><some/other.txt>",
                              "zsh_folder"},
                    ShellCase{
                        "fish",
                        {"--no-config", "-i"},
                        "function scxhost; printf '<%s>' $argv; echo; end; command scxhost completion fish | source"}),
    [](const testing::TestParamInfo<ShellCase>& one) { return std::string(one.param.name); });

} // namespace
} // namespace scxhost
